"""Two machines: two process trees with their own folders and clocks on one PostgreSQL and one
Valkey."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import select

from portal.database.engine import database_now
from portal.extensions import db
from portal.models.operations import Process as SignOfLife
from portal.services.core import heartbeats
from tests.conftest import ENVIRONMENT
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import SENDERS, WORKER, RunningPortal
from tests.support.clocks.wrong_clock import wrong_clock
from tests.support.ports import free_port
from tests.support.servers import PostgresServer
from tests.support.valkey import PrivateValkey


def environment_of_machine(
    folder: Path, database_url: str, redis_url: str, clock_shift: int
) -> dict[str, str]:
    """Return one machine's settings. Its clock is wrong by `clock_shift` seconds."""
    return {
        **ENVIRONMENT,
        "LOCAL_TRIAL": "1",
        "INSTANCE_DIR": str(folder),
        "PORT": str(free_port()),
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        # So few that one machine can't send everything.
        "WORKER_MAX_IN_FLIGHT": "16",
        "WEBHOOK_RETRY_SCHEDULE": "0,2,2,2,2",
        **wrong_clock(clock_shift),
    }


@contextmanager
def two_machines(
    folder: Path, server: PostgresServer, settings: dict[str, str]
) -> Iterator[tuple[RunningPortal, RunningPortal]]:
    """Run the delivery workers of m1 and m2 in the application context of the first."""
    valkey = PrivateValkey(folder / "valkey")
    valkey.start()
    database = server.new_database()
    running: list[RunningPortal] = []
    try:
        for name in ("m1", "m2"):
            place = folder / name
            place.mkdir()
            own = environment_of_machine(place / "instance", database, valkey.url, 0)
            running.append(RunningPortal(place, own | settings | {"MACHINE": name}, SENDERS[:1]))
            assert running[-1].starts(), running[-1].process.output.read_text()
        with running[0].app.app_context():
            yield running[0], running[1]
            db.session.remove()
            db.engine.dispose()
    finally:
        for portal in running:
            portal.close()
        valkey.close()


def are_steady() -> bool:
    """Return whether each sender is old enough to judge the others' silence."""
    look_again()
    now = database_now(db.session.connection())
    rows = db.session.execute(
        select(SignOfLife.steady_since).where(SignOfLife.run.is_not(None))
    ).scalars()
    return all(since and now - since > heartbeats.SILENT_AFTER for since in rows)


def have_pumped(*portals: RunningPortal) -> bool:
    """Return whether the workers of all of them have sent something, by their heartbeats."""
    look_again()
    dispatchers = select(SignOfLife.pid).where(SignOfLife.kind == heartbeats.DISPATCHER)
    return {portal.pid_of(WORKER) for portal in portals} <= set(db.session.scalars(dispatchers))
