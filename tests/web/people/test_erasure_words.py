"""Wording of an erasure's counts: the register first, then deliveries, then audit entries."""

from pathlib import Path

from portal.services.erasure.places import PLACES
from portal.web.people import erasure_views
from tests.support.golden.expected_file import Golden

GOLDEN = Path(__file__).parent / "golden" / "erasure.txt"

# Sorted by name, to test the order.
TABLES = sorted(place.table for place in PLACES)


def test_every_table_that_can_name_a_person_has_words() -> None:
    assert sorted(erasure_views.ROWS) == TABLES


def test_counts_are_sorted_and_zeros_are_left_out(golden: Golden) -> None:
    words = [erasure_views.in_words(dict.fromkeys(TABLES, count)) for count in (1, 2)]
    golden.said(GOLDEN, dict(zip(*words, strict=True)))
    assert erasure_views.in_words(dict.fromkeys(TABLES, 0)) == []
