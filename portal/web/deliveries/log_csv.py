"""The log as lines for a spreadsheet: what the page shows, in full."""

from collections.abc import Iterator, Sequence
from typing import Final

from portal.engine.reasons import Reason, title
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter
from portal.services.deliveries.log.pages import LogRow
from portal.web.deliveries.log_presenter import event_name, why_paused
from portal.web.frame.status_tags import delivery_tag

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
)


def lines(wanted: LogFilter) -> Iterator[Sequence[object]]:
    """The headings, then a line for each delivery."""
    yield COLUMNS
    for row in log_pages.every(wanted):
        yield _line(row)


def _line(row: LogRow) -> Sequence[object]:
    return (
        row.created_at,
        row.public_id,
        row.event,
        event_name(row.event),
        row.asset_tag,
        row.asset_name,
        row.webhook_name,
        delivery_tag(row.status).word,
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
    )
