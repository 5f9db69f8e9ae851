"""The log as lines: for programs, and for people who open it in a spreadsheet."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from portal.engine.reasons import Reason, title
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.log import EXPORT_CHUNK, LogRow
from portal.services.deliveries.statuses import LogFilter
from portal.web.deliveries.log_presenter import remarks, result, why_paused
from portal.web.deliveries.wording import event_name
from portal.web.frame.status_tags import DELIVERY
from portal.web.frame.wording import zone

COLUMNS: Final = (
    "stored_at",
    "delivery_id",
    "event",
    "event_name",
    "asset_tag",
    "asset_name",
    "webhook",
    "status",
    "paused_because",
    "is_test",
    "reason",
    "result",
    "code",
    "tries",
    "attempts",
    "times_sent",
    "next_try_at",
    "took_ms",
    "ended_at",
)
HEADINGS: Final = (
    "When ({zone})",
    "Event",
    "Asset tag",
    "Asset",
    "Webhook",
    "Status",
    "Result",
    "What came back, or why it failed before",
    "Attempts",
    "Times sent",
    "Next attempt ({zone})",
    "Arrived, failed or stopped ({zone})",
    "Took (seconds)",
    "Test",
    "Delivery id",
)


def lines(log_filter: LogFilter) -> Iterator[Sequence[object]]:
    """Yield the headings, then a line for each delivery."""
    yield COLUMNS
    for row in log_pages.every(log_filter):
        yield _line(row)


def lines_for_people(log_filter: LogFilter) -> Iterator[Sequence[object]]:
    """Yield the same with the page's own words, and times in the reader's zone as Excel takes
    them."""
    # Who reads is known now, and no more when the lines are sent.
    return _lines_for_people(log_filter, zone())


def _lines_for_people(log_filter: LogFilter, local: ZoneInfo) -> Iterator[Sequence[object]]:
    failed = ("Failed ({zone})",) if log_filter.failed else ()
    yield [heading.format(zone=local.key) for heading in (*failed, *HEADINGS)]
    rows = log_pages.every(log_filter)
    while chunk := list(islice(rows, EXPORT_CHUNK)):
        said = {row_id: remark.text for row_id, remark in remarks(chunk).items()}
        session().rollback()
        for row in chunk:
            when = (_local(row.failure and row.failure.at, local),) if failed else ()
            yield (*when, *_for_people(row, said.get(row.public_id, ""), local))


def _for_people(row: LogRow, said: str, local: ZoneInfo) -> Sequence[object]:
    return (
        _local(row.created_at, local),
        event_name(row.event),
        row.asset_tag,
        row.asset_name,
        row.webhook_name,
        DELIVERY[row.status].word,
        result(row) or why_paused(row),
        said,
        row.tries,
        row.sent,
        _local(row.next_try_at, local),
        _local(row.finished_at, local),
        None if row.took_ms is None else row.took_ms / 1000,
        "Yes" if row.is_test else "No",
        row.public_id,
    )


def _local(at: datetime | None, local: ZoneInfo) -> str:
    """Say "2026-05-03 18:00:12": a time to any spreadsheet, whatever its language."""
    return f"{at.astimezone(local):%Y-%m-%d %H:%M:%S}" if at else ""


def _line(row: LogRow) -> Sequence[object]:
    return (
        row.created_at,
        row.public_id,
        row.event,
        event_name(row.event),
        row.asset_tag,
        row.asset_name,
        row.webhook_name,
        DELIVERY[row.status].word,
        why_paused(row),
        "yes" if row.is_test else "no",
        row.reason,
        title(Reason(row.reason), row.code) if row.reason else "",
        row.code,
        row.tries,
        row.attempts,
        row.sent,
        row.next_try_at,
        row.took_ms,
        row.finished_at,
    )
