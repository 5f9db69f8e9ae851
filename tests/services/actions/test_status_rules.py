"""Every action in every status, as assets.md has it."""

from portal.models.assets import Action, AssetKind, AssetStatus
from portal.services.actions.rules import RULES, why_not
from tests.services.actions.every_action import LEGAL

STOCK_ONLY = {Action.RECEIVE_STOCK, Action.ISSUE_STOCK, Action.ADJUST_STOCK}
FOR_STOCK = STOCK_ONLY | {Action.EDIT, Action.TRANSFER, Action.DELETE}


def test_it_allows_what_the_table_allows() -> None:
    def marks(action: Action) -> str:
        return "".join("-" if why_not(action, status) else "Y" for status in AssetStatus)

    assert {action: marks(action) for action in LEGAL} == LEGAL


def test_every_action_has_its_rule() -> None:
    assert set(RULES) == set(Action) == {*LEGAL, *STOCK_ONLY, Action.RESTORE}


def test_stock_is_moved_by_number_and_never_lent() -> None:
    allowed = {each for each in Action if why_not(each, "available", AssetKind.STOCK) is None}
    assert allowed == FOR_STOCK


def test_a_single_item_has_no_number_to_move() -> None:
    sentences = {why_not(action, "available") for action in STOCK_ONLY}
    assert sentences == {"is a single item, so it has no quantity to change."}


def test_a_deleted_asset_can_be_restored_and_nothing_else() -> None:
    for status in AssetStatus:
        allowed = {action for action in Action if why_not(action, status, deleted=True) is None}
        assert allowed == {Action.RESTORE}
        assert why_not(Action.RESTORE, status) == "isn’t deleted."


def test_only_the_named_doubles_tell_more_than_one_event() -> None:
    doubles = {each for each in Action if len(RULES[each].events) > 1}
    assert doubles == {Action.REASSIGN, Action.COMPLETE_MAINTENANCE}


def test_a_refusal_names_who_has_it_where_that_is_known() -> None:
    words = why_not(Action.ALLOCATE, "allocated", holder="Ana")
    assert words == "is allocated to Ana. Revoke or reassign it."
    words = why_not(Action.DELETE, "checked_out", holder="Ana")
    assert words == "is checked out to Ana. Check it in first."


def test_a_refusal_names_what_stands_in_the_way_and_the_way_out() -> None:
    for status in ("allocated", "checked_out", "maintenance", "warranty"):
        sentence = why_not(Action.DELETE, status) or ""
        assert sentence.startswith("is "), status
        assert sentence.endswith(" first."), status
