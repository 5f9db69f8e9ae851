"""The dispatcher's way to the database: short writing transactions that give up instead of
waiting."""

import logging
import time
from collections.abc import Callable
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

log = logging.getLogger(__name__)

PAUSE: Final = 0.1  # seconds between two tries while the database is locked or down
LONG_PAUSE: Final = 1.0  # … once that has lasted for a while
A_WHILE: Final = 5.0
# Seconds in which a commit whose answer was lost may still be on its way: by then the server has
# let go of a client that is gone.
UNSURE: Final = 30.0

T = TypeVar("T")


class DatabaseWriter:
    """Runs one transaction at a time on an impatient engine; None means: not now, try again."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._closed_until = 0.0
        self._closed_since: float | None = None
        self._unsure_until = 0.0

    @property
    def is_sqlite(self) -> bool:
        """Whether the database works in this process."""
        return self._engine.dialect.name == "sqlite"

    @property
    def is_unsure(self) -> bool:
        """Whether something may have been committed of which nobody was told."""
        return time.monotonic() < self._unsure_until

    def write(self, work: Callable[[Connection], T]) -> T | None:
        """Run `work` in a writing transaction of its own.

        None when the database is locked or down: then nothing of it happened, or (a commit whose
        answer was lost) all of it, so `work` may run twice.
        """
        if time.monotonic() < self._closed_until:
            return None
        is_over = False
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    answer = work(writer)
                    is_over = True
        except DBAPIError as error:
            # PostgreSQL hangs up on a transaction that stood still with an error of another class.
            is_away = isinstance(error, (OperationalError, InterfaceError))
            if not (is_away or error.connection_invalidated):
                raise
            if is_over:
                self._unsure_until = time.monotonic() + UNSURE
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
