"""Where a delivery's time went, until when a held one waits, and whether one arrived twice."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from portal.engine.reason_keys import UNCLEAR, Reason
from portal.engine.reasons import title
from portal.lib.durations import in_words
from portal.services.deliveries.attempt_detail import AttemptDetail
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.outbox.status import ShownStatus
from portal.web.deliveries.rows.row_words import held_end

NOTHING: Final = timedelta()


def times_of(delivery: DeliveryDetail) -> list[tuple[str, str]]:
    """Waiting here, at their server, for a retry, for a person: what there was of each.

    Nothing where early attempts are no longer shown: the sums would not be true.
    """
    attempts = delivery.attempts
    if len(attempts) < delivery.attempts_made:
        return []
    if not attempts:
        is_open = delivery.status in (ShownStatus.WAITING, ShownStatus.PAUSED)
        waits = delivery.now - delivery.created_at if is_open else NOTHING
        return _words([("Waiting here, so far", waits)])
    gaps = [(later.kind, later.started_at - _end(earlier)) for earlier, later in pairwise(attempts)]
    last = _end(attempts[-1])
    is_retrying = delivery.status in (ShownStatus.RETRYING, ShownStatus.PAUSED)
    so_far = max(NOTHING, delivery.now - last) if is_retrying else NOTHING
    return _words(
        [
            ("Waiting here", attempts[0].started_at - delivery.created_at),
            ("At their server", sum((_length(each) for each in attempts), NOTHING)),
            ("Waiting for the retry", _sum(gaps, is_manual=False) + so_far),
            ("Until somebody pressed Retry", _sum(gaps, is_manual=True)),
        ]
    )


def repeat_warning(delivery: DeliveryDetail) -> str:
    """What to know where the receiver has the message more than once, or may have."""
    arrived = [each for each in delivery.attempts if each.is_delivered]
    unclear = list(_unclear(delivery.attempts))
    if len(arrived) > 1:
        return f"It has arrived {len(arrived)} times."
    for each in delivery.attempts:
        if each.phases.get("again") is not None:
            return f"It may have arrived more than once: attempt {each.number} went out twice."
    if len(arrived) + len(unclear) < 2:
        return ""
    first = unclear[0]
    why = title(Reason(first.reason) if first.reason else Reason.INTERRUPTED).lower()
    return f"It may have arrived more than once: after attempt {first.number} nobody knows ({why})."


def held_sentence(delivery: DeliveryDetail) -> str:
    """Why a held delivery is kept, and until when."""
    name = delivery.standing.webhook_name
    is_off = delivery.standing.is_webhook_off
    why = f"Held because the webhook “{name}” is off."
    if not is_off:
        why = f"Still held since the webhook “{name}” was turned on: nobody has decided about it."
    return f"{why} {held_end(delivery.created_at, delivery.webhook_off_at)}; then it is stopped."


def _unclear(attempts: Sequence[AttemptDetail]) -> Iterator[AttemptDetail]:
    for each in attempts:
        if not (each.is_delivered or each.is_being_sent):
            reason = Reason(each.reason) if each.reason else Reason.INTERRUPTED
            if reason in UNCLEAR:
                yield each


def _end(attempt: AttemptDetail) -> datetime:
    return attempt.finished_at or attempt.started_at


def _length(attempt: AttemptDetail) -> timedelta:
    total = attempt.phases.get("total")
    return timedelta(milliseconds=total) if total else NOTHING


def _sum(gaps: list[tuple[str, timedelta]], *, is_manual: bool) -> timedelta:
    return sum((gap for kind, gap in gaps if (kind == "manual") is is_manual), NOTHING)


def _words(parts: list[tuple[str, timedelta]]) -> list[tuple[str, str]]:
    return [
        (label, in_words(length.total_seconds())) for label, length in parts if length > NOTHING
    ]
