"""Maintenance: it looks every few seconds, so what hinders one look is no failure."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import Connection, event, select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from jobs.context import job
from jobs.deliver import equip
from jobs.dispatcher.database import DatabaseExecutor
from jobs.dispatcher.maintenance import Maintenance
from jobs.periodic import expire_reservations, look_for_alerts, maintain, prune
from jobs.tasks import run_tasks
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.database.engine import impatient_engine
from portal.extensions import db, settings
from portal.models.deliveries import Delivery, Lease
from portal.queue import notifier
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import Claim
from tests.conftest import ENVIRONMENT
from tests.support.deliveries import make_delivery, stored
from tests.support.processes import until

pytestmark = pytest.mark.both_databases


@pytest.fixture
def locked(app: Flask) -> Iterator[None]:
    """Somebody writes for longer than anybody waits, which is not long here."""
    is_postgres = db.engine.dialect.name == "postgresql"
    db.engine.dispose()  # so that the connection below is the only one there is
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


def test_it_leaves_a_busy_database_to_the_next_poll(
    locked: None, caplog: pytest.LogCaptureFixture
) -> None:
    maintain()
    assert "the next maintain does this one's work" in caplog.text
    db.session.remove()
    assert heartbeats.age(heartbeats.MAINTENANCE) is None


@pytest.mark.parametrize("each", [maintain, look_for_alerts, expire_reservations, prune, run_tasks])
def test_no_job_fails_because_the_database_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, each: Callable[[], None]
) -> None:
    """Or System would warn of failed jobs for a day after every restart of the database."""
    away = "postgresql+psycopg://portal:hush@127.0.0.1:9/portal"
    places = {"DATABASE_URL": away, "INSTANCE_DIR": str(tmp_path)}
    app = create_base_app(load_settings({**ENVIRONMENT, **places}))
    notifier.init_app(app)
    with app.app_context():
        each()
    assert f"the next {each.__name__} does this one's work" in caplog.text


def test_what_will_fail_again_is_a_failure(app: Flask) -> None:
    @job
    def ask_for_what_is_not_there() -> None:
        session().execute(text("SELECT * FROM nowhere"))

    with pytest.raises(DBAPIError, match="nowhere"):
        ask_for_what_is_not_there()
    session().rollback()


def test_what_a_claim_took_whose_answer_was_lost_is_released_and_what_is_held_is_not(
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
    maintenance.at = monotonic() + 3600.0  # they are not due for an hour, but for that
    assert until(lambda: has_given_back(maintenance, kept))
    assert leased() == {held}
    assert stored(lost)["attempts"] == 0
    assert "The answer to a claim was lost. Given back: 1" in caplog.text


def claim_one(connection: Connection) -> list[Claim]:
    return dispatch_claim.claim(connection, 1)


def has_given_back(maintenance: Maintenance, kept: list[Claim]) -> bool:
    """The writer waits for a moment once the database did not take something."""
    if maintenance.is_due:
        held = {each.token for each in kept}
        maintenance.do(held, set(), is_behind=False, in_background=False)
    return len(leased()) == 1


def leased() -> set[UUID]:
    db.session.rollback()
    joined = select(Delivery.public_id).join(Lease, Lease.delivery_id == Delivery.id)
    return set(db.session.scalars(joined))
