"""Locks that block a portal's database."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from portal.database.engine import engine_options, impatient_engine, prepare_engine
from tests.faults.support.running_portal import RunningPortal
from tests.support.processes import until


@contextmanager
def database_locked(portal: RunningPortal, seconds: float = 0) -> Iterator[None]:
    """Block all writes of deliveries during the block, and for at least `seconds`."""
    url = portal.settings.database_url
    engine = create_engine(url, **engine_options(url))
    prepare_engine(engine)
    try:
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                lock(writer)
                ends_at = time.monotonic() + seconds
                yield
                time.sleep(max(0.0, ends_at - time.monotonic()))
    finally:
        engine.dispose()


def lock(writer: Connection) -> None:
    """Block all other writers. On SQLite, the transaction already does."""
    if writer.dialect.name == "postgresql":
        # One table that all writers need, because two locks could cause a deadlock.
        writer.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))


def is_free(portal: RunningPortal) -> bool:
    """Return whether no other program is writing."""
    engine = impatient_engine(portal.settings.database_url)
    try:
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin():
                lock(writer)
    except OperationalError:
        return False
    finally:
        engine.dispose()
    return True


@contextmanager
def hanging_without_locks(portal: RunningPortal, words: str) -> Iterator[int]:
    """Pause the process outside a transaction, because SQLite would wait for it forever."""
    for _ in range(100):
        with portal.hanging(words) as pid:
            if until(lambda: is_free(portal), 0.3):
                yield pid
                return
    raise AssertionError("it was always in a transaction")
