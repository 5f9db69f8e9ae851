"""A delivery whose attempt was cut off is sent again, unless that was its last attempt."""

from datetime import timedelta
from uuid import UUID

import pytest

from portal.database.engine import database_now
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority, Rollup
from portal.services.core.unit_of_work import writing
from portal.services.outbox import leases
from tests.support.deliveries import lease, make_attempt, make_delivery, stored
from tests.support.factories import Hook, make_webhook

pytestmark = pytest.mark.usefixtures("app")


@pytest.fixture
def hook() -> Hook:
    return make_webhook()


def retried(hook: Hook, before: str = "failed") -> UUID:
    """Make a delivery that a person retries."""
    asked = {"priority": Priority.INTERACTIVE, "requested_by": "Ana"}
    return make_delivery(hook, prior_status=before, prior_due_at=utcnow(), **asked)


def cut_off(delivery: UUID, hook: Hook, **columns: str) -> None:
    """Expire the lease of a delivery, as if its sender had died."""
    lease(delivery, -1, **columns)
    with writing() as current:
        now = database_now(current.connection())
        assert leases.settle_ended(current.connection(), [hook.id], now) == 1


def counted() -> list[tuple[int, int, int]]:
    db.session.rollback()
    query = db.session.query(Rollup)
    return [(rollup.delivered, rollup.failed, rollup.failed_attempts) for rollup in query]


@pytest.mark.parametrize("before", ["failed", "queued"])
def test_a_manual_retry_that_is_cut_off_three_times_is_over(hook: Hook, before: str) -> None:
    delivery = retried(hook, before)
    for status in ("queued", "queued", before):
        assert stored(delivery)["prior_status"] == before
        cut_off(delivery, hook)
        assert stored(delivery)["status"] == status
    assert stored(delivery)["prior_status"] is None


@pytest.mark.parametrize("before", [("manual", "manual", "scheduled"), ("scheduled", "manual")])
def test_only_the_latest_cut_off_attempts_of_the_same_kind_count(
    hook: Hook, before: tuple[str, ...]
) -> None:
    delivery = retried(hook)
    for kind in before:
        make_attempt(delivery, kind=kind, outcome="interrupted", finished_at=None)
    cut_off(delivery, hook)
    assert stored(delivery)["status"] == "queued"


def test_a_manual_retry_that_is_cut_off_spends_no_scheduled_attempt(hook: Hook) -> None:
    delivery = retried(hook)
    cut_off(delivery, hook)
    after = stored(delivery)
    assert (after["attempts"], after["tries"]) == (1, 0)
    assert (after["prior_status"], after["requested_by"]) == ("failed", "Ana")


def test_a_cut_off_retry_of_a_failed_delivery_is_no_further_failure(hook: Hook) -> None:
    delivery = retried(hook)
    for _ in range(3):
        cut_off(delivery, hook)
    assert counted() == [(0, 0, 1)]


def test_a_delivered_delivery_stays_so_when_its_last_lease_expires(hook: Hook) -> None:
    delivery = make_delivery(hook, status="delivered", tries=10, attempts=10)
    cut_off(delivery, hook)
    after = stored(delivery)
    assert (after["status"], after["reason"], after["attempts"]) == ("delivered", None, 11)
    assert counted() == []


def test_a_lease_expires_exactly_at_its_end(hook: Hook) -> None:
    until = utcnow()
    lease(make_delivery(hook), until=until)
    with writing() as current:
        connection, ids = current.connection(), [hook.id]
        assert leases.settle_ended(connection, ids, until - timedelta(milliseconds=1)) == 0
        assert leases.settle_ended(connection, ids, until) == 1
