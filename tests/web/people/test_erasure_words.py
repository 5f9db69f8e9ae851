"""Wording of an erasure's counts: the register first, then deliveries, then audit entries."""

from pathlib import Path

from portal.web.people import erasure_views
from tests.support.golden.expected_file import Golden

GOLDEN = Path(__file__).parent / "golden" / "erasure.txt"

# In no particular order, to test the sorting.
TABLES = [
    "tasks",
    "activities",
    "stock_moves",
    "attempts",
    "audit_entries",
    "assignments",
    "task_rows",
    "reservations",
    "maintenances",
    "incidents",
    "alert_runs",
    "deliveries",
    "alerts",
]


def test_counts_are_sorted_and_zeros_are_left_out(golden: Golden) -> None:
    words = [erasure_views.in_words(dict.fromkeys(TABLES, count)) for count in (1, 2)]
    golden.said(GOLDEN, dict(zip(*words, strict=True)))
    assert erasure_views.in_words(dict.fromkeys(TABLES, 0)) == []
