"""The circuit breaker: backoff, recovery, and the end of a webhook that keeps failing."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from portal.engine.circuit_breaker import (
    End,
    Health,
    announced_end,
    has_asked,
    health_after,
    is_hopeless,
)
from portal.engine.reasons import Reason
from portal.engine.retry_policy import AttemptKind

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
FINE = Health()
THROTTLED = Health(
    failures_in_row=1, failing_since=NOW, throttled=True, backoff_seconds=5, backoff_until=NOW
)


def fails(reason: Reason, *, probe: bool = False, retry_after: float | None = None) -> End:
    return End(kind=AttemptKind.SCHEDULED, reason=reason, was_probe=probe, retry_after=retry_after)


def succeeds(kind: AttemptKind = AttemptKind.SCHEDULED) -> End:
    return End(kind=kind, reason=None)


def seconds(health: Health) -> float:
    assert health.backoff_until is not None
    return (health.backoff_until - NOW).total_seconds()


def test_an_overloaded_or_unreachable_receiver_is_throttled() -> None:
    for reason in (
        "rate",
        "unavailable",
        "refused",
        "dns",
        "connect_timeout",
        "read_timeout",
        "reset",
        "no_reply",
        "unreachable",
        "tls_expired",
        "tls_untrusted",
        "tls_name",
        "tls_other",
    ):
        health = health_after(FINE, fails(Reason(reason)), NOW)
        assert health.throttled, reason
        assert seconds(health) == 5, reason


def test_a_receiver_that_responds_with_an_error_is_not_throttled() -> None:
    for reason in ("server", "not_found", "auth", "bad_request", "redirect"):
        health = health_after(FINE, fails(Reason(reason)), NOW)
        assert not health.throttled, reason
        assert health.failures_in_row == 1, reason


def test_each_failed_probe_doubles_the_backoff_up_to_five_minutes() -> None:
    health, pauses = FINE, []
    for _ in range(9):
        health = health_after(health, fails(Reason.REFUSED, probe=health.throttled), NOW)
        pauses.append(seconds(health))
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]


def test_concurrent_failures_count_once_for_the_backoff() -> None:
    health = FINE
    for _ in range(8):
        health = health_after(health, fails(Reason.REFUSED), NOW)
    assert (seconds(health), health.failures_in_row) == (5, 8)


def test_retry_after_lengthens_but_never_shortens_the_backoff() -> None:
    assert seconds(health_after(FINE, fails(Reason.RATE, retry_after=90), NOW)) == 90
    assert seconds(health_after(FINE, fails(Reason.RATE, retry_after=1), NOW)) == 5
    later = health_after(THROTTLED, fails(Reason.RATE, retry_after=90), NOW)
    assert (seconds(later), later.backoff_seconds) == (90, 5)


def test_the_longest_requested_pause_counts() -> None:
    asked = health_after(THROTTLED, fails(Reason.RATE, retry_after=90), NOW)
    assert seconds(health_after(asked, fails(Reason.RATE, retry_after=30), NOW)) == 90
    assert seconds(health_after(asked, fails(Reason.REFUSED), NOW)) == 90
    assert seconds(health_after(asked, fails(Reason.REFUSED, probe=True), NOW)) == 10


def test_an_unknown_backoff_is_counted_from_now() -> None:
    unknown = replace(THROTTLED, backoff_until=None, backoff_seconds=0)
    asked = health_after(unknown, fails(Reason.RATE, retry_after=90), NOW)
    assert (seconds(asked), asked.backoff_seconds) == (90, 0)
    probed = health_after(unknown, fails(Reason.REFUSED, probe=True), NOW)
    assert (seconds(probed), probed.backoff_seconds) == (2, 2)


def test_a_success_resets_the_health() -> None:
    assert health_after(THROTTLED, succeeds(), NOW) == FINE


def test_a_successful_test_resets_the_health_and_a_failed_one_is_ignored() -> None:
    assert health_after(THROTTLED, succeeds(AttemptKind.TEST), NOW) == FINE
    rejected = Health(failures_in_row=9, failing_since=NOW)
    assert health_after(rejected, succeeds(AttemptKind.TEST), NOW) == FINE
    failed = End(kind=AttemptKind.TEST, reason=Reason.REFUSED)
    assert health_after(FINE, failed, NOW) == FINE


def test_attempts_under_earlier_settings_do_not_count() -> None:
    for reason in (None, Reason.REFUSED, Reason.AUTH):
        outdated = End(kind=AttemptKind.SCHEDULED, reason=reason, was_probe=True, is_outdated=True)
        assert health_after(FINE, outdated, NOW) == FINE, reason
        assert health_after(THROTTLED, outdated, NOW) == THROTTLED, reason


def test_a_webhook_is_hopeless_after_five_days_of_failures() -> None:
    failing = Health(failures_in_row=9, failing_since=NOW - timedelta(days=5))
    assert is_hopeless(failing, NOW)
    assert not is_hopeless(failing, NOW - timedelta(seconds=1))
    assert not is_hopeless(FINE, NOW)
    # After a change of settings, only failures under the new settings count.
    assert not is_hopeless(replace(failing, failures_in_row=4), NOW)
    assert is_hopeless(replace(failing, failures_in_row=5), NOW)
    waited = replace(failing, stopped_for=86_400)
    assert not is_hopeless(waited, NOW + timedelta(hours=23, minutes=59))
    assert is_hopeless(waited, NOW + timedelta(days=1))
    end = NOW + timedelta(days=1)
    assert announced_end(9, waited.failing_since, end - timedelta(days=3), 86_400) is None
    assert announced_end(9, waited.failing_since, end - timedelta(days=2), 86_400) == end


def test_the_end_is_announced_two_days_ahead_or_once_it_is_certain() -> None:
    for failures, left, is_announced in (
        (0, timedelta(days=2), True),
        (0, timedelta(days=2, seconds=1), False),
        (0, timedelta(seconds=1), True),
        (3, timedelta(), False),
        (4, timedelta(), True),
    ):
        since = NOW - timedelta(days=5) + left
        end = announced_end(failures, since, NOW)
        assert end == (NOW + left if is_announced else None), failures
        assert announced_end(failures, None, NOW) is None, failures


def test_a_pause_over_five_minutes_was_requested_by_the_receiver() -> None:
    for wait, asked in ((-1, False), (300, False), (301, True)):
        assert has_asked(NOW + timedelta(seconds=wait), NOW) is asked, wait
        assert not has_asked(None, NOW), wait
