"""A delivery has failed since the end of its first failed attempt, and its webhook soon fails."""

from datetime import datetime, timedelta

import pytest

from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.webhooks import backlog
from tests.jobs.dispatcher.delivery_clock import (
    ask_for_retry,
    attempts,
    claim,
    crash_after_claim,
    deliveries,
    ended,
    make_due,
    only_delivery,
    write_down,
)
from tests.support.deliveries import change
from tests.support.factories import Hook, make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


HOUR = timedelta(hours=1)


def attempt(reason: Reason | None = Reason.SERVER, retry_after: float | None = None) -> None:
    """Send the due delivery, and end the attempt with this reason."""
    make_due()
    (claimed,) = claim()
    result = ended(claimed, reason)
    write_down(result._replace(outcome=Outcome(reason, None if reason else 200, retry_after)))


def since() -> datetime | None:
    return only_delivery().failing_since


def found(hook: Hook) -> list[int]:
    """Return the numbers of the webhook's causes, which every way to ask for its backlog has."""
    db.session.rollback()
    one = backlog.of_one(db.session(), hook.id)
    assert backlog.count() == ((one.undelivered, 1) if one else (0, 0))
    assert backlog.ids_in_trouble(db.session()) == ([hook.id] if one else [])
    return [cause.count for cause in one.causes] if one else []


def first() -> datetime | None:
    return attempts()[0].finished_at


def test_a_delivery_has_failed_since_its_first_failure_whatever_follows() -> None:
    make_webhook()
    publish()
    for reason in (Reason.SERVER, Reason.AUTH, Reason.REFUSED):
        attempt(reason)
        assert since() == first()


@pytest.mark.parametrize("ends", ["again", "later", "for good"])
def test_a_webhook_fails_after_a_second_failure_a_minute_or_the_last_attempt(ends: str) -> None:
    """All its failures count from then on. First ones alone make no webhook Failing."""
    hook = make_webhook()
    publish()
    publish()
    make_due()
    write_down(*(ended(each, Reason.SERVER) for each in claim()))
    assert found(hook) == []
    one, other = (delivery.public_id for delivery in deliveries())
    match ends:
        case "later":
            change(one, failing_since=utcnow() - backlog.GRACE)
        case "again":
            change(other, due_at=utcnow() + HOUR)
            change(one, due_at=utcnow() - HOUR)
            (again,) = claim()
            write_down(ended(again, Reason.SERVER))
        case "for good":
            change(one, status="failed")
    assert found(hook) == [2]


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
    # Its receiver is gone, so it is no longer delivered.
    ask_for_retry(only_delivery().id)
    attempt(Reason.GONE)
    assert (only_delivery().status, since()) == ("failed", attempts()[-1].finished_at)


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


def test_a_failure_recorded_late_counts_from_its_own_end() -> None:
    make_webhook()
    publish()
    make_due()
    (late,) = claim()
    make_due()
    claim()
    make_due()
    (second,) = claim()
    result = ended(late, Reason.SERVER)
    write_down(ended(second, Reason.SERVER)._replace(finished_at=result.finished_at + HOUR))
    assert since() == result.finished_at + HOUR
    write_down(result)
    assert since() == result.finished_at


def test_a_failed_test_is_not_failing() -> None:
    make_webhook()
    publish()
    change(only_delivery().public_id, priority=Priority.TEST)
    attempt()
    assert (only_delivery().status, since()) == ("failed", None)
