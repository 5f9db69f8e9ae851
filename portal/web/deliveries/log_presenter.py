"""Present the log's rows, tabs, filters, and the URLs of its buttons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

from flask import request, url_for

from portal.engine.answer_words import sentence_in
from portal.engine.reasons import Reason, title
from portal.lib.paging import Page
from portal.lib.typed_text import harmless
from portal.models.deliveries import OPEN, DeliveryStatus
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.answers import (
    Answer,
    Said,
    answers_of,
    doubtful_among,
    earlier_reasons,
)
from portal.services.deliveries.log import EXPORT_LIMIT, LogRow, Matches
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
    attempt_time,
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
from portal.web.frame.wording import counted, exact_day, near_time, number, zone

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
    StatusFilter.FAILED,
)
# Statuses that a bulk retry can send. Others wait for something or have to be restored first.
IN_BULK: Final = (DeliveryStatus.RETRYING, DeliveryStatus.FAILED, DeliveryStatus.DELIVERED)
# Status filters whose deliveries *Resume now* sends.
SENT_BY_RESUME: Final = frozenset({StatusFilter.QUEUED, StatusFilter.RETRYING, StatusFilter.OPEN})
NO_FILTERS: Final = frozenset({"all", "cursor", SORT, RETRIED})
OF_A_PROBLEM: Final = frozenset({"status", "webhook", "reason", "code"})
# The orders of the log by their query values.
ORDERS: Final = (("", "Newest first"), (WHEN, "Oldest first"))
NEXT_ORDER: Final = (NEXT, "Next attempt first")
EXPORT_HINT: Final = f"All pages, up to the newest {number(EXPORT_LIMIT)}"
MOST_REMARKED: Final = 120  # characters


# Includes re-exports for the list's templates.
__all__ = ["delivery_url", "event_name", "here", "next_heading", "row_id"]


def is_narrowed(log_filter: LogFilter) -> bool:
    """Return whether the filter has more than a status and a webhook."""
    return log_filter != LogFilter(status=log_filter.status, webhook=log_filter.webhook)


def tabs(
    log_filter: LogFilter | None = None,
    within: Matches | None = None,
) -> list[Tab]:
    """Return the log's tabs and the tab of bulk retries.

    Without `log_filter`, the page of bulk retries is the current one. `within` counts the matches
    of the other filters, if there are any. Tabs have no number if more deliveries match than are
    counted.
    """
    numbers: dict[StatusFilter | None, int] = {}
    if within and not within.is_more:
        numbers = {status: within.statuses[DeliveryStatus(status)] for status in COUNTED}
        numbers[StatusFilter.ATTENTION] = within.attention
        numbers[StatusFilter.FAILED] -= within.failed_tests
    elif not within:
        webhook = log_filter.webhook if log_filter else None
        numbers = {status: log_pages.count(status, webhook) for status in COUNTED}
        numbers[StatusFilter.ATTENTION] = _attention(webhook)
    shown_by = log_filter.status if log_filter else None
    if log_filter and log_filter.webhook and numbers.get(StatusFilter.ATTENTION):
        # All undelivered deliveries of a webhook with problems need attention.
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
    """Count deliveries that need attention, as the navigation does.

    For one webhook, these are its undelivered deliveries.
    """
    if webhook is None:
        return trouble_totals().undelivered
    return log_pages.count(StatusFilter.ATTENTION, webhook)


def chips(form: LogFilterForm, rows: Sequence[LogRow]) -> list[dict[str, str]]:
    """Return the active filters, each with the URL that removes it."""
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
    """Return the URL that applies the chosen time to failed attempts instead of storage.

    Return "" if the filter has no time or already does so.
    """
    span = form.time.data or ""
    if span.startswith(FAILED) or not (span or form.since.data or form.until.data):
        return ""
    return page_url(time=failed_in(span), status=None, cursor=None)


def answers_url(form: LogFilterForm) -> str:
    """Return the URL that searches responses for the text that found no delivery."""
    text = form.q.data or ""
    return page_url(q=None, answer=text, cursor=None) if text and not form.answer.data else ""


def counts_of_asset(asset_id: int) -> list[tuple[str, str]]:
    """Return "3 on hold" and its log URL for each status of the asset's deliveries."""
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
    """Return the log URL of deliveries with a failed attempt between the two times."""
    since, until = _in_address(begins), _in_address(ends)
    return url_for("deliveries.index", time=failed_in(), since=since, until=until)


def span_url(span: Span, webhook: UUID | None = None) -> str:
    """Return the log URL of a chart bar's deliveries, only the failed ones if there are any."""
    time = failed_in() if span.failed_attempts else None
    since, until = _in_address(span.begins), _in_address(span.ends)
    return url_for("deliveries.index", time=time, since=since, until=until, webhook=webhook)


def _in_address(at: datetime) -> str:
    return f"{at.astimezone(zone()):%Y-%m-%d %H:%M}"


def matches_words(found: Matches, failures: int = 0) -> str:
    """Return "141 matches", "1 match", or "10,000+ matches".

    `failures`: their failed attempts, in "443 matches with 1,258 failed attempts".
    """
    many = counted(found.total)
    many = f"{many.rstrip('+')}+" if found.is_more else many
    noun = "failed attempt" if failures == 1 else "failed attempts"
    attempts = f" with {counted(failures)} {noun}" if failures else ""
    return f"{many} {'match' if many == '1' else 'matches'}{attempts}"


def statuses_words(found: Matches) -> str:
    """Return "14 on hold, 9 delivered. 7 can be retried." for the matches.

    Return "" if not all matches were counted. Statuses are left out if all have the same one.
    """
    if found.is_more:
        return ""
    words = by_status(found.statuses)
    words = words if ", " in words else ""
    if found.retryable in (0, found.total) or not may_send("deliveries.retry"):
        return words
    can_be = "resent" if DeliveryStatus.DELIVERED in found.retryables else "retried"
    return f"{words and words + '. '}{number(found.retryable)} can be {can_be}."


def all_words(verb: str, many: int, found: Matches) -> str:
    """Return "Retry all 96", "Retry 7", or "Retry all" if not all matches were counted."""
    if found.is_more:
        return f"{verb} all"
    if many == found.total > 1:
        return f"{verb} all {number(many)}"
    return f"{verb} {number(many)}"


def orders() -> tuple[tuple[str, str], ...]:
    """Return the orders available under the URL's filter."""
    return (*ORDERS, NEXT_ORDER) if is_open_alone() else ORDERS


def order_words(order: ListOrder) -> str:
    if order.by == NEXT:
        return "Next attempt first."
    return "Oldest first." if order.is_reversed else "Newest first."


def reach_words() -> str:
    """Return the sentence about the oldest part of the log, or "" before the first delivery."""
    since = log_pages.complete_since()
    return f"The log reaches back to {exact_day(since)}." if since else ""


def retry_all_url() -> str:
    """Return the URL of the confirmation for retrying all filtered deliveries."""
    return url_for("batches.confirm", **{**filters_in_force(), "all": "1"})


def dismiss_all_url() -> str:
    """Return the URL of the confirmation for dismissing all filtered deliveries."""
    return url_for("dismissals.dismiss", **{**filters_in_force(), "all": "1"})


def is_searched() -> bool:
    """Return whether the URL filters the log."""
    return any(value for name, value in request.args.items() if name not in NO_FILTERS)


def looks_for_problems() -> bool:
    """Return whether the URL asks for "needs attention", and at most a webhook and reason."""
    asked = {name for name, value in request.args.items() if value and name not in NO_FILTERS}
    return request.args.get("status") == StatusFilter.ATTENTION and asked <= OF_A_PROBLEM


def filters_in_force() -> dict[str, Any]:
    """Return the URL's filters as query values for another URL."""
    return {name: request.args.getlist(name) for name in request.args if name not in NO_FILTERS}


def result(row: LogRow) -> str:
    """Return the result of the last attempt, or of the last failed one in the filtered time.

    A delivered one has one result, regardless of failures before or since.
    """
    if row.failure and row.status is not DeliveryStatus.DELIVERED:
        return title(Reason(row.failure.reason or Reason.INTERRUPTED), row.failure.code)
    if row.reason is None and row.code:
        took_words = took(row.took_ms)
        return f"{row.code} in {took_words}" if took_words else f"Responded {row.code}"
    return title(Reason(row.reason), row.code) if row.reason else ""


def status_note(row: LogRow) -> str:
    """Return the note beside a row's status."""
    return NOTES[row.status](row)


def next_attempt(row: LogRow) -> datetime | str:
    """Return the future time of the next attempt, or words such as "When turned on".

    Return "" if no attempt is planned.
    """
    if row.status is DeliveryStatus.ON_HOLD:
        if row.is_webhook_active:
            return ""
        return turns_on_at(row.webhook_off_until) or "When turned on"
    kept = kept_words(row) if row.status in OPEN else ""
    if kept or row.next_try_at is None:
        return kept
    return attempt_time(row.next_try_at)


def by_event(rows: Sequence[LogRow]) -> list[list[LogRow]]:
    """Group adjacent rows of the same event."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row.event_id)]


def may_retry(row: LogRow) -> bool:
    """Return whether a retry would be accepted and is therefore offered."""
    return why_not_retry(row.eligibility) is None and not sending_stop()


def may_overtake(row: LogRow) -> bool:
    """Return whether a retry could be sent out of order, which needs confirmation."""
    return row.is_in_order and row.next_try_at is None  # None also behind an older one


def doubtful(rows: Sequence[LogRow]) -> frozenset[UUID]:
    """Return the ids of delivered ones whose response mentions an error."""
    arrived = [
        row
        for row in rows
        if row.status is DeliveryStatus.DELIVERED and not (row.resent or row.failure)
    ]
    return doubtful_among([row.public_id for row in arrived] if shows_content() else [])


@dataclass(frozen=True, slots=True)
class Result:
    """A row's result. `below` has further details. Tones are danger, soft, or none.

    `is_taken` means that the delivery is in a bulk retry now.
    """

    text: str
    below: str = ""
    tone: str = ""
    is_taken: bool = False


def results(rows: Sequence[LogRow]) -> dict[UUID, Result]:
    """Return the results of a page's rows by public id."""
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
    """Return the causes of the pauses that keep these rows queued, by webhook."""
    if not any(row.status is DeliveryStatus.QUEUED and pause_words(row) for row in rows):
        return {}
    return {backlog.public_id: causes_words(backlog.causes) for backlog in in_trouble()}


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
    """Return a remark beside the result of each row that has one.

    It is the response that was searched for, else an earlier cause, else the receiver's response.
    Earlier causes are from before a retry failed for another reason. `with_content` means that the
    user may see responses.
    """
    if not with_content:
        rows = [_without_content(row) for row in rows]
    sought = {row.public_id: _sought(row.said) for row in rows if row.said}
    failures = {row.public_id: _failed_then(row, row.failure) for row in rows if row.failure}
    rows = [row for row in rows if not (row.failure or row.said)]
    failed = {row.id: row.public_id for row in rows if row.reason}
    tried = [row.id for row in rows if row.reason and row.attempts > 1]
    earlier = earlier_reasons(session(), tried)
    silent = [row_id for row_id in failed if row_id not in earlier] if with_content else []
    responses = answers_of(silent)
    by_row = {row_id: f"Earlier: {reason.words}" for row_id, reason in earlier.items()}
    by_row |= {row_id: line for row_id, each in responses.items() if (line := answer_line(each))}
    current = {failed[row_id]: remark for row_id, remark in by_row.items()}
    return current | {row_id: remark for row_id, remark in failures.items() if remark} | sought


def _without_content(row: LogRow) -> LogRow:
    return replace(row, said=None, failure=row.failure and row.failure._replace(said=""))


def _failed_then(row: LogRow, failure: Failure) -> str:
    """Return the response to the failed attempt, after its cause if it was delivered since."""
    response = said_in(failure.said)
    if row.status is not DeliveryStatus.DELIVERED:
        return response
    words = title(Reason(failure.reason or Reason.INTERRUPTED), failure.code)
    return ": ".join(filter(None, (words, response)))


def same_answer_url(webhook: UUID, text: str) -> str:
    """Return the log URL of all deliveries with this response, or "" if a search can't find it."""
    sentence = said_in(text)
    # A sentence joined from two lines or freed of escapes doesn't occur in the text verbatim.
    is_there = sentence and sentence in text
    return url_for("deliveries.index", webhook=webhook, answer=sentence) if is_there else ""


def _sought(said: Said) -> str:
    line = _short(said.line)
    return line if said.is_last else f"Earlier: {line}"


def said_in(text: str) -> str:
    """Return the response's message in a sentence of the receiver's own."""
    return _short(sentence_in(text))


def answer_line(answer: Answer) -> str:
    """Return the response's message, or "to https://…" for a redirect."""
    return f"to {answer.redirect.shown}" if answer.redirect else said_in(answer.text)


def _short(text: str) -> str:
    """Return untrusted text on one line, without control characters for terminals."""
    return " ".join(harmless(text).split())[:MOST_REMARKED]


@dataclass(frozen=True, slots=True)
class Retried:
    """The state of a row's retry. `is_live` means that it is likely to change soon."""

    outcome: RetryOutcome | None
    is_live: bool


def retried(row: LogRow) -> Retried | None:
    """Return the state of this row's retry, if the URL names the row."""
    return find_retried(row.public_id) if row.public_id == _named() else None


def find_retried(public_id: UUID) -> Retried | None:
    """Return the state of a delivery's retry, or None if the delivery is no longer stored."""
    try:
        delivery = delivery_for_reader(public_id)
    except NotFound:
        return None
    return Retried(under_way(delivery) or outcome_of(delivery), is_live(delivery))


def with_retried(page: Page[LogRow], order: ListOrder) -> list[LogRow]:
    """Return a page's rows and the retried one, even if it no longer matches."""
    rows, named = list(page.rows), _named()
    if named is not None and all(row.public_id != named for row in rows):
        rows += log_pages.latest(LogFilter(delivery=named), 1)
    if order.by == NEXT:
        return rows
    return sorted(rows, key=lambda row: row.id, reverse=not order.is_reversed)


def find_row(public_id: UUID) -> LogRow:
    """Return a delivery's row. Raises `NotFound`."""
    rows = log_pages.latest(LogFilter(delivery=public_id), 1)
    if not rows:
        raise NotFound(GONE)
    return rows[0]


def _named() -> UUID | None:
    return uuid_or_none(request.args.get(RETRIED))
