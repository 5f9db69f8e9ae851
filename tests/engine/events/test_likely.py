"""Tests of the events that are proposed for an unknown name."""

import pytest

from portal.engine.events.catalogue import CATALOGUE
from portal.engine.events.likely import likely_events, unknown_event


@pytest.mark.parametrize(
    ("name", "likely"),
    [
        ("asset.assigned", ["asset.allocated", "asset.checked_out"]),
        ("Asset_CheckOut", ["asset.checked_out"]),
        ("device.returned", ["asset.revoked", "asset.checked_in"]),
        ("asset.modified", ["asset.updated"]),
        ("asset.moved.location", ["asset.transferred"]),
        ("maintenance.completed", ["asset.maintenance_completed"]),
        ("warranty.expired", ["asset.warranty", "alert.warranty_expiring"]),
        ("asset.retired", ["asset.liquidated"]),
        ("asset.stolen", ["asset.lost"]),
        ("asset.creatd", ["asset.created"]),
        ("asset.brokn", ["asset.broken"]),
        ("invoice.paid", []),
        ("", []),
    ],
)
def test_a_word_of_other_programs_goes_before_a_near_spelling(name: str, likely: list[str]) -> None:
    assert likely_events(name)[: len(likely) or None] == likely


def test_each_event_is_found_by_its_own_words() -> None:
    for each in CATALOGUE:
        bare = each.value.partition(".")[2]
        assert likely_events(bare)[0] == each.value, bare
        assert each.value in likely_events(each.name), each.name


def test_a_long_name_is_cut_in_its_refusal() -> None:
    assert len(unknown_event("x" * 100_000)) < 200
