"""What an erasure changes, in numbers: register first, then what was sent, then who did what."""

from pathlib import Path

from portal.web.people import erasure_views
from tests.support.golden.expected_file import Golden

GOLDEN = Path(__file__).parent / "golden" / "erasure.txt"

# In whatever order they were counted.
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


def test_each_is_counted_in_its_place_and_none_is_not_told(golden: Golden) -> None:
    told = [erasure_views.in_words(dict.fromkeys(TABLES, count)) for count in (1, 2)]
    golden.said(GOLDEN, dict(zip(*told, strict=True)))
    assert erasure_views.in_words(dict.fromkeys(TABLES, 0)) == []
