"""What an erasure changes, in numbers: register first, then what was sent, then who did what."""

import pytest

from portal.web.people import erasure_views as people_erasure_views

ONE = [
    "1 line of a timeline",
    "1 move of stock",
    "1 loan or allocation",
    "1 reservation",
    "1 maintenance job",
    "1 report of a loss, damage or transfer",
    "1 alert",
    "1 check for alerts",
    "1 delivery",
    "1 attempt",
    "1 import or bulk action",
    "1 row of an import or a bulk action",
    "1 entry of the audit trail",
]
MANY = [
    "2 lines of timelines",
    "2 moves of stock",
    "2 loans and allocations",
    "2 reservations",
    "2 maintenance jobs",
    "2 reports of losses, damage or transfers",
    "2 alerts",
    "2 checks for alerts",
    "2 deliveries",
    "2 attempts",
    "2 imports and bulk actions",
    "2 rows of imports and bulk actions",
    "2 entries of the audit trail",
]
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


@pytest.mark.parametrize(("count", "words"), [(1, ONE), (2, MANY), (0, [])])
def test_each_is_counted_in_its_place_and_none_is_not_told(count: int, words: list[str]) -> None:
    assert people_erasure_views.in_words(dict.fromkeys(TABLES, count)) == words
