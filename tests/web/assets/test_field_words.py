"""Wording of an asset's fields and their changes."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask

from portal.engine.events.catalogue import CATALOGUE, EventGroup
from portal.lib.clock import frozen
from portal.models.assets import Action, Activity, Asset, AssetKind
from portal.web.assets.presenter import differences, facts_of, in_words, lines
from tests.support.golden.expected_file import Golden


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    with app.test_request_context():
        yield


def test_each_timeline_entry_has_its_own_title() -> None:
    alerts = {each.value for each in CATALOGUE if each.group is EventGroup.ALERTS}
    # REASSIGN is recorded as a revoke and an allocate.
    steps = {*map(str, Action), *alerts} - {Action.REASSIGN}
    activities = [Activity(action=each, changes={}, note="", actor_name="Ana") for each in steps]
    assert len({line.title for line in lines(activities)}) == len(steps)


VALUES: Final[tuple[tuple[str, Any], ...]] = (
    ("notes", None),
    ("reservable", True),
    ("reservable", False),
    ("category", {"id": 3, "name": "Laptops"}),
    ("purchase_date", date(2026, 5, 3)),
    ("warranty_expires", "2026-05-03"),
    ("due_at", "2026-05-03T15:00:00+00:00"),
    ("purchase_cost", Decimal("1249.5")),
    ("purchase_cost", "1249.50"),
    ("condition", "damaged"),
    ("status", "checked_out"),
    ("quantity", 0),
    ("name", "lamp"),
)
MARIA: Final = {"id": 1, "name": "Maria"}
CHANGES: Final[tuple[tuple[str, Any, Any], ...]] = (
    ("holder", None, MARIA),
    ("holder", MARIA, None),
    ("model", None, "T14"),
    ("odd_field", "a", "b"),
)


def test_values_and_changes_are_worded_as_in_the_golden_file(golden: Golden) -> None:
    wording = {f"{name} {value!r}": in_words(name, value) for name, value in VALUES}
    for name, before, after in CHANGES:
        (difference,) = differences({name: {"from": before, "to": after}})
        assert difference.was_blank is (before is None)
        words = f"{difference.label}: {difference.before} → {difference.after}"
        wording[f"{name} {before!r} {after!r}"] = words
    golden.said(Path(__file__).parent / "golden" / "fields.txt", wording)


def test_each_kind_of_asset_has_its_own_facts() -> None:
    common = {"Category", "Location", "Condition", "Notes"}
    for kind, own, others in (
        (AssetKind.ITEM, {"Allow reservations"}, {"Quantity", "Low-stock threshold", "Unit"}),
        (AssetKind.STOCK, {"Quantity", "Low-stock threshold", "Unit"}, {"Allow reservations"}),
    ):
        shown = {label for label, _ in facts_of(Asset(kind=kind))}
        assert shown >= common | own
        assert not shown & (others | {"Name", "Asset tag"})


def test_dates_side_by_side_all_show_their_year() -> None:
    with frozen(datetime(2026, 12, 1, 12, tzinfo=UTC)):
        days = date(2025, 3, 17), date(2026, 3, 16)
        asset = Asset(kind=AssetKind.ITEM, purchase_date=days[0], warranty_expires=days[1])
        facts = dict(facts_of(asset))
    assert facts["Purchase date"] == "Mar 17, 2025"
    assert facts["Warranty ends"] == "Mar 16, 2026"
