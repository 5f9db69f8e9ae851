"""A dispatcher's periodic maintenance: its times, and rows that it leaves alone."""

import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from jobs.context import job
from jobs.deliver import equip
from jobs.dispatcher import maintenance as maintenance_module
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.maintenance import Maintenance
from jobs.periodic import expire_reservations, look_for_alerts, maintain, prune, turn_on_webhooks
from jobs.tasks import run_tasks
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.database.engine import impatient_engine
from portal.extensions import db, settings
from portal.lib.clock import utcnow
from portal.models.deliveries import Delivery, Lease
from portal.queue import notifier
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import Claim
from portal.services.webhooks import turn_on_off
from tests.conftest import ENVIRONMENT
from tests.jobs.dispatcher.delivery_clock import leases
from tests.jobs.outage import Clock, refused
from tests.support.database.periodic_tasks import let_periodic_tasks_age
from tests.support.deliveries import lease, make_delivery, stored
from tests.support.factories import make_webhook
from tests.support.processes import until

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


def test_maintenance_writes_a_heartbeat_after_a_send(
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
    signed = [
        process.name for process in heartbeats.processes() if process.kind == heartbeats.DISPATCHER
    ]
    assert signed == [heartbeats.own_name(heartbeats.DISPATCHER)], "its goodbye takes it away"


def test_maintenance_waits_for_its_time_and_for_other_database_work(
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


def test_maintenance_by_one_dispatcher_satisfies_all_others(
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


def test_the_result_of_maintenance_sets_its_next_time(
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
        held = sum(stored(public_id)["status"] == "on_hold" for public_id in made)
        seen.append((held, maintenance.at - clock.now))
    assert seen == [(2, 0.25), (2, 0.5), (4, 0.25), (5, 60.0), (5, 60.0)]


def test_a_send_during_maintenance_counts_for_the_next_heartbeat(
    database: DatabaseExecutor,
) -> None:
    del database  # only for its fixture, which sets the pause to zero
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


def test_maintenance_repairs_nothing_while_results_are_behind(maintenance: Maintenance) -> None:
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


def test_leases_of_webhooks_with_pending_results_are_not_reclaimed(
    maintenance: Maintenance,
) -> None:
    kept, other = make_webhook(), make_webhook()
    made = [make_delivery(kept), make_delivery(other)]
    for each in made:
        lease(each, -1)
    do(maintenance, without={kept.id})
    assert [each.webhook_id for each in leases()] == [kept.id]
    assert [stored(each)["tries"] for each in made] == [0, 1]


@pytest.fixture
def locked(app: Flask) -> Iterator[None]:
    """Hold the database's lock for longer than the lock timeout, which is short here."""
    is_postgres = db.engine.dialect.name == "postgresql"
    db.engine.dispose()  # so that the connection below is the only one
    shorter = "SET lock_timeout = '50ms'" if is_postgres else "PRAGMA busy_timeout=50"
    with db.engine.connect() as connection:
        connection.execute(text(shorter))
        connection.commit()
    other = impatient_engine(settings().database_url)
    with other.connect().execution_options(writing=True) as writer, writer.begin():
        if is_postgres:
            writer.execute(text("LOCK TABLE processes IN EXCLUSIVE MODE"))
        yield
    other.dispose()
    db.session.remove()
    db.engine.dispose()


def test_maintenance_on_a_busy_database_is_left_to_the_next_run(
    locked: None, caplog: pytest.LogCaptureFixture
) -> None:
    maintain()
    assert "The next maintain does this one's work" in caplog.text
    db.session.remove()
    assert heartbeats.age(heartbeats.MAINTENANCE) is None


@pytest.mark.parametrize(
    "each",
    [maintain, look_for_alerts, expire_reservations, turn_on_webhooks, prune, run_tasks],
)
def test_no_job_fails_while_the_database_is_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, each: Callable[[], None]
) -> None:
    """Otherwise, System would warn of failed jobs for a day after each database restart."""
    away = "postgresql+psycopg://portal:hush@127.0.0.1:9/portal"
    places = {"DATABASE_URL": away, "INSTANCE_DIR": str(tmp_path)}
    app = create_base_app(load_settings({**ENVIRONMENT, **places}))
    notifier.init_app(app)
    with app.app_context():
        each()
    assert f"The next {each.__name__} does this one's work" in caplog.text


def test_a_permanent_database_error_fails_the_job(app: Flask) -> None:
    @job
    def ask_for_what_is_not_there() -> None:
        session().execute(text("SELECT * FROM nowhere"))

    with pytest.raises(DBAPIError, match="nowhere"):
        ask_for_what_is_not_there()
    session().rollback()


def test_only_deliveries_of_a_claim_with_a_lost_answer_are_released(
    app: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    engine, writer = equip().engine, DatabaseExecutor(equip().engine, has_background=False)
    maintenance = Maintenance(notifier.notifier(), writer, every=3600.0)
    held, kept = make_delivery(), writer.write(claim_one)
    assert kept
    lost = make_delivery()
    losses = iter([OperationalError("COMMIT", {}, OSError("cut"), connection_invalidated=True)])

    def lose(connection: Connection) -> None:
        if loss := next(losses, None):
            connection.connection.commit()
            raise loss

    event.listen(engine, "commit", lose)
    try:
        assert writer.write(claim_one) is None
    finally:
        event.remove(engine, "commit", lose)
    assert leased() == {held, lost}
    maintenance.at = monotonic() + 3600.0  # so only the lost answer makes it due
    assert until(lambda: has_given_back(maintenance, kept))
    assert leased() == {held}
    assert stored(lost)["attempts"] == 0
    assert "The confirmation of a claim was lost. Released: 1" in caplog.text


def claim_one(connection: Connection) -> list[Claim]:
    return dispatch_claim.claim(connection, 1)


def has_given_back(maintenance: Maintenance, kept: list[Claim]) -> bool:
    """Run maintenance if it is due, because the writer pauses after a refusal. Return whether it
    released the lost claim."""
    if maintenance.is_due:
        held = {claimed.token for claimed in kept}
        maintenance.do(held, set(), is_behind=False, in_background=False)
    return len(leased()) == 1


def leased() -> set[UUID]:
    db.session.rollback()
    joined = select(Delivery.public_id).join(Lease, Lease.delivery_id == Delivery.id)
    return set(db.session.scalars(joined))
