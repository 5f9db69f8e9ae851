"""The thread in which a process sends for its whole life, with or without Redis."""

import logging
from collections.abc import Callable
from functools import partial
from threading import Thread
from time import monotonic
from typing import Final

from flask import Flask
from sqlalchemy import Connection, Engine

from jobs.dispatcher.database import PAUSE, DatabaseExecutor
from jobs.dispatcher.loop import Dispatcher
from jobs.dispatcher.redis_notifications import Wake
from jobs.progress import Progress
from jobs.stop_flag import stop
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import own_process
from portal.services.dispatch import maintenance

log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.5  # a full sender polls once it has places, and polls recur anyway
FIRST_PAUSE: Final = 1.0  # seconds after an unexpected error, doubled by each further one
LONGEST_PAUSE: Final = 10.0
WELL_AFTER: Final = 60.0


class Sender:
    """Runs a dispatcher for the life of the process, and a new one after an unexpected error.

    Each dispatcher from `new_dispatcher` uses `wake` and `engine`. `progress`: marks of the thread.
    """

    def __init__(
        self,
        app: Flask,
        new_dispatcher: Callable[[Callable[[], bool]], Dispatcher],
        wake: Wake,
        engine: Engine,
    ) -> None:
        self._app, self._new_dispatcher = app, new_dispatcher
        self._wake, self._engine = wake, engine
        self.progress = Progress()
        self._thread = Thread(target=self._run, name="sender", daemon=True)

    def start(self) -> None:
        """Start the thread and register it as the sender that `deliver_due` wakes."""
        self._app.extensions["sender"] = self
        self._thread.start()

    def poll(self) -> None:
        """Make the dispatcher poll now, and wait for that for at most `POLL_SECONDS`."""
        self._wake.poll(POLL_SECONDS)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end for at most `seconds`, once a stop is requested."""
        self._wake.wake()
        if self._thread.is_alive():  # otherwise it has not begun, and ends as soon as it does
            self._thread.join(seconds)

    def _run(self) -> None:
        self.progress.begin()
        pause, is_first = FIRST_PAUSE / 2, True
        with self._app.app_context():
            while not self._is_stopping():
                began = monotonic()
                try:
                    if not is_first:
                        self._let_go()
                    self._record_heartbeat()
                    self._new_dispatcher(self._is_stopping).run()
                except Exception:
                    log.exception("Sending failed. It starts again.")
                    is_first = False
                    has_been_well = monotonic() - began > WELL_AFTER
                    pause = FIRST_PAUSE if has_been_well else min(2 * pause, LONGEST_PAUSE)
                    self._rest(pause)
        self.progress.end()

    def _record_heartbeat(self) -> None:
        """Record a heartbeat before the first claim. Leases of a process without one count as
        abandoned."""

        def sign(connection: Connection) -> bool:
            heartbeats.record_own(connection, heartbeats.worker_of(DELIVERIES))
            return True

        self._write(sign, PAUSE)

    def _let_go(self) -> None:
        """End the leases of the failed dispatcher, so that its deliveries go again."""
        self._write(partial(maintenance.interrupt, run=own_process()), FIRST_PAUSE)

    def _write(self, work: Callable[[Connection], bool], pause: float) -> None:
        """Retry the write until the database takes it or a stop is requested."""
        writer = DatabaseExecutor(self._engine)
        while not (self._is_stopping() or writer.write(work)):
            self._rest(pause)

    def _rest(self, seconds: float) -> None:
        self.progress.end()
        stop.wait(seconds)
        self.progress.begin()

    def _is_stopping(self) -> bool:
        self.progress.note()
        return stop.is_set()
