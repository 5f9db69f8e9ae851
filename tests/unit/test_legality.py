"""Every action in every status, as assets.md has it."""

import pytest

from portal.models.assets import AssetStatus
from portal.services.legality import RULES, Action, why_not

# available, allocated, checked_out, maintenance, warranty, broken, lost, liquidated
TABLE = {
    Action.CREATE: "--------",
    Action.EDIT: "YYYYYYYY",
    Action.DELETE: "Y----YYY",
}
CASES = [
    (action, status, mark == "Y")
    for action, marks in TABLE.items()
    for status, mark in zip(AssetStatus, marks, strict=True)
]


@pytest.mark.parametrize(("action", "status", "is_legal"), CASES)
def test_it_allows_what_the_table_allows(
    action: Action, status: AssetStatus, is_legal: bool
) -> None:
    assert (why_not(action, status) is None) is is_legal


def test_every_action_has_its_rule() -> None:
    assert set(RULES) == set(Action) == set(TABLE)


@pytest.mark.parametrize("status", ["allocated", "checked_out", "maintenance", "warranty"])
def test_a_refusal_names_what_stands_in_the_way_and_the_way_out(status: str) -> None:
    sentence = why_not(Action.DELETE, status) or ""
    assert sentence.startswith("is ")
    assert sentence.endswith(" first.")
