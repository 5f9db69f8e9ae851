"""Measure pages, counts and clean-up of the log with ten thousand to ten million deliveries.

`BENCH_ROWS` sets the sizes. The time depends on other users of the machine. So each line also shows
the amount touched, in pages of PostgreSQL's buffers or thousands of steps of SQLite's machine.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from itertools import islice

from bench.support import log_rows
from bench.support.database_pages import touched
from bench.support.report import Line, milliseconds
from bench.support.world import DATABASES, webhooks, world
from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.lib.paging import Cursor
from portal.services.deliveries import bulk_retry_selection, trends
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.log import find_neighbours
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.operations import overview, retention
from portal.services.outbox import claimable
from portal.services.webhooks import backlog
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookOrder
from tests.support.factories import Hook, make_asset

ROWS = tuple(int(rows) for rows in os.environ.get("BENCH_ROWS", "10000,1000000").split(","))
REPEATS = 7
DAY = timedelta(days=1)


def run() -> Iterator[Line]:
    """Measure the first, a middle and the last page of each filter, with median and worst."""
    for database in DATABASES:
        for rows in ROWS:
            with world(database) as here:
                hooks = webhooks("http://127.0.0.1:9", log_rows.QUIET)
                make_asset("ThinkPad T14")
                log_rows.fill(rows)
                for words, calls in _calls(hooks, rows).items():
                    yield _line(f"{words}, {rows:,} rows, {database}", calls)
                del here


def _calls(hooks: list[Hook], rows: int) -> dict[str, list[Callable[[], object]]]:
    places = (None, Cursor((rows // 2,)).encode(), Cursor((rows // 100,)).encode())
    pages = {
        f"Log, {words}": [partial(log_pages.find_page, log_filter, place) for place in places]
        for words, log_filter in _filters(hooks).items()
    }
    return pages | {words: [call] for words, call in _others(hooks, rows).items()}


def _filters(hooks: list[Hook]) -> dict[str, LogFilter]:
    erp, now = hooks[6].public_id, utcnow()
    return {
        "unfiltered": LogFilter(),
        "one webhook": LogFilter(webhook=erp),
        "a webhook long quiet": LogFilter(webhook=hooks[log_rows.QUIET - 1].public_id),
        "webhook and status": LogFilter(webhook=erp, status=StatusFilter.DELIVERED),
        "needs attention": LogFilter(status=StatusFilter.ATTENTION),
        "what is undelivered at one": LogFilter(status=StatusFilter.UNDELIVERED, webhook=erp),
        "delivered": LogFilter(status=StatusFilter.DELIVERED),
        "queued": LogFilter(status=StatusFilter.QUEUED),
        "held (there is none)": LogFilter(status=StatusFilter.ON_HOLD),
        "one event": LogFilter(event=EventName.UPDATED),
        "a group of reasons": LogFilter(reasons=(Reason.SERVER, Reason.DNS)),
        "one code": LogFilter(codes=(500, 500)),
        "an asset's tag": LogFilter(search="AST-00001"),
        "a part of a name": LogFilter(search="ThinkPad"),
        "a day two weeks ago": LogFilter(since=now - 15 * DAY, until=now - 14 * DAY),
        "webhook, event and reason": LogFilter(
            webhook=erp, event=EventName.DELETED, reasons=(Reason.SERVER,)
        ),
        "an answer that one in twenty has": LogFilter(answer="serial_number"),
        "an answer that nobody gave": LogFilter(answer="no such words"),
    }


def _others(hooks: list[Hook], rows: int) -> dict[str, Callable[[], object]]:
    busy, now = hooks[log_rows.BUSY - 1].public_id, utcnow().replace(minute=0, second=0)
    week = [now.replace(microsecond=0) - day * DAY for day in range(7, -1, -1)]
    failed = LogFilter(status=StatusFilter.FAILED)
    return {
        "Webhooks in trouble": backlog.find,
        "Log, the oldest first": partial(log_pages.find_page, LogFilter(), oldest_first=True),
        "Previous and next of a delivery": partial(find_neighbours, LogFilter(), rows // 2),
        "Previous and next among what failed": partial(find_neighbours, failed, rows // 2),
        "Counts of the dashboard": overview.overview,
        "Charts of a week, every webhook": partial(trends.trends, week),
        "List of webhooks": webhook_queries.list_webhooks,
        "List of webhooks by last delivery": partial(
            webhook_queries.list_webhooks, order=WebhookOrder.LAST
        ),
        "Page of a webhook with a hundredth waiting": partial(webhook_queries.show, busy),
        "First 500 lines of an export": lambda: list(islice(log_pages.every(failed), 500)),
        "Counting before a bulk retry": partial(
            bulk_retry_selection.count, Selection(wanted=failed, newest=rows)
        ),
        "Is anything claimable": claimable.has_claimable,
        "A clean-up that finds nothing old": retention.prune,
    }


def _line(what: str, calls: list[Callable[[], object]]) -> Line:
    times = [_timed(call) for call in calls for _ in range(REPEATS)]
    work = max(map(touched, calls))
    note = f"worst {milliseconds(max(times))}, touched {work:,}"
    return Line(what, milliseconds(statistics.median(times)), note)


def _timed(call: Callable[[], object]) -> float:
    db.session.rollback()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
