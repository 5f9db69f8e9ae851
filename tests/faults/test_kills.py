"""Whatever is killed in the middle of a burst, every message still arrives."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import func, select

from portal.extensions import db
from portal.models.deliveries import Attempt, Lease
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
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


def test_what_a_killed_worker_held_is_sent_within_its_lease_and_a_round_of_maintenance(
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


def test_a_worker_that_stood_still_beyond_its_leases_meets_another_one(
    portal: RunningPortal, receiver: Receiver, tmp_path: Path
) -> None:
    """It wakes up with answers to what the other one has sent meanwhile, and writes them down."""
    accepted = burst(receiver, 150, webhooks=4, delay=1)
    assert has_received(receiver, 10)
    with hanging_without_locks(portal, WORKER):
        assert live_leases()
        receiver.answer(delay=0.01)
        second = Process(tmp_path / "second.log", WORK, portal.environment)
        try:
            assert settled(40)
        finally:
            assert second.stop() == 0
    assert {each.status for each in deliveries_to(receiver)} == {"delivered"}
    ids = [each.id for each in deliveries_to(receiver)]
    assert until(lambda: not unfinished_attempts(ids))
    assert_ledger(receiver, accepted, Excuses(stands_still=lease_of(portal)))
    assert {each.status for each in deliveries_to(receiver)} == {"delivered"}


def unfinished_attempts(deliveries: Sequence[int]) -> int:
    look_again()
    unfinished = select(func.count(Attempt.id)).where(
        Attempt.delivery_id.in_(deliveries), Attempt.finished_at.is_(None)
    )
    return db.session.execute(unfinished).scalar_one()


def test_neither_the_web_nor_the_scheduler_is_needed_to_send(
    portal: RunningPortal, receiver: Receiver
) -> None:
    accepted = burst(receiver)
    assert has_received(receiver)
    portal.kill(SCHEDULER)
    portal.kill(WEB)
    assert settled(20)
    assert_ledger(receiver, accepted)


def test_a_notification_that_dies_with_the_worker_it_woke_is_made_up_for(
    portal: RunningPortal, receiver: Receiver
) -> None:
    """The kill comes between RQ's pop and the claim: Redis no longer knows of the job."""
    make_webhook(receiver.url)
    with hanging_without_locks(portal, SCHEDULER):  # no maintenance comes in between
        assert until(lambda: workers_wait(portal))
        # It waits for the queue, so Valkey hands it the job.
        with hanging_without_locks(portal, WORKER) as pid:
            publish()
            assert until(lambda: queued(portal) == 0)
            os.kill(pid, signal.SIGKILL)
    assert not receiver.received
    assert settled(20)
    assert_ledger(receiver, 1)
    assert deliveries_to(receiver)[0].attempts == 1


def workers_wait(portal: RunningPortal) -> bool:
    """Whether both workers wait for a job that is not there."""
    with portal.redis() as redis:
        return redis.info("clients")["blocked_clients"] == 2 and not redis.llen(
            f"rq:queue:{DELIVERIES}"
        )


def queued(portal: RunningPortal) -> int:
    with portal.redis() as redis:
        return int(redis.llen(f"rq:queue:{DELIVERIES}"))


def test_a_success_that_nobody_wrote_down_is_sent_again_under_the_same_id(
    portal: RunningPortal, receiver: Receiver
) -> None:
    """Worker and Valkey are killed after the receiver's 200 and before it is recorded."""
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


def test_a_receiver_that_is_restarted_gets_everything(
    portal: RunningPortal, receiver: Receiver
) -> None:
    del portal
    accepted = burst(receiver, 40)
    assert has_received(receiver, 10)
    receiver.stop()
    receiver.start()
    assert settled(30)
    assert_ledger(receiver, accepted)


def test_maintenance_leaves_a_heartbeat(portal: RunningPortal) -> None:
    del portal

    def was_just_seen() -> bool:
        look_again()
        age = heartbeats.age("maintenance")
        return age is not None and age < 3

    assert until(was_just_seen)
