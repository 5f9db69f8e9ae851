"""A delivery fails since its first failed attempt, from the moment when that failure counts."""

from datetime import datetime, timedelta

import pytest

from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome, is_failing
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    attempts,
    claim,
    crash_after_claim,
    deliveries,
    end_pause,
    ended,
    make_due,
    only_delivery,
    write_down,
)
from tests.support.deliveries import change
from tests.support.factories import make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def attempt(reason: Reason | None = Reason.SERVER, retry_after: float | None = None) -> None:
    """Send the due delivery, and end the attempt with this reason."""
    make_due()
    (claimed,) = claim()
    result = ended(claimed, reason)
    write_down(result._replace(outcome=Outcome(reason, None if reason else 200, retry_after)))


def since() -> datetime | None:
    return only_delivery().failing_since


def first() -> datetime | None:
    return attempts()[0].finished_at


def test_one_failure_counts_only_if_the_next_attempt_is_far_or_none() -> None:
    for failures, seconds, counts in (
        (0, None, False),
        (1, 5, False),
        (1, 60, False),
        (1, 61, True),
        (1, None, True),
        (2, 5, True),
    ):
        now = utcnow()
        next_at = None if seconds is None else now + timedelta(seconds=seconds)
        assert is_failing(failures, next_at, now) is counts, failures
        assert is_failing(failures, next_at, now, was_probe=True) is (failures > 0), failures


def test_failing_starts_at_the_first_failure_after_a_second_and_stays() -> None:
    make_webhook()
    publish()
    attempt()
    assert since() is None
    for reason in (Reason.SERVER, Reason.AUTH, Reason.REFUSED):
        attempt(reason)
        assert since() == first()


def test_a_manual_retry_keeps_failing_since_and_a_success_clears_it() -> None:
    make_webhook()
    publish()
    attempt(Reason.BLOCKED)
    ask_for_retry(only_delivery().id)
    assert since() == first()
    attempt(Reason.AUTH)
    assert (only_delivery().status, since()) == ("failed", first())
    ask_for_retry(only_delivery().id)
    attempt(None)
    assert (only_delivery().status, since()) == ("delivered", None)


def test_a_failed_resend_of_a_delivered_delivery_is_not_failing() -> None:
    make_webhook()
    publish()
    for reason in (Reason.SERVER, Reason.SERVER, None):
        attempt(reason)
    ask_for_retry(only_delivery().id)
    attempt()
    assert (only_delivery().status, since()) == ("delivered", None)
    # Its receiver is gone, so it has failed since that attempt.
    ask_for_retry(only_delivery().id)
    attempt(Reason.GONE)
    failed = attempts()
    assert (only_delivery().status, since()) == ("failed", failed[-2].finished_at)


def test_an_always_interrupted_delivery_fails_since_its_end() -> None:
    make_webhook()
    publish()
    make_due()
    change(only_delivery().public_id, tries=9)
    crash_after_claim()
    make_due()
    claim()
    delivery = only_delivery()
    assert (delivery.status, delivery.reason) == ("failed", "interrupted")
    assert delivery.failing_since == delivery.finished_at is not None


def test_a_failure_recorded_late_counts_as_a_second_one() -> None:
    make_webhook()
    publish()
    attempt()
    make_due()
    (late,) = claim()
    make_due()
    claim()
    assert since() is None
    write_down(ended(late, Reason.SERVER))
    assert since() == first()


def test_a_receivers_second_failure_counts_for_any_of_its_deliveries() -> None:
    """Otherwise, a webhook that fails another delivery each time would seem healthy."""
    make_webhook()
    publish()
    attempt(Reason.REFUSED)
    assert since() is None
    change(only_delivery().public_id, due_at=utcnow() + timedelta(hours=1))
    publish()
    end_pause()
    (probe,) = claim()
    write_down(ended(probe, Reason.REFUSED))
    assert [delivery.failing_since is not None for delivery in deliveries()] == [False, True]


def test_a_failed_test_is_not_failing() -> None:
    make_webhook()
    publish()
    change(only_delivery().public_id, priority=Priority.TEST)
    attempt()
    assert (only_delivery().status, since()) == ("failed", None)
