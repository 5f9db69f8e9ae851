"""The log in words: its tabs, the filters in force, and what each line says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from flask import request, url_for

from portal.engine.events.catalogue import event_type
from portal.engine.health import has_asked
from portal.engine.reasons import Reason, title
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.lib.typed_text import harmless
from portal.models.deliveries import DeliveryStatus
from portal.services.bulk_retry import runs
from portal.services.core.unit_of_work import session
from portal.services.deliveries.answers import answers_of, doubtful_among
from portal.services.deliveries.earlier_reasons import earlier_reasons
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter, StatusFilter
from portal.services.deliveries.log.pages import EXPORT_LIMIT, LogRow
from portal.services.operations.retention import held_until
from portal.services.outbox.status import PausedFor, ShownStatus
from portal.web.deliveries.bulk_retries.taken import taken_words
from portal.web.deliveries.forms import FAILED, LogFilterForm, failed_in, status_words
from portal.web.deliveries.place.list_place import delivery_url
from portal.web.deliveries.retried_row import here, retried, row_id, row_url
from portal.web.forms.edit_conflict import shown
from portal.web.forms.list_order import SORT
from portal.web.frame.banner_views import sending_stop
from portal.web.frame.page_frame import RETRIED, page_url
from portal.web.frame.tabs import Tab
from portal.web.frame.wording import counted, day_of, number, zone
from portal.web.help.anchors import help_url

__all__ = ["delivery_url", "here", "retried", "row_id", "row_url", "taken_words"]

TABS: Final = (
    None,
    StatusFilter.ATTENTION,
    StatusFilter.WAITING,
    StatusFilter.PAUSED,
    StatusFilter.DELIVERED,
    StatusFilter.HELD,
)
COUNTED: Final = frozenset(
    {StatusFilter.ATTENTION, StatusFilter.WAITING, StatusFilter.PAUSED, StatusFilter.HELD}
)
PAUSED_FOR: Final = {
    PausedFor.RECEIVER: "The receiver isn't responding",
    PausedFor.ORDER: "An older one goes first",
}
# Of an asset's deliveries: those that are shown as they are stored.
ASKED_FOR: Final = (
    DeliveryStatus.FAILED,
    DeliveryStatus.HELD,
    DeliveryStatus.STOPPED,
    DeliveryStatus.DELIVERED,
)
NO_FILTERS: Final = frozenset({"all", "cursor", SORT, RETRIED})
# The orders of the log, as its address says them.
ORDERS: Final = (("", "Newest first"), ("when", "Oldest first"))
MOST_REMARKED: Final = 120  # characters
EXPORT_HINT: Final = f"All pages, at most the newest {number(EXPORT_LIMIT)}"


def tabs(wanted: LogFilter) -> list[Tab]:
    """All, Needs attention, Waiting …, then Bulk retries; what somebody waits for with its number.

    A number says what its tab shows: there is none beside other filters.
    """
    is_narrowed = wanted != LogFilter(status=wanted.status, webhook=wanted.webhook)
    parts = [
        Tab(
            label=status_words(each) if each else "All",
            url=page_url(status=each, cursor=None),
            is_here=each is wanted.status,
            count=_count(each, wanted) if each in COUNTED and not is_narrowed else None,
            is_bad=each is StatusFilter.ATTENTION,
        )
        for each in TABS
    ]
    return [*parts, _bulk_retries(is_here=False)]


def tabs_elsewhere() -> list[Tab]:
    """The same on the page of bulk retries: without numbers, which are the log's own."""
    parts = [
        Tab(
            label=status_words(each) if each else "All",
            url=url_for("deliveries.index", status=each),
            is_here=False,
        )
        for each in TABS
    ]
    return [*parts, _bulk_retries(is_here=True)]


def _bulk_retries(*, is_here: bool) -> Tab:
    """All bulk retries, with how many of them have not ended."""
    running = len(runs.under_way())
    return Tab(
        label="Bulk retries",
        url=url_for("batches.index"),
        is_here=is_here,
        count=number(running) if running else None,
    )


def _count(status: StatusFilter, wanted: LogFilter) -> str | None:
    found = log_pages.count(status, wanted.webhook)
    return counted(found) if found else None


def chips(form: LogFilterForm, rows: Sequence[LogRow]) -> list[dict[str, str]]:
    """The filters in force, each with the address without it."""
    asset = rows[0].asset_tag if rows else form.asset.data
    return [
        {
            "label": f"{field.label.text}: {asset if field.name == 'asset' else shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.data and shown(field)
    ]


def failed_url(form: LogFilterForm) -> str:
    """Where what failed in a time is listed, in place of what was stored in it; blank where the
    filter asks for no time, or for that already."""
    span = form.time.data or ""
    if span.startswith(FAILED) or not (span or form.since.data or form.until.data):
        return ""
    return page_url(time=failed_in(span), status=None, cursor=None)


def counts_of_asset(asset_id: int) -> list[tuple[str, str]]:
    """ "3 held", with where they are listed: of each status that one looks for."""
    counts = log_pages.count_of_asset(asset_id)
    return [
        (
            f"{number(counts[status])} {status_words(StatusFilter(status)).lower()}",
            url_for("deliveries.index", asset=asset_id, status=status),
        )
        for status in ASKED_FOR
        if status in counts
    ]


def failures_url(begins: datetime, ends: datetime, webhook: UUID | None = None) -> str:
    """Where the deliveries are listed of which an attempt failed in between, to one if given."""
    since, until = (f"{at.astimezone(zone()):%Y-%m-%d %H:%M}" for at in (begins, ends))
    return url_for("deliveries.index", time=failed_in(), since=since, until=until, webhook=webhook)


def event_name(event: str) -> str:
    """The plain name of an event."""
    return event_type(event).name


def result(row: LogRow) -> str:
    """How the last attempt ended, in a few words; blank before the first. Of what failed in a time,
    why it did then."""
    if row.failure:
        return title(Reason(row.failure.reason or Reason.INTERRUPTED), row.failure.code)
    if row.reason is None and row.code:
        return f"{row.code} in {took(row.took_ms)}" if row.took_ms else f"Answered {row.code}"
    if row.reason is None:
        return ""
    words = title(Reason(row.reason), row.code)
    is_past = row.status is ShownStatus.DELIVERED
    return f"Arrived before. Last attempt: {words}" if is_past else words


def doubtful(rows: Sequence[LogRow]) -> frozenset[UUID]:
    """Those that count as delivered although the answer's text speaks of an error."""
    arrived = [
        row
        for row in rows
        if row.status is ShownStatus.DELIVERED and not (row.reason or row.failure)
    ]
    return doubtful_among([row.public_id for row in arrived])


@dataclass(frozen=True, slots=True)
class Remark:
    """What stands beside a result; `is_earlier`: in a line of its own, for it is told whole."""

    text: str
    is_earlier: bool = False


def remarks(rows: Sequence[LogRow]) -> dict[UUID, Remark]:
    """What stands beside the results of a page: why it failed before a Retry failed for another
    reason, else the first line of what the receiver answered."""
    then = {row.public_id: _first_line(row.failure.said) for row in rows if row.failure}
    rows = [row for row in rows if not row.failure]
    failed = {row.id: row.public_id for row in rows if row.reason}
    tried = [row.id for row in rows if row.reason and row.attempts > 1]
    earlier = earlier_reasons(session(), tried)
    said = answers_of([row_id for row_id in failed if row_id not in earlier])
    told = {
        row_id: Remark(f"earlier: {each.words}", is_earlier=True)
        for row_id, each in earlier.items()
    }
    told |= {row_id: Remark(line) for row_id, text in said.items() if (line := _first_line(text))}
    now = {failed[row_id]: remark for row_id, remark in told.items()}
    return now | {row_id: Remark(line) for row_id, line in then.items() if line}


def _first_line(text: str) -> str:
    """Written by somebody else: on one line, and without what a terminal would act on."""
    lines = harmless(text).strip().splitlines()
    return lines[0].strip()[:MOST_REMARKED] if lines else ""


def result_url(row: LogRow) -> str:
    """Where the help explains why the last attempt failed; blank where it did not."""
    if row.failure:
        return help_url(Reason(row.failure.reason or Reason.INTERRUPTED), row.failure.code)
    return help_url(Reason(row.reason), row.code) if row.reason else ""


def why_paused(row: LogRow) -> str:
    """What a paused delivery waits for; empty for any other."""
    if row.paused_for is PausedFor.RECEIVER and has_asked(row.next_try_at, utcnow()):
        return "The receiver asked us to wait"
    return PAUSED_FOR[row.paused_for] if row.paused_for else ""


def status_note(row: LogRow) -> str:
    """What stands under a status: why it is paused, or until when it is held."""
    if row.status is ShownStatus.HELD:
        return held_end(row.created_at, row.webhook_off_at)
    return why_paused(row)


def held_end(created_at: datetime, off_at: datetime | None) -> str:
    """ "Kept until 24 Dec": what becomes of a held delivery by itself. As `held_until` takes it."""
    return f"Kept until {day_of(held_until(created_at, off_at))}"


def tries(made: int) -> str:
    """ "2 of 10": the scheduled tries that were made."""
    return f"{made} of {len(settings().webhook_retry_schedule)}"


def next_try(row: LogRow) -> datetime | str:
    """When it goes by itself: a time to come, or words; empty when it does not."""
    if row.waits_behind:
        return "after an older one"
    if row.next_try_at is None or row.status is ShownStatus.SENDING:
        return ""
    if sending_stop():
        return "when sending starts"
    return row.next_try_at if row.next_try_at > utcnow() else "now"


def may_retry(row: LogRow) -> bool:
    """Whether a Retry is offered: where it would be taken."""
    return row.is_retryable and not sending_stop()


def may_overtake(row: LogRow) -> bool:
    """Whether a Retry could go out of turn, which has to be asked about first."""
    return row.is_in_order and (row.waits_behind or row.next_try_at is None)


def took(milliseconds: int | None) -> str:
    """How long the last attempt took."""
    return "" if milliseconds is None else in_words(milliseconds / 1000)


def export_url() -> str:
    """Where what the filters leave can be had as a file: all pages of it."""
    return url_for("deliveries.export", **filters_in_force())


def excel_url() -> str:
    """The same for people who open it in a spreadsheet."""
    return url_for("deliveries.export_for_excel", **filters_in_force())


def retry_all_url() -> str:
    """Where people are asked before all that the filters leave is retried."""
    return url_for("batches.confirm", **{**filters_in_force(), "all": "1"})


def is_searched() -> bool:
    """Whether the address asks for anything but the whole log from its beginning."""
    return any(value for name, value in request.args.items() if name not in NO_FILTERS)


def filters_in_force() -> dict[str, Any]:
    """What the address asks for, as the values of another one."""
    return {name: request.args.getlist(name) for name in request.args if name not in NO_FILTERS}
