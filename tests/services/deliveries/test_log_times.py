"""The time filter of the log goes by storage times, which can differ from the order of the rows."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from portal.lib.clock import utcnow
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

SECOND = timedelta(seconds=1)


def ids(wanted: LogFilter) -> Sequence[UUID]:
    return [row.public_id for row in log_pages.find_page(wanted).page.rows]


def test_the_time_filter_goes_by_storage_time() -> None:
    webhook, now = make_webhook(), utcnow()
    ages = (timedelta(days=2), timedelta(hours=2), timedelta(minutes=2))
    old, middle, new = (make_delivery(webhook, created_at=now - age) for age in ages)
    assert ids(LogFilter(since=now - timedelta(hours=1))) == [new]
    assert ids(LogFilter(until=now - timedelta(hours=1))) == [middle, old]
    day = LogFilter(since=now - timedelta(days=1), until=now - timedelta(hours=1))
    assert ids(day) == [middle]
    assert ids(LogFilter(since=now + timedelta(hours=1))) == []
    assert ids(LogFilter(until=now - timedelta(days=9))) == []


def test_rows_stored_almost_together_can_be_out_of_order() -> None:
    """Ids are assigned before the commit, so the later of two rows can have the lower id."""
    webhook, at = make_webhook(), utcnow() - timedelta(days=1)
    numbers = (-86_400, 30, 20, 10, 86_000)
    old, last, middle, first, new = (
        make_delivery(webhook, created_at=at + number * SECOND) for number in numbers
    )
    for since, until, expected in (
        (0, 31, [first, middle, last]),
        (10, 30, [first, middle]),
        (15, 60, [middle, last]),
        (0, 25, [first, middle]),
        (21, 60, [last]),
        (0, 19, [first]),
        (-90_000, 90_000, [new, first, middle, last, old]),
    ):
        log_filter = LogFilter(since=at + since * SECOND, until=at + until * SECOND)
        assert ids(log_filter) == expected


def test_a_clock_set_back_hides_no_row_from_the_time_filter() -> None:
    webhook, now = make_webhook(), utcnow()
    oldest, new, old, newest = (
        make_delivery(webhook, created_at=now - timedelta(hours=hours)) for hours in (72, 2, 48, 1)
    )
    assert ids(LogFilter(since=now - timedelta(days=1))) == [newest, new]
    assert ids(LogFilter(until=now - timedelta(days=1))) == [old, oldest]
