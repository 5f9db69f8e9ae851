"""The catalogue: 21 events in 7 groups, each with an example that is the real thing."""

import pytest

from portal.engine.events.catalogue import CATALOGUE, GROUPS, EventName, EventType, event_type

BY_GROUP = [
    ("Asset lifecycle", ["asset.created", "asset.updated", "asset.deleted"]),
    ("Allocation & assignment", ["asset.allocated", "asset.revoked"]),
    ("Check-in / check-out", ["asset.checked_out", "asset.checked_in"]),
    (
        "Reservations",
        ["asset.reserved", "asset.reservation_approved", "asset.reservation_rejected"],
    ),
    (
        "Maintenance & transfers",
        ["asset.maintenance_scheduled", "asset.maintenance_completed", "asset.transferred"],
    ),
    (
        "Loss, damage, disposal",
        ["asset.lost", "asset.broken", "asset.warranty", "asset.liquidated"],
    ),
    (
        "Scheduled alerts",
        [
            "alert.warranty_expiring",
            "alert.maintenance_due",
            "alert.checkout_overdue",
            "alert.low_stock",
        ],
    ),
]


def test_there_are_seven_groups_with_these_events_in_this_order() -> None:
    listed = [(group.label, [event.value for event in events]) for group, events in GROUPS]
    assert listed == BY_GROUP


def test_every_name_is_in_the_catalogue_once() -> None:
    assert [event.value for event in CATALOGUE] == list(EventName)
    assert len(CATALOGUE) == 21


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.value)
def test_every_event_is_explained_in_one_plain_line(event: EventType) -> None:
    assert event.name[0].isupper()
    assert len(event.name) <= 30
    assert event.explanation.endswith(".")
    assert len(event.explanation) <= 80
    assert len({each.name for each in CATALOGUE}) == 21


@pytest.mark.parametrize("event", CATALOGUE, ids=lambda event: event.value)
def test_an_example_differs_from_a_test_by_its_mark_alone(event: EventType) -> None:
    example, test = event.sample(), event.sample(test=True, source="elsewhere")
    assert test["data"].pop("test") is True
    assert test.pop("source") == "elsewhere"
    assert example.pop("source") == "perfex_assets_module"
    assert test == example
    assert example["event"] == event.value


def test_an_event_is_found_by_its_name_on_the_wire() -> None:
    assert event_type("asset.lost").name == "Asset lost"


@pytest.mark.parametrize("value", ["asset.LOST", "", "asset.exploded"])
def test_an_unknown_name_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="EventName"):
        event_type(value)
