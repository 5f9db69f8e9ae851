"""What a dispatcher does now and then beside sending: when, and what is left alone meanwhile."""

import threading
from contextlib import nullcontext
from datetime import timedelta

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.dispatcher import maintenance as maintenance_module
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.maintenance import Maintenance
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.queue import notifier
from portal.services.core import heartbeats
from portal.services.webhooks import turn_on_off
from tests.jobs.dispatcher.delivery_clock import leases
from tests.jobs.outage import Clock, refused
from tests.support.database.periodic_tasks import let_periodic_tasks_age
from tests.support.deliveries import lease, make_delivery, stored
from tests.support.factories import make_webhook

pytestmark = pytest.mark.both_databases


@pytest.fixture
def maintenance(database: DatabaseExecutor) -> Maintenance:
    return Maintenance(notifier.notifier(), database, every=0.0)


def do(
    maintenance: Maintenance, *, without: set[int] | None = None, is_behind: bool = False
) -> None:
    maintenance.at = 0.0
    maintenance.do(set(), without or set(), is_behind=is_behind, in_background=False)


def has_signed() -> bool:
    db.session.rollback()
    return heartbeats.age(heartbeats.DISPATCHER) is not None


def test_who_has_sent_something_gives_a_sign_of_it_with_its_maintenance(
    maintenance: Maintenance,
) -> None:
    do(maintenance)
    assert not has_signed()
    maintenance.note_claims()
    with refused():
        do(maintenance)
    assert not has_signed()
    do(maintenance)
    assert has_signed()
    signed = [each.name for each in heartbeats.processes() if each.kind == heartbeats.DISPATCHER]
    assert signed == [heartbeats.own_name(heartbeats.DISPATCHER)], "its goodbye takes it away"


def test_maintenance_wait_for_their_time_and_for_what_the_database_is_at(
    app: Flask,
) -> None:
    del app
    may_end, executor = threading.Event(), DatabaseExecutor(equip().engine, has_background=True)
    maintenance = Maintenance(notifier.notifier(), executor, every=3600.0)

    def is_done() -> bool:
        if is_due := maintenance.is_due:
            maintenance.do(set(), set(), is_behind=False, in_background=False)
        return is_due

    executor.submit(lambda: may_end.wait(20), lambda _: None, in_background=True)
    assert not is_done()
    may_end.set()
    executor.poll(20)
    assert [is_done() for _ in range(2)] == [True, False]
    with refused():
        assert executor.write(lambda _: True) is None
    assert [is_done() for _ in range(2)] == [True, False], "what was committed is not known"
    executor.close()


def test_what_one_dispatcher_has_looked_at_no_other_does_so_soon(
    database: DatabaseExecutor,
) -> None:
    first, second = (Maintenance(notifier.notifier(), database, every=3600.0) for _ in range(2))
    do(first)
    open_one, seen = make_delivery(make_webhook(state="off")), []
    for aged in (0, 0.95 * 3600):
        let_periodic_tasks_age(aged)
        do(second)
        seen.append(stored(open_one)["status"])
    assert seen == ["queued", "on_hold"]


def test_when_they_are_due_again_follows_from_what_they_have_done(
    database: DatabaseExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(maintenance_module, "monotonic", clock.monotonic)
    monkeypatch.setattr(turn_on_off, "HOLD_BATCH", 2)
    maintenance, off = (
        Maintenance(notifier.notifier(), database, every=60.0),
        make_webhook(state="off"),
    )
    made = [make_delivery(off) for _ in range(5)]
    seen = []
    for is_refused in (False, True, False, False, False):
        with refused() if is_refused else nullcontext():
            do(maintenance)
        held = sum(stored(each)["status"] == "on_hold" for each in made)
        seen.append((held, maintenance.at - clock.now))
    assert seen == [(2, 0.25), (2, 0.5), (4, 0.25), (5, 60.0), (5, 60.0)]


def test_what_was_sent_while_the_database_was_at_it_is_a_heartbeat_that_counts(
    database: DatabaseExecutor,
) -> None:
    del database  # with it nobody pauses
    executor = DatabaseExecutor(equip().engine, has_background=True)
    maintenance = Maintenance(notifier.notifier(), executor, every=0.0)
    for is_refused in (True, False):
        with refused() if is_refused else nullcontext():
            maintenance.at = 0.0
            maintenance.do(set(), set(), is_behind=False, in_background=True)
            maintenance.note_claims()
            executor.poll(20)
    assert has_signed()
    executor.close()


def test_nothing_is_put_right_while_results_are_not_written(maintenance: Maintenance) -> None:
    later = utcnow() + timedelta(hours=5)
    open_one, cut_off = make_delivery(make_webhook(state="off")), make_delivery()
    lease(cut_off, -1)
    well_again = make_webhook(reopened_at=utcnow())
    retried = make_delivery(well_again, status="retrying", due_at=later)

    def standing() -> tuple[str, int, bool]:
        return (
            stored(open_one)["status"],
            stored(cut_off)["tries"],
            stored(retried)["due_at"] == later,
        )

    do(maintenance, is_behind=True)
    assert standing() == ("queued", 0, True)
    do(maintenance)
    assert standing() == ("on_hold", 1, False)


def test_leases_of_webhooks_with_results_to_be_recorded_are_not_reclaimed(
    maintenance: Maintenance,
) -> None:
    kept, other = make_webhook(), make_webhook()
    made = [make_delivery(kept), make_delivery(other)]
    for each in made:
        lease(each, -1)
    do(maintenance, without={kept.id})
    assert [each.webhook_id for each in leases()] == [kept.id]
    assert [stored(each)["tries"] for each in made] == [0, 1]
