"""The log in the order of the next attempts."""

from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.lib.paging import Cursor, UnreadableCursor
from portal.models.deliveries import Priority
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.log import find_next
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.web.signed_in import visit

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

OPEN = LogFilter(status=StatusFilter.OPEN)


def made() -> list[UUID]:
    """Store one delivery of each kind, and return them in the order of their attempts."""
    now = utcnow()
    minutes = {number: now + timedelta(minutes=number) for number in (-1, 3, 5, 8)}
    in_order, well = make_webhook(in_order=True), make_webhook()
    paused = make_webhook(throttled=True, backoff_until=minutes[5])
    late = make_delivery(well, status="retrying", tries=2, due_at=minutes[8])
    waits = make_delivery(paused, due_at=minutes[-1])
    head = make_delivery(in_order, status="retrying", tries=1, due_at=minutes[3])
    behind = make_delivery(in_order, due_at=minutes[-1])
    of_a_person = make_delivery(
        paused, priority=Priority.INTERACTIVE, prior_status="failed", due_at=minutes[-1]
    )
    off = make_delivery(make_webhook(state="off"), due_at=minutes[-1])
    make_delivery(well, status="failed")
    return [of_a_person, head, waits, late, behind, off]


def test_the_next_attempt_comes_first_and_deliveries_without_one_last() -> None:
    expected = made()
    rows = find_next(OPEN).rows
    assert [row.public_id for row in rows] == expected
    times = [row.next_try_at for row in rows]
    assert times[:4] == sorted(time for time in times[:4] if time)
    assert times[4:] == [None, None]
    only = find_next(LogFilter(status=StatusFilter.RETRYING, webhook=rows[3].webhook_id)).rows
    assert [row.public_id for row in only] == [expected[3]]


def test_neither_a_test_nor_a_retry_of_an_ended_delivery_goes_before_the_others() -> None:
    hook, now = make_webhook(in_order=True), utcnow()
    late = now + timedelta(minutes=9)
    retried = {"status": "retrying", "prior_status": "failed", "priority": Priority.INTERACTIVE}
    again = make_delivery(hook, due_at=late, **retried)
    test = make_delivery(hook, due_at=late, priority=Priority.TEST)
    head, behind = make_delivery(hook, due_at=now), make_delivery(hook, due_at=now)
    assert [row.public_id for row in find_next(OPEN).rows] == [head, again, test, behind]


def test_pages_show_each_delivery_once_and_lead_back() -> None:
    expected = made()
    first = find_next(OPEN, None, 4)
    second = find_next(OPEN, first.older, 4)
    assert [row.public_id for row in (*first.rows, *second.rows)] == expected
    assert (first.newer, second.older) == (None, None)
    assert [row.public_id for row in find_next(OPEN, second.newer, 4).rows] == expected[:4]


def test_an_edited_cursor_is_refused() -> None:
    for key in ((7,), ("soon", 7), ("0001-01-01T00:00:00+14:00", 7), (7, "x")):
        with pytest.raises(UnreadableCursor):
            find_next(OPEN, Cursor(key).encode())


def test_the_column_heading_leads_to_open_deliveries(app: Flask) -> None:
    expected = made()
    pages = visit(app, "support")
    page = pages.get("/deliveries?event=asset.created")
    page = pages.get(page.links("Next attempt")[0])
    assert page.path == "/deliveries?event=asset.created&sort=next&status=open"
    assert "Next attempt first." in page.main
    links = [link for link in page.links("Asset created, AST") if "/retry" not in link]
    shown = [link.rpartition("/")[2].partition("?")[0] for link in links]
    assert shown == [str(link) for link in expected]
    of_one = pages.get(links[0])
    assert page.path.split("?")[1] in of_one.html.replace("&amp;", "&")
    # The whole log does not have this order.
    assert "Newest first." in pages.get("/deliveries?sort=next").main
    assert log_pages.find_page(LogFilter()).page.rows
