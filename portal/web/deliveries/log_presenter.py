"""The log in words: its lines, tabs and filters, and where its buttons lead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from flask import request, url_for

from portal.engine.answer_words import sentence_in
from portal.engine.reasons import Reason, title
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.lib.typed_text import harmless
from portal.models.deliveries import OPEN, DeliveryStatus
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.answers import Said, answers_of, doubtful_among, earlier_reasons
from portal.services.deliveries.log import EXPORT_LIMIT, RETRYABLE, LogRow, Matches
from portal.services.deliveries.log_query import Failure
from portal.services.deliveries.retry import GONE, why_not_retry
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.deliveries.trends import Span
from portal.web.deliveries.contents import delivery_for_reader, shows_content
from portal.web.deliveries.forms import FAILED, LogFilterForm, failed_in, status_words, time_words
from portal.web.deliveries.list_place import (
    NEXT,
    WHEN,
    delivery_url,
    here,
    is_open_alone,
    next_heading,
    row_id,
)
from portal.web.deliveries.retried_by import taken_words
from portal.web.deliveries.wording import (
    NOTES,
    RetryOutcome,
    attempts_words,
    by_status,
    causes_words,
    event_name,
    is_live,
    kept_words,
    outcome_of,
    pause_words,
    took,
    turns_on_at,
    under_way,
)
from portal.web.forms.filter_form import SORT, ListOrder
from portal.web.forms.parsing import uuid_or_none
from portal.web.forms.versions import shown
from portal.web.frame.layout import RETRIED, page_url
from portal.web.frame.site_state import in_trouble, may_send, sending_stop, trouble_totals
from portal.web.frame.status_tags import Tab
from portal.web.frame.wording import counted, near_time, number, zone

TABS: Final = (
    None,
    StatusFilter.ATTENTION,
    StatusFilter.QUEUED,
    StatusFilter.RETRYING,
    StatusFilter.ON_HOLD,
    StatusFilter.DELIVERED,
    StatusFilter.FAILED,
    StatusFilter.DISMISSED,
)
COUNTED: Final = (
    StatusFilter.QUEUED,
    StatusFilter.RETRYING,
    StatusFilter.ON_HOLD,
)
# What a bulk retry can send; the others wait for something else, or have to be restored.
IN_BULK: Final = (DeliveryStatus.RETRYING, DeliveryStatus.FAILED, DeliveryStatus.DELIVERED)
# What *Resume now* sends.
SENT_BY_RESUME: Final = frozenset({StatusFilter.QUEUED, StatusFilter.RETRYING, StatusFilter.OPEN})
# Why others of these statuses can't be retried together with them.
OTHERS: Final = "already queued, in a bulk retry, or for a webhook that’s off"
NO_FILTERS: Final = frozenset({"all", "cursor", SORT, RETRIED})
OF_A_PROBLEM: Final = frozenset({"status", "webhook", "reason", "code"})
# The orders of the log, as its address says them.
ORDERS: Final = (("", "Newest first"), (WHEN, "Oldest first"))
NEXT_ORDER: Final = (NEXT, "Next attempt first")
EXPORT_HINT: Final = f"All pages, up to the newest {number(EXPORT_LIMIT)}"
MOST_REMARKED: Final = 120  # characters


# With what the list's templates ask of it.
__all__ = ["delivery_url", "event_name", "here", "next_heading", "row_id"]


def is_narrowed(log_filter: LogFilter) -> bool:
    """Return whether it asks for more than a status and a webhook."""
    return log_filter != LogFilter(status=log_filter.status, webhook=log_filter.webhook)


def tabs(
    log_filter: LogFilter | None = None,
    within: Matches | None = None,
) -> list[Tab]:
    """Return All, Needs attention, Queued …, then Bulk retries, as seen under the log's filter or,
    without one, on the page of bulk retries.

    A number says what its tab shows: there is none where more match than are counted. `within`:
    what matches the other filters, if any.
    """
    numbers: dict[StatusFilter | None, int] = {}
    if within and not within.is_more:
        numbers = {status: within.statuses[DeliveryStatus(status)] for status in COUNTED}
        numbers[StatusFilter.ATTENTION] = within.attention
    elif not within:
        here = log_filter.webhook if log_filter else None
        numbers = {status: log_pages.count(status, here) for status in COUNTED}
        numbers[StatusFilter.ATTENTION] = _attention(here)
    shown_by = log_filter.status if log_filter else None
    if log_filter and log_filter.webhook and numbers.get(StatusFilter.ATTENTION):
        # All that is undelivered at a webhook in trouble needs attention.
        is_all = shown_by is StatusFilter.UNDELIVERED
        shown_by = StatusFilter.ATTENTION if is_all else shown_by
    parts = [
        Tab(
            label=status_words(status) if status else "All",
            url=page_url(status=status, cursor=None)
            if log_filter
            else url_for("deliveries.index", status=status),
            is_here=log_filter is not None and status is shown_by,
            count=counted(numbers[status]) if numbers.get(status) else None,
            is_bad=status is StatusFilter.ATTENTION,
        )
        for status in TABS
    ]
    running = len(bulk_retry.under_way())
    last = Tab(
        label="Bulk retries",
        url=url_for("batches.index"),
        is_here=log_filter is None,
        count=number(running) if running else None,
    )
    return [*parts, last]


def _attention(webhook: UUID | None) -> int:
    """Count what needs attention, as the navigation does; of one webhook, what is undelivered."""
    if webhook is None:
        return trouble_totals().undelivered
    return log_pages.count(StatusFilter.ATTENTION, webhook)


def chips(form: LogFilterForm, rows: Sequence[LogRow]) -> list[dict[str, str]]:
    """Return the filters in force by their names, each with the address without it."""
    asset = rows[0].asset_tag if rows else form.asset.data
    values = {form.asset.name: asset, form.time.name: time_words(form.time.data or "")}
    return [
        {
            "name": field.name,
            "label": f"{field.label.text}: {values.get(field.name) or shown(field)}",
            "url": page_url(**{field.name: None, "cursor": None}),
        }
        for field in form
        if field.data and shown(field)
    ]


def failed_url(form: LogFilterForm) -> str:
    """Return where what failed in a time is listed, in place of what was stored in it; blank where
    the filter asks for no time, or for that already."""
    span = form.time.data or ""
    if span.startswith(FAILED) or not (span or form.since.data or form.until.data):
        return ""
    return page_url(time=failed_in(span), status=None, cursor=None)


def answers_url(form: LogFilterForm) -> str:
    """Return the search of answers for the words that found no delivery."""
    text = form.q.data or ""
    return page_url(q=None, answer=text, cursor=None) if text and not form.answer.data else ""


def counts_of_asset(asset_id: int) -> list[tuple[str, str]]:
    """Say "3 on hold", with where they are listed: of each status that there is."""
    counts = log_pages.count_of_asset(asset_id)
    return [
        (
            f"{number(counts[status])} {status_words(StatusFilter(status)).lower()}",
            url_for("deliveries.index", asset=asset_id, status=status),
        )
        for status in DeliveryStatus
        if status in counts
    ]


def failures_url(begins: datetime, ends: datetime) -> str:
    """Return the list of deliveries of which an attempt failed in between."""
    since, until = _in_address(begins), _in_address(ends)
    return url_for("deliveries.index", time=failed_in(), since=since, until=until)


def span_url(span: Span, webhook: UUID | None = None) -> str:
    """Return where the deliveries of a chart's bar are listed: those that failed in it, if any."""
    time = failed_in() if span.failed_attempts else None
    since, until = _in_address(span.begins), _in_address(span.ends)
    return url_for("deliveries.index", time=time, since=since, until=until, webhook=webhook)


def _in_address(at: datetime) -> str:
    return f"{at.astimezone(zone()):%Y-%m-%d %H:%M}"


def matches_words(found: Matches) -> str:
    """Say "141 matches", "1 match", "10,000+ matches"."""
    many = counted(found.total)
    many = f"{many.rstrip('+')}+" if found.is_more else many
    return f"{many} {'match' if many == '1' else 'matches'}"


def statuses_words(found: Matches) -> str:
    """Say "14 on hold, 9 delivered. 7 can be retried." of what matches, where all of it was counted
    and it is not all the same."""
    if found.is_more:
        return ""
    words = by_status(found.statuses)
    words = words if ", " in words else ""
    if found.retryable in (0, found.total) or not may_send("deliveries.retry"):
        return words
    is_resend = DeliveryStatus.DELIVERED in found.retryables
    can_be = "resent" if is_resend else "retried"
    statuses = [DeliveryStatus.DELIVERED] if is_resend else RETRYABLE
    left = sum(found.statuses[status] for status in statuses) - found.retryable
    others = f" {number(left)} {'is' if left == 1 else 'are'} {OTHERS}." if left > 0 else ""
    return f"{words and words + '. '}{number(found.retryable)} can be {can_be}.{others}"


def all_words(verb: str, many: int, found: Matches) -> str:
    """Say "Retry all 96", "Retry 7" of more, without numbers where more match than are counted."""
    if found.is_more:
        return f"{verb} all"
    if many == found.total > 1:
        return f"{verb} all {number(many)}"
    return f"{verb} {number(many)}"


def orders() -> tuple[tuple[str, str], ...]:
    """Return the orders that can be chosen under the filter of the address."""
    return (*ORDERS, NEXT_ORDER) if is_open_alone() else ORDERS


def order_words(order: ListOrder) -> str:
    """Say in which order the list is."""
    if order.by == NEXT:
        return "Next attempt first."
    return "Oldest first." if order.is_reversed else "Newest first."


def retry_all_url() -> str:
    """Return where people are asked before all that the filters leave is retried."""
    return url_for("batches.confirm", **{**filters_in_force(), "all": "1"})


def dismiss_all_url() -> str:
    """Return where people are asked before all that the filters leave is dismissed."""
    return url_for("dismissals.dismiss", **{**filters_in_force(), "all": "1"})


def is_searched() -> bool:
    """Return whether the address asks for anything but the whole log from its beginning."""
    return any(value for name, value in request.args.items() if name not in NO_FILTERS)


def looks_for_problems() -> bool:
    """Return whether the address asks for what needs attention, and beside it for no more than a
    problem does: its webhook and its reason."""
    asked = {name for name, value in request.args.items() if value and name not in NO_FILTERS}
    return request.args.get("status") == StatusFilter.ATTENTION and asked <= OF_A_PROBLEM


def filters_in_force() -> dict[str, Any]:
    """Return what the address asks for, as the values of another one."""
    return {name: request.args.getlist(name) for name in request.args if name not in NO_FILTERS}


def result(row: LogRow) -> str:
    """Say how the last attempt ended, or the last failed one of the time that is asked for.

    What was delivered has one result, whatever failed before or since.
    """
    if row.failure and row.status is not DeliveryStatus.DELIVERED:
        return title(Reason(row.failure.reason or Reason.INTERRUPTED), row.failure.code)
    if row.reason is None and row.code:
        took_words = took(row.took_ms)
        return f"{row.code} in {took_words}" if took_words else f"Responded {row.code}"
    return title(Reason(row.reason), row.code) if row.reason else ""


def status_note(row: LogRow) -> str:
    """Return what a line says beside its status."""
    return NOTES[row.status](row)


def next_attempt(row: LogRow) -> datetime | str:
    """Return when it is attempted next, a time to come, or what that waits for; blank where no
    attempt is planned."""
    if row.status is DeliveryStatus.ON_HOLD:
        if row.is_webhook_active:
            return ""
        return turns_on_at(row.webhook_off_until) or "When turned on"
    kept = kept_words(row) if row.status in OPEN else ""
    if kept or row.next_try_at is None:
        return kept
    return row.next_try_at if row.next_try_at > utcnow() else "Next"


def by_event(rows: Sequence[LogRow]) -> list[list[LogRow]]:
    """Put neighbors of one event together."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.event_id)]


def may_retry(row: LogRow) -> bool:
    """Return whether a Retry is offered: where it would be taken."""
    return why_not_retry(row.eligibility) is None and not sending_stop()


def may_overtake(row: LogRow) -> bool:
    """Return whether a Retry could go out of turn, which has to be asked about first."""
    return row.is_in_order and row.next_try_at is None  # nor has one that waits for an older one


def doubtful(rows: Sequence[LogRow]) -> frozenset[UUID]:
    """Return those that count as delivered although the answer's text speaks of an error."""
    arrived = [
        row
        for row in rows
        if row.status is DeliveryStatus.DELIVERED and not (row.resent or row.failure)
    ]
    return doubtful_among([row.public_id for row in arrived] if shows_content() else [])


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a line: `text`, and below it what else is known. Tones: danger, soft, or none.
    `is_taken`: it is in a bulk retry now."""

    text: str
    below: str = ""
    tone: str = ""
    is_taken: bool = False


def results(rows: Sequence[LogRow]) -> dict[UUID, Result]:
    """Return the results of the lines of a page."""
    is_doubtful, taken = doubtful(rows), taken_words(rows)
    beside = remarks(rows, with_content=shows_content())
    causes = _causes(rows)
    return {
        row.public_id: _doubtful(row)
        if row.public_id in is_doubtful
        else _result(
            row,
            beside.get(row.public_id, ""),
            taken.get(row.public_id, ""),
            causes.get(row.webhook_id, ""),
        )
        for row in rows
    }


def _causes(rows: Sequence[LogRow]) -> dict[UUID, str]:
    """Return why webhooks are paused whose deliveries are queued behind that."""
    if not any(row.status is DeliveryStatus.QUEUED and pause_words(row) for row in rows):
        return {}
    return {each.public_id: causes_words(each.causes) for each in in_trouble()}


def _doubtful(row: LogRow) -> Result:
    return Result(f"{row.code}, but the response mentions an error", tone="danger")


def _result(row: LogRow, remark: str, taken: str, paused_for: str) -> Result:
    text, failed = result(row), f"Failed {near_time(row.failure.at)}" if row.failure else ""
    match row.status:
        case DeliveryStatus.DELIVERED:
            sent = f"Sent {row.sent} times" if row.sent > 1 else ""
            below = taken or _joined(failed, remark, status_note(row), sent)
            return Result(text, below, tone="soft", is_taken=bool(taken))
        case DeliveryStatus.ON_HOLD | DeliveryStatus.DISMISSED:
            below = taken or _joined(failed, text, remark if row.said else "")
            return Result(status_note(row), below, is_taken=bool(taken))
    paused = pause_words(row)
    if row.status is DeliveryStatus.QUEUED:
        return Result(paused, taken or (paused and paused_for), is_taken=bool(taken))
    below = taken or _joined(failed or attempts_words(row), paused, remark)
    return Result(text, below, "danger", is_taken=bool(taken))


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))


def remarks(rows: Sequence[LogRow], *, with_content: bool) -> dict[UUID, str]:
    """Return what is known beside the results of a page: the response that was looked for, else why
    it failed before a Retry failed for another reason, else what the receiver said.

    `with_content`: whether the reader may see what receivers said.
    """
    if not with_content:
        rows = [_without_content(row) for row in rows]
    sought = {row.public_id: _sought(row.said) for row in rows if row.said}
    then = {row.public_id: _failed_then(row, row.failure) for row in rows if row.failure}
    rows = [row for row in rows if not (row.failure or row.said)]
    failed = {row.id: row.public_id for row in rows if row.reason}
    tried = [row.id for row in rows if row.reason and row.attempts > 1]
    earlier = earlier_reasons(session(), tried)
    silent = [row_id for row_id in failed if row_id not in earlier] if with_content else []
    said = answers_of(silent)
    by_row = {row_id: f"Earlier: {reason.words}" for row_id, reason in earlier.items()}
    by_row |= {row_id: line for row_id, text in said.items() if (line := said_in(text))}
    now = {failed[row_id]: remark for row_id, remark in by_row.items()}
    return now | {row_id: remark for row_id, remark in then.items() if remark} | sought


def _without_content(row: LogRow) -> LogRow:
    return replace(row, said=None, failure=row.failure and row.failure._replace(said=""))


def _failed_then(row: LogRow, failure: Failure) -> str:
    """Return the response of then; of what was delivered, why it failed as well."""
    said = said_in(failure.said)
    if row.status is not DeliveryStatus.DELIVERED:
        return said
    words = title(Reason(failure.reason or Reason.INTERRUPTED), failure.code)
    return ": ".join(filter(None, (words, said)))


def same_answer_url(webhook: UUID, text: str) -> str:
    """Return the list of all that was answered so; blank where that could not be found."""
    said = said_in(text)
    # What was put together of two lines, or had escapes, stands nowhere in it like this.
    is_there = said and said in text
    return url_for("deliveries.index", webhook=webhook, answer=said) if is_there else ""


def _sought(said: Said) -> str:
    line = _short(said.line)
    return line if said.is_last else f"Earlier: {line}"


def said_in(text: str) -> str:
    """Return what a response says, in a sentence of the receiver's own."""
    return _short(sentence_in(text))


def _short(text: str) -> str:
    """Written by somebody else: on one line, and without what a terminal would act on."""
    return " ".join(harmless(text).split())[:MOST_REMARKED]


@dataclass(frozen=True, slots=True)
class Retried:
    """State of the Retry of a line. `is_live`: it is likely to change soon."""

    outcome: RetryOutcome | None
    is_live: bool


def retried(row: LogRow) -> Retried | None:
    """Return the state of this line's Retry, if the address names it."""
    return find_retried(row.public_id) if row.public_id == _named() else None


def find_retried(public_id: UUID) -> Retried | None:
    """Return the same of a delivery that is meant; None where it is no longer kept."""
    try:
        delivery = delivery_for_reader(public_id)
    except NotFound:
        return None
    return Retried(under_way(delivery) or outcome_of(delivery), is_live(delivery))


def with_retried(page: Page[LogRow], order: ListOrder) -> list[LogRow]:
    """Return the lines of a page, and the one that was retried, whatever it is by now."""
    rows, named = list(page.rows), _named()
    if named is not None and all(row.public_id != named for row in rows):
        rows += log_pages.latest(LogFilter(delivery=named), 1)
    if order.by == NEXT:
        return rows
    return sorted(rows, key=lambda row: row.id, reverse=not order.is_reversed)


def find_row(public_id: UUID) -> LogRow:
    """Return the line of a delivery. Raises `NotFound`."""
    rows = log_pages.latest(LogFilter(delivery=public_id), 1)
    if not rows:
        raise NotFound(GONE)
    return rows[0]


def _named() -> UUID | None:
    return uuid_or_none(request.args.get(RETRIED))
