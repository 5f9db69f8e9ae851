"""A claim alone does not wait for the disk. A crash of PostgreSQL can lose it, but no result."""

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import Connection, delete, text

from portal.extensions import db
from portal.models.deliveries import Lease
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import Claim
from tests.jobs.dispatcher.delivery_clock import attempts, claim, deliveries, ended, write_down
from tests.support.factories import make_webhook, publish
from tests.support.servers import PostgresServer

pytestmark = pytest.mark.both_databases


@pytest.fixture
def crash(app: Flask, postgres_server: PostgresServer) -> Callable[[], None]:
    """Return a function that kills and restarts the server, which loses unwritten commits."""
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite writes down each commit")

    def kill() -> None:
        db.session.remove()
        db.engine.dispose()
        with postgres_server.stopped("immediate"):
            pass

    return kill


def claim_alone() -> list[Claim]:
    """Claim as a dispatcher that does nothing else in its transaction."""
    with db.engine.connect() as connection, connection.begin():
        return sorted(dispatch_claim.claim(connection, 8, may_be_lost=True))


def is_hurried(connection: Connection) -> bool:
    return bool(connection.execute(text("SHOW synchronous_commit")).scalar_one() != "off")


def test_a_claim_lost_in_a_crash_is_sent_again_and_both_attempts_are_kept(
    crash: Callable[[], None], postgres_server: PostgresServer
) -> None:
    for _ in range(3):
        make_webhook()
    publish()
    with postgres_server.lazy_disk():
        lost = claim_alone()
        crash()
    with writing() as current:  # the server can have written them just before the crash
        current.execute(delete(Lease))
    assert len(lost) == 3
    early, late = ended(lost[0]), ended(lost[1])
    write_down(early)  # this result comes before the next claim
    again = claim()
    assert {delivery.delivery_id for delivery in again} == {
        delivery.delivery_id for delivery in lost[1:]
    }
    write_down(late)
    write_down(*map(ended, again))
    assert [delivery.status for delivery in deliveries()] == ["delivered"] * 3
    assert [delivery.attempts for delivery in deliveries()] == [1, 2, 1]
    assert len(attempts()) == 4


def test_a_claim_in_a_transaction_with_results_is_as_durable_as_they_are(app: Flask) -> None:
    if db.engine.dialect.name == "sqlite":
        pytest.skip("SQLite writes down each commit")
    make_webhook()
    publish()
    for may_be_lost in (True, False):
        with db.engine.connect() as connection, connection.begin() as transaction:
            dispatch_claim.claim(connection, 8, may_be_lost=may_be_lost)
            assert is_hurried(connection) is not may_be_lost
            transaction.rollback()
        with db.engine.connect() as connection:
            assert is_hurried(connection), "it outlived its transaction"
