"""The log in words: its tabs, the filters in force, and where its buttons lead."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from flask import request, url_for

from portal.models.deliveries import DeliveryStatus
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.log import EXPORT_LIMIT, LogRow
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.web.deliveries.bulk_retry_wording import taken_words
from portal.web.deliveries.forms import FAILED, LogFilterForm, failed_in, status_words, time_words
from portal.web.deliveries.list_place import delivery_url
from portal.web.deliveries.rows import (
    doubtful,
    event_name,
    held_end,
    here,
    may_overtake,
    may_retry,
    next_try,
    not_before,
    remarks,
    result,
    result_url,
    retried,
    row_id,
    row_url,
    status_note,
    took,
    tries,
    why_paused,
)
from portal.web.forms.edit_conflict import shown
from portal.web.forms.filter_form import SORT
from portal.web.frame.page_frame import RETRIED, page_url
from portal.web.frame.status_tags import Tab
from portal.web.frame.wording import counted, number, zone

# With what the list's templates ask of it.
__all__ = [
    "delivery_url",
    "doubtful",
    "event_name",
    "held_end",
    "here",
    "may_overtake",
    "may_retry",
    "next_try",
    "not_before",
    "remarks",
    "result",
    "result_url",
    "retried",
    "row_id",
    "row_url",
    "status_note",
    "taken_words",
    "took",
    "tries",
    "why_paused",
]

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
# Of an asset's deliveries: those that are shown as they are stored.
ASKED_FOR: Final = (
    DeliveryStatus.FAILED,
    DeliveryStatus.HELD,
    DeliveryStatus.STOPPED,
    DeliveryStatus.DELIVERED,
)
NO_FILTERS: Final = frozenset({"all", "cursor", SORT, RETRIED})
OF_A_PROBLEM: Final = frozenset({"status", "webhook", "reason", "code"})
# The orders of the log, as its address says them.
ORDERS: Final = (("", "Newest first"), ("when", "Oldest first"))
EXPORT_HINT: Final = f"All pages, at most the newest {number(EXPORT_LIMIT)}"


def tabs(wanted: LogFilter, attention: int | None) -> list[Tab]:
    """All, Needs attention, Waiting …, then Bulk retries; what somebody waits for with its number.

    A number says what its tab shows: there is none beside other filters. `attention`: how many need
    it, where that is known already.
    """
    is_narrowed = wanted != LogFilter(status=wanted.status, webhook=wanted.webhook)
    parts = [
        Tab(
            label=status_words(each) if each else "All",
            url=page_url(status=each, cursor=None),
            is_here=each is wanted.status,
            count=_count(each, wanted, attention) if each in COUNTED and not is_narrowed else None,
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
    running = len(bulk_retry.under_way())
    return Tab(
        label="Bulk retries",
        url=url_for("batches.index"),
        is_here=is_here,
        count=number(running) if running else None,
    )


def _count(status: StatusFilter, wanted: LogFilter, attention: int | None) -> str | None:
    is_known = status is StatusFilter.ATTENTION and attention is not None
    found = attention if is_known else log_pages.count(status, wanted.webhook)
    return counted(found) if found else None


def chips(form: LogFilterForm, rows: Sequence[LogRow]) -> list[dict[str, str]]:
    """The filters in force, each with the address without it."""
    asset = rows[0].asset_tag if rows else form.asset.data
    told = {form.asset.name: asset, form.time.name: time_words(form.time.data or "")}
    return [
        {
            "label": f"{field.label.text}: {told.get(field.name) or shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.data and shown(field)
    ]


def is_by_failure(form: LogFilterForm) -> bool:
    """Whether the time that is asked for is the one at which an attempt failed."""
    return (form.time.data or "").startswith(FAILED)


def failed_url(form: LogFilterForm) -> str:
    """Where what failed in a time is listed, in place of what was stored in it; blank where the
    filter asks for no time, or for that already."""
    span = form.time.data or ""
    if is_by_failure(form) or not (span or form.since.data or form.until.data):
        return ""
    return page_url(time=failed_in(span), status=None, cursor=None)


def answers_url(form: LogFilterForm) -> str:
    """Where what receivers answered is looked through for a search that found no delivery."""
    text = form.q.data or ""
    return page_url(q=None, answer=text, cursor=None) if text and not form.answer.data else ""


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


def looks_for_problems() -> bool:
    """Whether the address asks for what needs attention, and beside it for no more than a problem
    does: its webhook and its reason."""
    asked = {name for name, value in request.args.items() if value and name not in NO_FILTERS}
    return request.args.get("status") == StatusFilter.ATTENTION and asked <= OF_A_PROBLEM


def filters_in_force() -> dict[str, Any]:
    """What the address asks for, as the values of another one."""
    return {name: request.args.getlist(name) for name in request.args if name not in NO_FILTERS}
