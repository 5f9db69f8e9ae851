"""What a line of the log says, and what may be pressed in it."""

from datetime import datetime
from typing import Final

from portal.engine.events.catalogue import event_type
from portal.engine.health import has_asked
from portal.engine.reasons import Reason, title
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.durations import in_words
from portal.services.deliveries.log.rows import LogRow
from portal.services.operations.retention import held_until
from portal.services.outbox.status import PausedFor, ShownStatus
from portal.web.frame.banner_views import sending_stop
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
