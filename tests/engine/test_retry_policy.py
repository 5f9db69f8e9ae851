"""The retry policy: the next state of a delivery after an attempt."""

from datetime import UTC, datetime, timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.reasons import Reason
from portal.engine.retry_policy import (
    MOST_INTERRUPTIONS,
    SCHEDULE,
    AttemptKind,
    Decision,
    Delivered,
    GiveUp,
    Outcome,
    Repeat,
    Restore,
    RetryAt,
    TurnOff,
    decide,
    parse_retry_after,
    wait,
)

NOW = datetime(2025, 2, 4, 12, 0, tzinfo=UTC)


DAY = 24 * 3600


SCHEDULED, MANUAL, TEST = AttemptKind


OK = Outcome(None, 204)


GONE = Outcome(Reason.GONE, 410)


FAILED_AT_ONCE = {Reason.BLOCKED, Reason.BAD_HEADERS}


RETRIED = sorted(set(Reason) - FAILED_AT_ONCE - {Reason.GONE})


FINAL_TRY = len(SCHEDULE)


def after(kind: AttemptKind, outcome: Outcome, tries: int = 1, interruptions: int = 3) -> Decision:
    return decide(kind=kind, tries=tries, outcome=outcome, now=NOW, interruptions=interruptions)


def later(seconds: float) -> RetryAt:
    return RetryAt(NOW + timedelta(seconds=seconds))


def test_a_success_is_delivered_for_every_kind_of_attempt() -> None:
    for kind in AttemptKind:
        assert [after(kind, OK, tries) for tries in (0, 1, 10, 11)] == [Delivered()] * 4, kind


def test_every_other_failure_is_retried_on_schedule() -> None:
    for reason in RETRIED:
        waits = [after(SCHEDULED, Outcome(reason), tries) for tries in range(1, FINAL_TRY)]
        assert waits == [later(seconds) for seconds in SCHEDULE[1:]], reason
        for tries in (FINAL_TRY, FINAL_TRY + 1):
            assert after(SCHEDULED, Outcome(reason, retry_after=5), tries) == GiveUp(reason)


def test_a_failure_that_retries_cannot_fix_is_final_at_once() -> None:
    for reason in sorted(FAILED_AT_ONCE):
        decisions = [after(SCHEDULED, Outcome(reason), tries) for tries in (1, 5, FINAL_TRY)]
        assert decisions == [GiveUp(reason)] * 3, reason


def test_a_blocked_name_is_retried() -> None:
    blocked = Outcome(Reason.BLOCKED, may_differ=True)
    assert after(SCHEDULED, blocked) == later(SCHEDULE[1])
    assert after(SCHEDULED, blocked, FINAL_TRY) == GiveUp(Reason.BLOCKED)


def test_gone_turns_the_webhook_off_at_any_scheduled_or_manual_attempt() -> None:
    decisions = [after(SCHEDULED, GONE, tries) for tries in (1, 5, FINAL_TRY)]
    assert [*decisions, after(MANUAL, GONE)] == [TurnOff(Reason.GONE)] * 4


def test_a_failed_manual_retry_restores_the_previous_state_or_takes_the_last_wait_again() -> None:
    for reason in set(Reason) - {Reason.GONE}:
        for tries, seconds in ((0, 5), (1, 5), (2, 300), (9, DAY), (FINAL_TRY, DAY)):
            assert after(MANUAL, Outcome(reason), tries) == restored(reason, seconds)
        assert after(MANUAL, Outcome(reason, retry_after=60), 1) == restored(reason, 60)


def restored(reason: Reason, seconds: float) -> Restore:
    return Restore(reason, NOW + timedelta(seconds=seconds))


def test_an_automatic_attempt_never_follows_a_failed_manual_one_within_five_seconds() -> None:
    restore = restored(Reason.SERVER, 300)
    for planned, expected in ((-60, 300), (0, 300), (5, 300), (5.1, 5.1), (900, 900)):
        due_at = restore.due_at(NOW + timedelta(seconds=planned), NOW)
        assert due_at == NOW + timedelta(seconds=expected), planned


def test_a_failed_test_is_final() -> None:
    for reason in Reason:
        assert after(TEST, Outcome(reason), tries=0) == GiveUp(reason)


def test_an_interrupted_manual_or_test_attempt_is_repeated_twice() -> None:
    for kind in (MANUAL, TEST):
        lost = Outcome(Reason.INTERRUPTED)
        given = [after(kind, lost, interruptions=times) for times in (1, 2, MOST_INTERRUPTIONS)]
        end = restored(Reason.INTERRUPTED, 5) if kind is MANUAL else GiveUp(Reason.INTERRUPTED)
        assert given == [Repeat(), Repeat(), end], kind


def test_an_interrupted_scheduled_attempt_counts_as_a_try() -> None:
    lost = Outcome(Reason.INTERRUPTED)
    assert after(SCHEDULED, lost, 2, interruptions=1) == later(SCHEDULE[2])
    assert after(SCHEDULED, lost, FINAL_TRY, interruptions=1) == GiveUp(Reason.INTERRUPTED)


def test_retry_after_lengthens_but_never_shortens_the_wait() -> None:
    busy = [Outcome(Reason.RATE, 429, seconds) for seconds in (0.0, 2.0, 900.0, 10.0 * DAY)]
    assert [after(SCHEDULED, each) for each in busy] == [later(5), later(5), later(900), later(DAY)]


def test_jitter_changes_a_wait_by_at_most_a_tenth() -> None:
    for jitter, factor in ((-1, 0.9), (-0.5, 0.95), (0, 1), (1, 1.1), (7, 1.1), (-7, 0.9)):
        assert wait(300, jitter) == pytest.approx(300 * factor), jitter


def test_the_ten_tries_spread_over_75_hours_and_35_minutes() -> None:
    assert len(SCHEDULE) == 10
    assert sum(SCHEDULE) == (75 * 60 + 35) * 60 + 5


def test_a_custom_schedule_is_followed() -> None:
    for schedule, expected in (
        ((0, 7), later(7)),
        ((0,), GiveUp(Reason.SERVER)),
        ((), GiveUp(Reason.SERVER)),
    ):
        outcome = Outcome(Reason.SERVER, 500)
        assert expected == decide(
            kind=SCHEDULED, tries=1, outcome=outcome, now=NOW, schedule=schedule
        ), schedule
        wait_again = restored(Reason.SERVER, schedule[-1] if schedule else 0)
        assert wait_again == decide(
            kind=MANUAL, tries=1, outcome=outcome, now=NOW, schedule=schedule
        ), schedule


@given(
    st.sampled_from(RETRIED),
    st.integers(1, FINAL_TRY - 1),
    st.floats(-1, 1),
    st.none() | st.floats(0, 1e12),
)
def test_the_next_attempt_is_within_its_bounds(
    reason: Reason, tries: int, jitter: float, asked: float | None
) -> None:
    outcome = Outcome(reason, retry_after=asked)
    next_try = decide(kind=SCHEDULED, tries=tries, outcome=outcome, now=NOW, jitter=jitter)
    assert isinstance(next_try, RetryAt)
    seconds = (next_try.at - NOW).total_seconds()
    planned = SCHEDULE[tries]
    assert planned * 0.9 - 0.001 <= seconds <= max(planned * 1.1, DAY) + 0.001
    if asked is not None:
        assert seconds >= min(asked, DAY) - 0.001


READ: Final[list[tuple[str, float]]] = [
    ("0", 0),
    ("120", 120),
    ("  120\t", 120),
    ("0120", 120),
    ("1.5", 1.5),
    ("86401", DAY),
    ("9" * 5000, DAY),
    # Only the first hundred characters are read.
    (f"{5:0100}", 5),
    (f"{5:0101}", 0),
    ("120" + " " * 97 + "x", 120),
    ("Tue, 04 Feb 2025 12:05:00 GMT", 300),
    ("Tue, 4 Feb 2025 12:05:00 GMT", 300),
    ("Tue, 04 Feb 2025 12:05:00 UTC", 300),
    ("Tue, 04 Feb 2025 12:05:00 +0000", 300),
    ("Tuesday, 04-Feb-25 12:05:00 GMT", 300),
    ("Tue Feb  4 12:05:00 2025", 300),
    ("Tue Feb 04 12:05:00 2025", 300),
    ("Mon, 04 Feb 2025 12:05:00 GMT", 300),
    ("Tue, 04 Feb 2025 12:05:60 GMT", 359),
    ("Tue, 04 Feb 2025 11:59:00 GMT", 0),
    ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
    # A two-digit year that seems more than fifty years ahead is in the past.
    ("Monday, 04-Feb-75 12:05:00 GMT", DAY),
    ("Tuesday, 04-Feb-76 12:05:00 GMT", 0),
    ("Thu, 31 Dec 9999 23:59:59 GMT", DAY),
]


def test_retry_after_is_read_as_seconds_or_any_http_date() -> None:
    for value, seconds in READ:
        assert parse_retry_after(value, NOW) == seconds


IGNORED: Final[list[str]] = [
    "",
    " ",
    "soon",
    "-5",
    "+5",
    "1e9",
    "inf",
    "nan",
    "0x10",
    "12 0",
    "120, 120",
    "\u0661\u0662",
    "\x00",
    "Tue, 31 Feb 2025 12:00:00 GMT",
    "Tue, 04 Feb 0000 12:00:00 GMT",
    "Tue, 04 Feb 2025 25:00:00 GMT",
    "Tue, 04 Fev 2025 12:00:00 GMT",
    "Tue, 04 Feb 2025 12:00:00 PST",
    "2025-02-04T12:05:00Z",
    "x" * 100_000,
]


def test_an_unreadable_retry_after_is_ignored() -> None:
    for value in IGNORED:
        assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=120))
def test_no_retry_after_value_breaks_the_parser(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= DAY
