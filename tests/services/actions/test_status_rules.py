"""Check the rules of every action in every status against assets.md."""

from portal.models.assets import Action, AssetKind, AssetStatus
from portal.services.actions.rules import RULES, why_not
from tests.services.actions.every_action import LEGAL

STOCK_ONLY = {Action.RECEIVE_STOCK, Action.ISSUE_STOCK, Action.ADJUST_STOCK}
FOR_STOCK = STOCK_ONLY | {Action.EDIT, Action.TRANSFER, Action.DELETE}


def test_rules_allow_the_statuses_in_the_table() -> None:
    def marks(action: Action) -> str:
        return "".join("-" if why_not(action, status) else "Y" for status in AssetStatus)

    assert {action: marks(action) for action in LEGAL} == LEGAL


def test_every_action_has_a_rule() -> None:
    assert set(RULES) == set(Action) == {*LEGAL, *STOCK_ONLY, Action.RESTORE}


def test_a_consumable_allows_stock_actions_edit_transfer_and_delete() -> None:
    allowed = {action for action in Action if why_not(action, "available", AssetKind.STOCK) is None}
    assert allowed == FOR_STOCK


def test_a_single_item_refuses_stock_actions() -> None:
    sentences = {why_not(action, "available") for action in STOCK_ONLY}
    assert sentences == {"is a single item, so it has no quantity to change."}


def test_a_deleted_asset_can_only_be_restored() -> None:
    for status in AssetStatus:
        allowed = {action for action in Action if why_not(action, status, deleted=True) is None}
        assert allowed == {Action.RESTORE}
        assert why_not(Action.RESTORE, status) == "isn’t deleted."


def test_only_reassign_and_complete_publish_two_events() -> None:
    doubles = {action for action in Action if len(RULES[action].events) > 1}
    assert doubles == {Action.REASSIGN, Action.COMPLETE_MAINTENANCE}


def test_a_refusal_names_a_known_holder() -> None:
    words = why_not(Action.ALLOCATE, "allocated", holder="Ana")
    assert words == "is allocated to Ana. Revoke or reassign it."
    words = why_not(Action.DELETE, "checked_out", holder="Ana")
    assert words == "is checked out to Ana. Check it in first."


def test_a_refusal_names_the_obstacle_and_the_way_out() -> None:
    for status in ("allocated", "checked_out", "maintenance", "warranty"):
        sentence = why_not(Action.DELETE, status) or ""
        assert sentence.startswith("is "), status
        assert sentence.endswith(" first."), status
