"""The fields of an asset, and what changed in them, as people read them."""

from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from flask import Flask

from portal.engine.events.catalogue import CATALOGUE, EventGroup
from portal.models.assets import Action, Activity, Asset, AssetKind
from portal.web.assets.presenter import FieldChange, differences, facts_of, in_words, lines


@pytest.fixture(autouse=True)
def _asked(app: Flask) -> Iterator[None]:
    with app.test_request_context():
        yield


def test_each_step_of_a_timeline_has_words_and_a_colour_of_its_own() -> None:
    alerts = {each.value for each in CATALOGUE if each.group is EventGroup.ALERTS}
    steps = {*map(str, Action), *alerts} - {Action.REASSIGN}  # which is taken back and given
    activities = [Activity(action=each, changes={}, note="", actor_name="Ana") for each in steps]
    told = {line.title: line.tone for line in lines(activities)}
    assert len(told) == len(steps)
    assert set(told.values()) == {"success", "info", "warning", "danger"}
    assert {title for title, tone in told.items() if tone == "danger"} == {
        "Deleted",
        "Reported lost",
        "Reported broken",
        "Disposed of",
        "Alert: not returned in time",
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("notes", None, ""),
        ("reservable", True, "Yes"),
        ("reservable", False, "No"),
        ("category", {"id": 3, "name": "Laptops"}, "Laptops"),
        ("purchase_date", date(2026, 5, 3), "3 May 2026"),
        ("warranty_expires", "2026-05-03", "3 May 2026"),
        ("due_at", "2026-05-03T15:00:00+00:00", "3 May 2026 17:00"),
        ("purchase_cost", Decimal("1249.5"), "1,249.50 EUR"),
        ("purchase_cost", "1249.50", "1,249.50 EUR"),
        ("condition", "damaged", "Damaged"),
        ("status", "checked_out", "Lent"),
        ("quantity", 0, "0"),
        ("name", "lamp", "lamp"),
    ],
)
def test_a_value_is_written_as_people_write_it(name: str, value: Any, words: str) -> None:
    assert in_words(name, value) == words


def changed(name: str, before: Any, after: Any) -> FieldChange:
    (found,) = differences({name: {"from": before, "to": after}})
    return found


def test_a_change_says_nothing_or_nobody_where_a_field_is_blank() -> None:
    maria = {"id": 1, "name": "Maria"}
    assert changed("holder", None, maria) == FieldChange("With", "nobody", "Maria", was_blank=True)
    assert changed("holder", maria, None) == FieldChange("With", "Maria", "nobody", was_blank=False)
    assert changed("model", None, "T14") == FieldChange("Model", "nothing", "T14", was_blank=True)
    assert changed("odd_field", "a", "b").label == "Odd field"


def test_each_kind_of_thing_has_its_own_facts() -> None:
    common = {"Category", "Location", "Condition", "Notes"}
    for kind, own, others in (
        (AssetKind.ITEM, {"People may reserve it"}, {"How many there are", "Low below", "Unit"}),
        (AssetKind.STOCK, {"How many there are", "Low below", "Unit"}, {"People may reserve it"}),
    ):
        shown = {label for label, _ in facts_of(Asset(kind=kind))}
        assert shown >= common | own
        assert not shown & (others | {"Name", "Asset tag"})
