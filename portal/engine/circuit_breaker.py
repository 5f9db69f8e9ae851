"""Update a webhook's health after an attempt: failures in a row and backoff. Pure.

While a receiver is overloaded or unreachable, we back off (the circuit is open). Then one delivery
is sent as a probe and spends an attempt. Deliveries that wait behind it spend none.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.lib.durations import in_words

FIRST_PAUSE: Final = 5  # seconds. Doubles with each failed probe.
LONGEST_PAUSE: Final = 300
PATIENCE: Final = timedelta(days=5)  # of failures without a success, before we turn off the webhook
PATIENCE_IN_WORDS: Final = in_words(PATIENCE.total_seconds())
NOTICE: Final = timedelta(days=2)  # our notice before we turn it off
ENOUGH_FAILURES: Final = 5

# The whole receiver is overloaded or unreachable, so the next delivery would fail too.
THROTTLING: Final = frozenset(
    {
        Reason.RATE,
        Reason.UNAVAILABLE,
        Reason.DNS,
        Reason.REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.READ_TIMEOUT,
        Reason.UNREACHABLE,
        Reason.RESET,
        Reason.NO_REPLY,
        Reason.TLS_EXPIRED,
        Reason.TLS_UNTRUSTED,
        Reason.TLS_NAME,
        Reason.TLS_OTHER,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """The health of a webhook. `backoff_seconds`: the current backoff, 0 without one.

    `failing_since`: its first failure since the last success. `failures_in_row` counts since then
    and restarts after a change of its settings. `stopped_for`: seconds since then during which all
    sending was paused. They don't count against the webhook.
    """

    failures_in_row: int = 0
    failing_since: datetime | None = None
    throttled: bool = False
    backoff_seconds: int = 0
    backoff_until: datetime | None = None
    stopped_for: int = 0


HEALTHY: Final = Health()


class End(NamedTuple):
    """The end of one attempt. `was_probe`: it started while the webhook was throttled.

    `is_outdated`: the URL, key, or headers changed after it started.
    """

    kind: AttemptKind
    reason: Reason | None
    retry_after: float | None = None
    was_probe: bool = False
    is_outdated: bool = False


def health_after(health: Health, end: End, now: datetime) -> Health:
    """Return the webhook's health after one more attempt.

    Any success restores it, even of a test. A failed test changes nothing. Neither does an attempt
    with earlier settings because it says nothing about the current ones.
    """
    if end.is_outdated:
        return health
    if end.reason is None:
        return HEALTHY
    if end.kind is AttemptKind.TEST:
        return health
    failed = replace(
        health,
        failures_in_row=health.failures_in_row + 1,
        failing_since=health.failing_since or now,
    )
    return _throttled(failed, end, now) if end.reason in THROTTLING else failed


def is_hopeless(health: Health, now: datetime) -> bool:
    """Return whether the webhook has failed for so long that we turn it off.

    After a change of its settings, it gets some more attempts first.
    """
    since, stopped_for = health.failing_since, health.stopped_for
    is_over = since is not None and now >= turns_off_at(since, stopped_for)
    return is_over and health.failures_in_row >= ENOUGH_FAILURES


def turns_off_at(failing_since: datetime, stopped_for: int = 0) -> datetime:
    """Return the time from which the next failure turns off the webhook. A success cancels it."""
    return failing_since + timedelta(seconds=stopped_for) + PATIENCE


def announced_end(
    failures_in_row: int, failing_since: datetime | None, now: datetime, stopped_for: int = 0
) -> datetime | None:
    """Return the time at which we turn off the webhook, if it is near enough to announce.

    A time in the past means that the next failure turns it off, after enough earlier failures.
    """
    if failing_since is None:
        return None
    end = turns_off_at(failing_since, stopped_for)
    if now < end - NOTICE:
        return None
    is_certain = end > now or failures_in_row + 1 >= ENOUGH_FAILURES
    return end if is_certain else None


def has_asked(until: datetime | None, now: datetime) -> bool:
    """Return whether the receiver asked for a backoff until this time. Our own are shorter."""
    return until is not None and (until - now).total_seconds() > LONGEST_PAUSE


def _throttled(health: Health, end: End, now: datetime) -> Health:
    """Start or extend the backoff. Eight concurrent attempts that fail together count once."""
    pause = health.backoff_seconds
    if not health.throttled:
        pause = FIRST_PAUSE
    elif end.was_probe:
        pause = min(max(pause, 1) * 2, LONGEST_PAUSE)
    elif not end.retry_after:
        return health
    until = now + timedelta(seconds=max(pause, end.retry_after or 0))
    if health.throttled and not end.was_probe and health.backoff_until is not None:
        until = max(until, health.backoff_until)
    return replace(health, throttled=True, backoff_seconds=pause, backoff_until=until)
