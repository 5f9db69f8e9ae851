"""The timeline of a delivery: happened, stored, each attempt with its phases, what comes next."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from portal.engine.health import has_asked
from portal.engine.reasons import Reason, explain, title
from portal.lib.durations import in_words
from portal.services.deliveries.attempt_detail import AttemptDetail
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.outbox.status import ShownStatus
from portal.web.deliveries.rows.row_words import event_name, held_end

PHASES: Final = {
    "again": "sent once more, because the connection kept open had ended,",
    "name": "name found",
    "connect": "connected",
    "tls": "connection secure",
    "first_byte": "first byte of the answer",
    "total": "finished",
}


@dataclass(frozen=True, slots=True)
class DeliveryStep:
    """One point of the timeline. Tones: success, danger, warning, info or none."""

    title: str
    at: datetime | None
    tone: str = ""
    text: str = ""
    phases: str = ""
    attempt: AttemptDetail | None = None
    took: str = ""
    side: str = ""


def steps_of(delivery: DeliveryDetail) -> list[DeliveryStep]:
    """From what happened to what comes next."""
    what = event_name(delivery.event)
    asset = " ".join(filter(None, (delivery.asset_tag, delivery.asset_name)))
    sample = "A person pressed Test webhook" if delivery.standing.is_test else what
    return [
        DeliveryStep(
            "Happened", delivery.occurred_at, text=": ".join(filter(None, (sample, asset)))
        ),
        DeliveryStep("Stored", delivery.created_at, text=_safe(delivery)),
        *_picked_up(delivery),
        *(attempt_step(each) for each in delivery.attempts),
        *_last(delivery),
    ]


def _safe(delivery: DeliveryDetail) -> str:
    """What that means, as long as nothing else has happened."""
    return "" if delivery.attempts else "From here on it cannot be lost."


def _picked_up(delivery: DeliveryDetail) -> Iterator[DeliveryStep]:
    """When a worker took it first; unknown where the first attempt is no longer shown."""
    if delivery.attempts and delivery.attempts[0].number == 1:
        at = delivery.attempts[0].started_at
        waited = (at - delivery.created_at).total_seconds()
        yield DeliveryStep("Picked up", at, text=f"It had waited here for {in_words(waited)}.")


def attempt_step(attempt: AttemptDetail) -> DeliveryStep:
    """One attempt in a line, and its phases in another."""
    tone, words = _ending(attempt)
    total = attempt.phases.get("total")
    return DeliveryStep(
        who(attempt),
        attempt.started_at,
        tone,
        words,
        phases_in_words(attempt.phases),
        attempt,
        took="" if total is None else in_words(total / 1000),
        side="" if _has_no_side(attempt) else _side(attempt),
    )


def phases_in_words(phases: dict[str, Any]) -> str:
    """When each phase was over, counted from the start; a phase that was not needed is left out."""
    known = [(words, phases.get(key)) for key, words in PHASES.items()]
    return ", ".join(
        f"{words} after {in_words(at / 1000)}" for words, at in known if at is not None
    )


def who(attempt: AttemptDetail) -> str:
    """What the timeline calls an attempt."""
    match attempt.kind:
        case "manual":
            return f"Retry by {attempt.actor}" if attempt.actor else "Retry"
        case "test":
            return "Test"
        case _:
            return f"Attempt {attempt.number}"


def taken_over(attempt: AttemptDetail) -> str:
    """What became of one whose machine could not connect."""
    return f"{attempt.sender} could not connect; another machine took over."


def _has_no_side(attempt: AttemptDetail) -> bool:
    return attempt.is_being_sent or attempt.is_delivered or attempt.is_unreached


def _side(attempt: AttemptDetail) -> str:
    return explain(_reason(attempt), host="").side.label


def _reason(attempt: AttemptDetail) -> Reason:
    return Reason(attempt.reason) if attempt.reason else Reason.INTERRUPTED


def _ending(attempt: AttemptDetail) -> tuple[str, str]:
    if attempt.is_being_sent:
        return "info", "Being sent now."
    if attempt.is_delivered:
        return "success", f"Delivered. The receiver answered {attempt.code}."
    if attempt.is_unreached:
        return "warning", taken_over(attempt)
    words = f"{title(_reason(attempt), attempt.code)}."
    return ("warning" if attempt.is_interrupted else "danger"), words


def _last(delivery: DeliveryDetail) -> Iterator[DeliveryStep]:
    if delivery.stop and delivery.waits_for_start:
        yield DeliveryStep("Waiting", None, "warning", "All sending is stopped.")
        return
    match delivery.status:
        case ShownStatus.RETRYING:
            yield DeliveryStep("Next attempt", delivery.next_try_at, "warning")
        case ShownStatus.PAUSED if delivery.waits_behind:
            yield DeliveryStep("Paused", None, "warning", "An older delivery goes first.")
        case ShownStatus.PAUSED:
            asked = has_asked(delivery.next_try_at, delivery.now)
            why = "The receiver asked us to wait." if asked else "The receiver isn't responding."
            label = "First attempt" if delivery.is_untried else "Next attempt"
            earliest = " not before" if delivery.may_go_later else ""
            yield DeliveryStep(f"{label}{earliest}", delivery.next_try_at, "warning", why)
        case ShownStatus.WAITING:
            yield DeliveryStep("Waiting to be sent", delivery.due_at, "info")
        case ShownStatus.HELD:
            until = held_end(delivery.created_at, delivery.webhook_off_at)
            why = "Its webhook is off. " if delivery.standing.is_webhook_off else ""
            yield DeliveryStep("Held", None, text=f"{why}{until}.")
        case ShownStatus.STOPPED:
            by = f" by {delivery.stopped_by}" if delivery.stopped_by else ""
            yield DeliveryStep(f"Stopped{by}", delivery.finished_at)
        case _:
            return
