"""Export the log as CSV rows, for programs and for people with a spreadsheet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final
from zoneinfo import ZoneInfo

from portal.services.core.unit_of_work import session
from portal.services.deliveries.log import EXPORT_CHUNK, LogRow
from portal.web.deliveries.contents import shows_content
from portal.web.deliveries.log_presenter import remarks, result, status_note
from portal.web.deliveries.wording import event_name
from portal.web.frame.status_tags import DELIVERY
from portal.web.frame.wording import zone


def _local(at: datetime | None, local: ZoneInfo) -> str:
    """Return "2026-05-03 18:00:12", which spreadsheets in any language read as a time."""
    return f"{at.astimezone(local):%Y-%m-%d %H:%M:%S}" if at else ""


# For programs.
COLUMNS: Final[Mapping[str, Callable[[LogRow], object]]] = {
    "stored_at": lambda row: row.created_at,
    "delivery_id": lambda row: row.public_id,
    "event": lambda row: row.event,
    "event_name": lambda row: event_name(row.event),
    "asset_tag": lambda row: row.asset_tag,
    "asset_name": lambda row: row.asset_name,
    "webhook": lambda row: row.webhook_name,
    "status": lambda row: DELIVERY[row.status].word,
    "status_note": status_note,
    "is_test": lambda row: "yes" if row.is_test else "no",
    "reason": lambda row: row.reason,
    "result": result,
    "code": lambda row: row.code,
    "tries": lambda row: row.tries,
    "attempts": lambda row: row.attempts,
    "times_sent": lambda row: row.sent,
    "next_try_at": lambda row: row.next_try_at,
    "took_ms": lambda row: row.took_ms,
    "ended_at": lambda row: row.finished_at,
    "failing_since": lambda row: row.failing_since,
    "dismissed_by": lambda row: row.dismissed_by,
    "dismissed_at": lambda row: row.dismissed_at,
    "dismissed_reason": lambda row: row.dismissed_reason,
}
# For people. The functions take the row, its remark, and the time zone.
HEADINGS: Final[Mapping[str, Callable[[LogRow, str, ZoneInfo], object]]] = {
    "Time ({zone})": lambda row, _, local: _local(row.created_at, local),
    "Event": lambda row, *_: event_name(row.event),
    "Asset tag": lambda row, *_: row.asset_tag,
    "Asset": lambda row, *_: row.asset_name,
    "Webhook": lambda row, *_: row.webhook_name,
    "Status": lambda row, *_: DELIVERY[row.status].word,
    "Result": lambda row, *_: result(row) or status_note(row),
    "Response or earlier failure": lambda _, said, __: said,
    "Attempts": lambda row, *_: row.tries,
    "Times sent": lambda row, *_: row.sent,
    "Next attempt ({zone})": lambda row, _, local: _local(row.next_try_at, local),
    "Delivered, failed, or dismissed ({zone})": lambda row, _, local: _local(
        row.finished_at, local
    ),
    "Failing since ({zone})": lambda row, _, local: _local(row.failing_since, local),
    "Duration (seconds)": lambda row, *_: None if row.took_ms is None else row.took_ms / 1000,
    "Dismissed by": lambda row, *_: row.dismissed_by,
    "Dismiss reason": lambda row, *_: row.dismissed_reason,
    "Test": lambda row, *_: "Yes" if row.is_test else "No",
    "Delivery ID": lambda row, *_: row.public_id,
}


def lines(rows: Iterator[LogRow]) -> Iterator[Sequence[object]]:
    """Yield the headings, then a line for each delivery."""
    yield list(COLUMNS)
    for row in rows:
        yield [read(row) for read in COLUMNS.values()]


def lines_for_people(
    rows: Iterator[LogRow], *, by_failure: bool = False
) -> Iterator[Sequence[object]]:
    """Yield rows in the page's words, with times in the reader's zone as Excel takes them.

    `by_failure` adds the time of the failed attempt by which the rows were filtered.
    """
    # The reader is known now, but no longer when the response streams the rows.
    return _lines_for_people(rows, zone(), by_failure=by_failure, with_content=shows_content())


def _lines_for_people(
    rows: Iterator[LogRow], local: ZoneInfo, *, by_failure: bool, with_content: bool
) -> Iterator[Sequence[object]]:
    failed = ("Failed ({zone})",) if by_failure else ()
    yield [heading.format(zone=local.key) for heading in (*failed, *HEADINGS)]
    while chunk := list(islice(rows, EXPORT_CHUNK)):
        remarks_by_id = remarks(chunk, with_content=with_content)
        session().rollback()
        for row in chunk:
            when = (_local(row.failure and row.failure.at, local),) if failed else ()
            remark = remarks_by_id.get(row.public_id, "")
            yield (*when, *(read(row, remark, local) for read in HEADINGS.values()))
