"""The pump's way to the database: short writing transactions that give up instead of waiting."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

log = logging.getLogger(__name__)

PAUSE: Final = 0.1  # seconds between two tries while the database is locked or down
LONG_PAUSE: Final = 1.0  # … once that has lasted for a while
A_WHILE: Final = 5.0

T = TypeVar("T")


class DatabaseWriter:
    """Runs one transaction at a time on an impatient engine; None means: not now, try again.

    `works_beside`: whether it is worth while to `hand_in`.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # SQLite works in this process: a second thread would take turns with the first for Python's
        # lock, at every row, and both would lose more by it than the database can do meanwhile.
        self.works_beside = engine.dialect.name != "sqlite"
        self._closed_until = 0.0
        self._closed_since: float | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-writer")

    def hand_in(self, work: Callable[[Connection], T]) -> Future[T | None]:
        """`write` it in a thread, so that sockets are served while the database works.

        Nothing else may be written before it has ended.
        """
        return self._thread.submit(copy_context().run, self.write, work)

    def close(self) -> None:
        """Let the thread go, without waiting for a database that hangs."""
        self._thread.shutdown(wait=False)

    def write(self, work: Callable[[Connection], T]) -> T | None:
        """Run `work` in a writing transaction of its own.

        None when the database is locked or down: then nothing of it happened, or (a commit whose
        answer was lost) all of it, so `work` may run twice.
        """
        if time.monotonic() < self._closed_until:
            return None
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    answer = work(writer)
        except DBAPIError as error:
            # PostgreSQL hangs up on a transaction that stood still with an error of another class.
            is_away = isinstance(error, (OperationalError, InterfaceError))
            if not (is_away or error.connection_invalidated):
                raise
            self._close(error)
            return None
        self._open()
        return answer

    def _close(self, error: DBAPIError) -> None:
        now = time.monotonic()
        if self._closed_since is None:
            self._closed_since = now
        lasted = now - self._closed_since
        self._closed_until = now + (LONG_PAUSE if lasted > A_WHILE else PAUSE)
        log.debug("The database did not take it: %s", error.orig)

    def _open(self) -> None:
        if self._closed_since is not None and time.monotonic() - self._closed_since > A_WHILE:
            log.warning("The database takes results again.")
        self._closed_since = None
