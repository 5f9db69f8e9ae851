"""Run the dispatcher's short database transactions, inline or in the background. They fail instead
of waiting."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from time import monotonic
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

from portal.lib.typed_text import on_one_line

log = logging.getLogger(__name__)

PAUSE: Final = 0.1  # seconds between attempts while the database is locked or down
LONG_PAUSE: Final = 1.0  # … once that has lasted for `A_WHILE`
A_WHILE: Final = 5.0
# Seconds for which a commit whose answer was lost may still take effect. By then the server has
# dropped the lost client.
UNSURE: Final = 30.0

T = TypeVar("T")


class _Submitted(NamedTuple):
    answer: Future[Any]
    then: Callable[[Any], None]


class DatabaseExecutor:
    """Runs one piece of database work at a time.

    Background work that hangs does not delay the responses of receivers. SQLite runs in this
    process and has no background, because two threads would compete for the interpreter lock at
    every row.
    """

    def __init__(
        self,
        engine: Engine,
        wake: Callable[[], None] = lambda: None,
        *,
        has_background: bool | None = None,
    ) -> None:
        self._engine, self._wake = engine, wake
        is_sqlite = engine.dialect.name == "sqlite"
        self.has_background = not is_sqlite if has_background is None else has_background
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="database-writer")
        self._submitted: _Submitted | None = None
        self._retry_at = 0.0
        self._failing_since: float | None = None
        self._is_reported = False  # whether the long failure is logged
        self._unsure_until = 0.0

    @property
    def is_busy(self) -> bool:
        """Return whether background work is running, which blocks further submissions."""
        return self._submitted is not None

    @property
    def is_unsure(self) -> bool:
        """Return whether a commit whose answer was lost may have succeeded."""
        return monotonic() < self._unsure_until

    def submit(
        self, work: Callable[[], T], then: Callable[[T], None], *, in_background: bool
    ) -> None:
        """Run the work, then call `then` with its result. For background work, `poll` makes that
        call."""
        if not (in_background and self.has_background):
            then(work())
            return
        answer = self._thread.submit(copy_context().run, work)
        self._submitted = _Submitted(answer, then)
        # Without this, claims would wait for the next event of a socket.
        answer.add_done_callback(lambda _: self._wake())

    def poll(self, timeout: float = 0.0) -> None:
        """Hand over the result of finished background work."""
        submitted = self._submitted
        if submitted is not None and wait([submitted.answer], timeout).done:
            self._submitted = None
            submitted.then(submitted.answer.result())

    def write(self, work: Callable[[Connection], T]) -> T | None:
        """Run `work` in its own writing transaction.

        Return None if the database is locked or down. Then nothing was written or, if the answer to
        the commit was lost, everything. So `work` must be safe to repeat.
        """
        if monotonic() < self._retry_at:
            return None
        is_over = False
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    answer = work(writer)
                    is_over = True
        except DBAPIError as error:
            # PostgreSQL disconnects an idle transaction with an error of another class.
            is_away = isinstance(error, (OperationalError, InterfaceError))
            if not (is_away or error.connection_invalidated):
                raise
            if is_over:
                self._unsure_until = monotonic() + UNSURE
            self._note_failure(error)
            return None
        if self._is_reported:
            log.warning("The database accepts results again.")
        self._failing_since, self._is_reported = None, False
        return answer

    def close(self) -> None:
        """Release the thread without waiting for a hanging database."""
        self._thread.shutdown(wait=False)

    def _note_failure(self, error: DBAPIError) -> None:
        now = monotonic()
        if self._failing_since is None:
            self._failing_since = now
        is_long = now - self._failing_since > A_WHILE
        self._retry_at = now + (LONG_PAUSE if is_long else PAUSE)
        if is_long and not self._is_reported:
            self._is_reported = True
            why = on_one_line(str(error.orig))
            log.warning(
                "The database has taken nothing for %g seconds. It keeps the results: %s",
                A_WHILE,
                why,
            )
