"""Recording results: the holder of the lease decides about the delivery."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.deliveries import Rollup
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from tests.jobs.dispatcher.delivery_clock import (
    SECOND,
    attempts,
    claim,
    ended,
    leases,
    make_due,
    only_delivery,
    webhook,
    write_down,
)
from tests.support.factories import make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


@pytest.mark.parametrize("is_late_one_first", [True, False])
def test_a_late_result_in_one_batch_with_the_next_changes_nothing(is_late_one_first: bool) -> None:
    """A machine that slept records both. Its lease expired, and it claimed the delivery again."""
    make_webhook()
    publish()
    (late,) = claim()
    make_due()
    (newer,) = claim()
    both = [ended(late, Reason.SERVER), ended(newer)]
    write_down(*(both if is_late_one_first else reversed(both)))
    delivery = only_delivery()
    assert (delivery.status, delivery.code, delivery.reason) == ("delivered", 200, None)
    assert [attempt.outcome for attempt in attempts()] == ["failed", "delivered"]
    counted = db.session.query(Rollup).one()
    assert (counted.delivered, counted.failed) == (1, 0)


@pytest.mark.parametrize(("minutes", "late"), [(5, 0), (6, 1)])
def test_a_success_more_than_five_minutes_after_its_event_is_late(minutes: int, late: int) -> None:
    make_webhook()
    publish()
    (only,) = claim()
    in_time = ended(only)
    happened = in_time.finished_at - timedelta(minutes=minutes)
    write_down(in_time._replace(claim=only._replace(occurred_at=happened)))
    counted = db.session.query(Rollup).one()
    assert (counted.delivered, counted.late, counted.failed_attempts) == (1, late, 0)


def test_a_success_clears_earlier_failures() -> None:
    make_webhook()
    publish()
    for reason in (Reason.SERVER, Reason.REDIRECT):
        (failed,) = claim()
        write_down(ended(failed, reason))
        assert (only_delivery().status, only_delivery().reason) == ("retrying", reason)
        make_due()
    (last,) = claim()
    write_down(ended(last))
    delivery = only_delivery()
    assert (delivery.status, delivery.reason, delivery.code) == ("delivered", None, 200)
    assert (delivery.tries, delivery.attempts) == (3, 3)
    assert leases() == []
    assert delivery.finished_at is not None


def test_the_time_of_the_last_delivery_is_written_once_a_second() -> None:
    hook = make_webhook()

    def arrive() -> datetime:
        publish()
        write_down(*map(ended, claim()))
        at = webhook(hook.id).last_delivered_at
        assert at is not None
        return at

    first = arrive()
    # A time in the future, as a slow process sees it, stays. A time two seconds ago does not.
    for known, stays in ((first + timedelta(hours=1), True), (first - 2 * SECOND, False)):
        with writing() as current:
            current.execute(update(Webhook).values(last_delivered_at=known))
        assert (arrive() == known) is stays


def test_a_gone_response_from_an_earlier_url_turns_nothing_off() -> None:
    hook = make_webhook()
    publish()
    (before,) = claim()
    with writing() as current:
        current.execute(update(Webhook).values(version=Webhook.version + 1))
    write_down(ended(before, Reason.GONE))
    assert (only_delivery().status, webhook(hook.id).state) == ("failed", "active")
    publish()
    (now,) = claim()
    write_down(ended(now, Reason.GONE))
    assert webhook(hook.id).state == "off"


def test_the_attempt_of_a_batch_that_ended_last_sets_the_webhooks_health() -> None:
    hook = make_webhook()
    for _ in range(2):
        publish()
    first, second = claim()
    failed = ended(second, Reason.REFUSED)
    arrived = ended(first)._replace(finished_at=failed.finished_at + SECOND)
    write_down(arrived, failed)
    after = webhook(hook.id)
    assert (after.failures_in_row, after.throttled, after.failing_since) == (0, False, None)
