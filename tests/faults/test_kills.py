"""Every delivery arrives, whichever process is killed during a burst."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select

from portal.extensions import db
from portal.models.deliveries import Attempt, Lease
from portal.queue.names import DELIVERIES
from tests.faults.support.database_locks import database_locked, hanging_without_locks
from tests.faults.support.delivery_ledger import (
    Excuses,
    assert_ledger,
    deliveries_to,
    lease_of,
    settled,
)
from tests.faults.support.load import burst, has_received, look_again, within
from tests.faults.support.running_portal import SCHEDULER, VALKEY, WEB, WORKER, RunningPortal
from tests.support.factories import make_webhook, publish
from tests.support.processes import Process, until
from tests.support.receiver import Receiver

WORK = ["-m", "jobs", "worker", "deliveries"]
MARGIN = 15.0  # for a worker to start again on a busy machine


def live_leases() -> int:
    look_again()
    return db.session.execute(select(func.count(Lease.delivery_id))).scalar_one()


def test_deliveries_of_a_killed_worker_are_sent_after_their_leases(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver, 10, webhooks=40, delay=1.5)
    assert until(lambda: live_leases() >= 200)
    assert has_received(receiver, 100)
    portal.kill(WORKER)
    receiver.answer(delay=0.01)
    with within(portal.settings.lease_seconds + portal.settings.maintenance_seconds + MARGIN):
        assert settled(40)
    assert_ledger(receiver, accepted)
    interrupted = select(func.count(Attempt.id)).where(Attempt.outcome == "interrupted")
    assert db.session.execute(interrupted).scalar_one() >= 50


def test_a_worker_that_paused_beyond_its_leases_records_its_late_results(
    portal: RunningPortal, receiver: Receiver, tmp_path: Path
) -> None:
    """Another worker has sent its deliveries in the meantime."""
    # While this process publishes, the receiver's thread can miss the timeout of two seconds. Many
    # timeouts in a row would pause the webhooks for longer than we wait.
    with hanging_without_locks(portal, WORKER):
        accepted = burst(receiver, 150, webhooks=4, delay=0.5)
    assert has_received(receiver, 10)
    with hanging_without_locks(portal, WORKER):
        assert live_leases()
        receiver.answer(delay=0.01)
        second = Process(tmp_path / "second.log", WORK, portal.environment)
        try:
            assert settled(40)
        finally:
            assert second.stop() == 0
    assert {delivery.status for delivery in deliveries_to(receiver)} == {"delivered"}
    ids = [delivery.id for delivery in deliveries_to(receiver)]
    assert until(lambda: not unfinished_attempts(ids))
    assert_ledger(receiver, accepted, Excuses(stands_still=lease_of(portal)))
    assert {delivery.status for delivery in deliveries_to(receiver)} == {"delivered"}


def unfinished_attempts(deliveries: Sequence[int]) -> int:
    look_again()
    unfinished = select(func.count(Attempt.id)).where(
        Attempt.delivery_id.in_(deliveries), Attempt.finished_at.is_(None)
    )
    return db.session.execute(unfinished).scalar_one()


def test_sending_needs_neither_the_web_server_nor_the_scheduler(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver)
    assert has_received(receiver)
    portal.kill(SCHEDULER)
    portal.kill(WEB)
    assert settled(20)
    assert_ledger(receiver, accepted)


def test_a_notification_lost_with_its_worker_delays_but_loses_nothing(
    portal: RunningPortal, receiver: Receiver
) -> None:
    """The kill comes between RQ's pop and the claim, so Redis no longer has the job."""
    make_webhook(receiver.url)
    with hanging_without_locks(portal, SCHEDULER):  # or a maintenance job would come in between
        assert until(lambda: workers_wait(portal))
        # The worker is blocked on the queue, so Valkey hands it the job.
        with hanging_without_locks(portal, WORKER) as pid:
            publish()
            assert until(lambda: queued(portal) == 0)
            os.kill(pid, signal.SIGKILL)
    assert not receiver.received
    assert settled(20)
    assert_ledger(receiver, 1)
    assert deliveries_to(receiver)[0].attempts == 1


def workers_wait(portal: RunningPortal) -> bool:
    """Return whether both workers are blocked on empty queues."""
    with portal.redis() as redis:
        return redis.info("clients")["blocked_clients"] == 2 and not redis.llen(
            f"rq:queue:{DELIVERIES}"
        )


def queued(portal: RunningPortal) -> int:
    with portal.redis() as redis:
        return int(redis.llen(f"rq:queue:{DELIVERIES}"))


def test_an_unrecorded_success_is_sent_again_under_the_same_id(
    portal: RunningPortal, receiver: Receiver
) -> None:
    """Worker and Valkey are killed after the receiver's 200 and before its record."""
    receiver.answer(delay=0.5)
    make_webhook(receiver.url)
    publish()
    assert has_received(receiver, 1)
    with database_locked(portal):
        assert until(lambda: len(receiver.answered) == 1)
        portal.kill(VALKEY)
        portal.kill(WORKER)
    assert settled(20)
    assert_ledger(receiver, 1)
    (delivery,) = deliveries_to(receiver)
    assert (delivery.status, delivery.tries, len(receiver.received)) == ("delivered", 2, 2)


def test_a_restarted_receiver_gets_everything(portal: RunningPortal, receiver: Receiver) -> None:
    del portal
    accepted = burst(receiver, 40)
    assert has_received(receiver, 10)
    receiver.stop()
    receiver.start()
    assert settled(30)
    assert_ledger(receiver, accepted)
