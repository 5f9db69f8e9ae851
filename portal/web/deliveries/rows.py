"""What a row of a list of deliveries says: its event, result, remark, and what was just retried."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import UUID

from flask import request, url_for

from portal.engine.answer_words import sentence_in
from portal.engine.events.catalogue import event_type
from portal.engine.health import has_asked
from portal.engine.reasons import Reason, title
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.lib.paging import Page
from portal.lib.typed_text import harmless
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.answers import Said, answers_of, doubtful_among, earlier_reasons
from portal.services.deliveries.detail import find_delivery
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.statuses import LogFilter
from portal.services.operations.retention import held_until
from portal.services.outbox.due import PausedFor, ShownStatus
from portal.web.deliveries.progress import RetryOutcome, is_live, outcome_of, under_way
from portal.web.forms.query_values import uuid_or_none
from portal.web.frame.access import local_path
from portal.web.frame.banner_views import sending_stop
from portal.web.frame.page_frame import RETRIED
from portal.web.frame.wording import day_of
from portal.web.help.anchors import help_url

PAUSED_FOR: Final = {
    PausedFor.RECEIVER: "The receiver isn't responding",
    PausedFor.ORDER: "An older one goes first",
}


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


def not_before(row: LogRow) -> str:
    """What stands before that time: another one may be tried first then; else blank."""
    is_earliest = row.paused_for is PausedFor.RECEIVER and isinstance(next_try(row), datetime)
    return "from" if is_earliest else ""


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
    return row.is_in_order and row.next_try_at is None  # nor has one that waits for an older one


def took(milliseconds: int | None) -> str:
    """How long the last attempt took."""
    return "" if milliseconds is None else in_words(milliseconds / 1000)


MOST_REMARKED: Final = 120  # characters


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
    """What stands beside the results of a page: the answer that was looked for, else why it failed
    before a Retry failed for another reason, else what the receiver said in its answer."""
    sought = {row.public_id: _sought(row.said) for row in rows if row.said}
    then = {row.public_id: _sentence(row.failure.said) for row in rows if row.failure}
    rows = [row for row in rows if not (row.failure or row.said)]
    failed = {row.id: row.public_id for row in rows if row.reason}
    tried = [row.id for row in rows if row.reason and row.attempts > 1]
    earlier = earlier_reasons(session(), tried)
    said = answers_of([row_id for row_id in failed if row_id not in earlier])
    told = {
        row_id: Remark(f"earlier: {each.words}", is_earlier=True)
        for row_id, each in earlier.items()
    }
    told |= {row_id: Remark(line) for row_id, text in said.items() if (line := _sentence(text))}
    now = {failed[row_id]: remark for row_id, remark in told.items()}
    return now | {row_id: Remark(line) for row_id, line in then.items() if line} | sought


def same_answer_url(webhook: UUID, text: str) -> str:
    """Where the log lists what its receiver answered so; blank where that could not be found."""
    said = _sentence(text)
    # What was put together of two lines, or had escapes, stands nowhere in it like this.
    is_there = said and said in text
    return url_for("deliveries.index", webhook=webhook, answer=said) if is_there else ""


def _sought(said: Said) -> Remark:
    line = _short(said.line)
    return Remark(line) if said.is_last else Remark(f"earlier: {line}", is_earlier=True)


def _sentence(text: str) -> str:
    return _short(sentence_in(text))


def _short(text: str) -> str:
    """Written by somebody else: on one line, and without what a terminal would act on."""
    return " ".join(harmless(text).split())[:MOST_REMARKED]


@dataclass(frozen=True, slots=True)
class Retried:
    """How the Retry of a line stands. `is_live`: it is likely to change soon."""

    outcome: RetryOutcome | None
    is_live: bool


def retried(row: LogRow) -> Retried | None:
    """How the Retry of this line stands; None where the address names another one, or none."""
    return find_retried(row.public_id) if row.public_id == _named() else None


def find_retried(public_id: UUID) -> Retried | None:
    """The same of a delivery that is meant; None where it is no longer kept."""
    try:
        delivery = find_delivery(public_id)
    except NotFound:
        return None
    return Retried(under_way(delivery) or outcome_of(delivery), is_live(delivery))


def with_retried(page: Page[LogRow], *, oldest_first: bool = False) -> list[LogRow]:
    """The lines of a page, and the one that was retried, whatever it is by now."""
    rows, named = list(page.rows), _named()
    if named is not None and all(row.public_id != named for row in rows):
        rows += log_pages.latest(LogFilter(delivery=named), 1)
    return sorted(rows, key=lambda row: row.id, reverse=not oldest_first)


def find_row(public_id: UUID) -> LogRow:
    """The line of a delivery. Raises `NotFound`."""
    rows = log_pages.latest(LogFilter(delivery=public_id), 1)
    if not rows:
        raise NotFound("There is no such delivery, or it is no longer kept.")
    return rows[0]


def row_id(public_id: UUID) -> str:
    """The id of a line in its page."""
    return f"delivery-{public_id}"


def row_url(row: LogRow, back: str, choose: str) -> str:
    """Where the cells of a line can be had anew. `choose`: as in the table."""
    return url_for("deliveries.row", public_id=row.public_id, back=back, choose=choose or None)


def here() -> str:
    """The address of the list that is being shown."""
    return request.script_root + request.full_path.rstrip("?")


def place_in(back: str, public_id: UUID) -> str:
    """The address of a list (`local_path` of it) at the line of this delivery."""
    parts = urlsplit(list_of(back))
    query = urlencode([*parse_qsl(parts.query), (RETRIED, str(public_id))])
    return urlunsplit(("", "", parts.path, query, row_id(public_id)))


def list_of(back: str) -> str:
    """The address of a list (`local_path` of it) without anybody's last press in it."""
    parts = urlsplit(local_path(back))
    kept = [each for each in parse_qsl(parts.query) if each[0] != RETRIED]
    return urlunsplit(("", "", parts.path, urlencode(kept), ""))


def _named() -> UUID | None:
    return uuid_or_none(request.args.get(RETRIED))
