"""Since when a delivery fails: from its first failed attempt, once that counts, and no later."""

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
    """What is due now is sent, and ends so."""
    make_due()
    (claimed,) = claim()
    result = ended(claimed, reason)
    write_down(result._replace(outcome=Outcome(reason, None if reason else 200, retry_after)))


def since() -> datetime | None:
    return only_delivery().failing_since


def first() -> datetime | None:
    return attempts()[0].finished_at


def test_one_failure_counts_where_the_next_attempt_is_far_or_none() -> None:
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


def test_it_begins_with_the_first_failure_once_a_second_came_and_never_moves() -> None:
    make_webhook()
    publish()
    attempt()
    assert since() is None
    for reason in (Reason.SERVER, Reason.AUTH, Reason.REFUSED):
        attempt(reason)
        assert since() == first()


def test_a_persons_retry_leaves_it_and_what_arrives_has_none() -> None:
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


def test_what_was_delivered_before_and_fails_when_it_is_sent_once_more_does_not_fail() -> None:
    make_webhook()
    publish()
    for reason in (Reason.SERVER, Reason.SERVER, None):
        attempt(reason)
    ask_for_retry(only_delivery().id)
    attempt()
    assert (only_delivery().status, since()) == ("delivered", None)
    # Its receiver is gone: now it has failed, since that attempt.
    ask_for_retry(only_delivery().id)
    attempt(Reason.GONE)
    failed = attempts()
    assert (only_delivery().status, since()) == ("failed", failed[-2].finished_at)


def test_what_was_cut_off_each_time_counts_from_its_end() -> None:
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


def test_a_failure_that_is_heard_late_is_a_second_one_all_the_same() -> None:
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


def test_a_receivers_second_failure_counts_whichever_delivery_it_is_of() -> None:
    """A webhook that fails with another one each time would seem to be well."""
    make_webhook()
    publish()
    attempt(Reason.REFUSED)
    assert since() is None
    change(only_delivery().public_id, due_at=utcnow() + timedelta(hours=1))
    publish()
    end_pause()
    (probe,) = claim()
    write_down(ended(probe, Reason.REFUSED))
    assert [each.failing_since is not None for each in deliveries()] == [False, True]


def test_a_test_does_not_fail() -> None:
    make_webhook()
    publish()
    change(only_delivery().public_id, priority=Priority.TEST)
    attempt()
    assert (only_delivery().status, since()) == ("failed", None)
