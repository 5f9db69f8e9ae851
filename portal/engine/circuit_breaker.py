"""Decide by an attempt's end about its webhook: failures in a row, and the throttle. Pure.

While a receiver is overloaded or cannot be reached, we back off (the circuit is open). Then one
delivery goes as a probe and spends an attempt of its own; those that wait behind it spend none.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind
from portal.lib.durations import in_words

FIRST_PAUSE: Final = 5  # seconds; doubles with each failed probe
LONGEST_PAUSE: Final = 300
PATIENCE: Final = timedelta(days=5)  # failing without a success; then we turn it off
PATIENCE_IN_WORDS: Final = in_words(PATIENCE.total_seconds())
NOTICE: Final = timedelta(days=2)  # so long before that we say so
ENOUGH_FAILURES: Final = 5

# The receiver as a whole is overloaded or out of reach: the next message would fare no better.
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
    """The health of a webhook. `backoff_seconds`: the present back-off, 0 while there is none.

    `failing_since`: its first failure that no success has followed. `failures_in_row` counts since
    then, and anew once its settings were changed. `stopped_for`: how many seconds since then all
    sending was stopped, which nobody can hold against it.
    """

    failures_in_row: int = 0
    failing_since: datetime | None = None
    throttled: bool = False
    backoff_seconds: int = 0
    backoff_until: datetime | None = None
    stopped_for: int = 0


HEALTHY: Final = Health()


class End(NamedTuple):
    """The end of one attempt. `was_probe`: it was begun while the webhook was throttled.

    `is_outdated`: it was begun under an address, a key or headers that were changed meanwhile.
    """

    kind: AttemptKind
    reason: Reason | None
    retry_after: float | None = None
    was_probe: bool = False
    is_outdated: bool = False


def health_after(health: Health, end: End, now: datetime) -> Health:
    """The webhook's health after one more attempt.

    Whatever arrives ends its trouble, a test too; a test that fails changes nothing. Neither does
    what was begun under earlier settings: it says nothing about the present ones.
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
    """Return whether it has failed for so long without a success that we turn it off. One whose
    settings were changed in the meantime has some attempts of its own first."""
    since, stopped_for = health.failing_since, health.stopped_for
    is_over = since is not None and now >= turns_off_at(since, stopped_for)
    return is_over and health.failures_in_row >= ENOUGH_FAILURES


def turns_off_at(failing_since: datetime, stopped_for: int = 0) -> datetime:
    """From when on the next failure has us turn it off, unless anything arrives before."""
    return failing_since + timedelta(seconds=stopped_for) + PATIENCE


def announced_end(
    failures_in_row: int, failing_since: datetime | None, now: datetime, stopped_for: int = 0
) -> datetime | None:
    """When we turn it off, once that is near enough to be said; None before, and while well. Where
    that is over, the next failure does it, if enough have gone before."""
    if failing_since is None:
        return None
    end = turns_off_at(failing_since, stopped_for)
    if now < end - NOTICE:
        return None
    is_certain = end > now or failures_in_row + 1 >= ENOUGH_FAILURES
    return end if is_certain else None


def has_asked(until: datetime | None, now: datetime) -> bool:
    """Return whether a receiver that we back off from until then has asked for it: by ourselves we
    back off for less."""
    return until is not None and (until - now).total_seconds() > LONGEST_PAUSE


def _throttled(health: Health, end: End, now: datetime) -> Health:
    """Back off, or for longer. Eight that were under way together when it broke are one failure."""
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
