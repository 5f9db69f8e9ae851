"""Send every process's heartbeat every five seconds, in its own thread. A locked or unavailable
database delays nothing else."""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable, Sequence
from threading import Thread
from time import sleep
from typing import Final

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from jobs.progress import Progress
from portal.config.settings import Settings
from portal.database.engine import brief_engine
from portal.database.trouble import Kind
from portal.services.core import heartbeats, organization
from portal.services.operations.readiness import DatabaseCheck, HealthSnapshot, readiness

AGAIN = 1.0  # seconds to the next heartbeat while something is wrong
DEREGISTER_SECONDS = 1.0  # seconds for the last heartbeat and to delete the row

log = logging.getLogger(__name__)


class Heartbeat:
    """The heartbeats of this process, from `begin` on, while `is_well` returns true.

    Each one reloads the organization's settings. `write` stores notes that the process made since
    the last one. `look` reads the state of all parts, in processes that answer probes. `also` runs
    with each heartbeat, on its engine. `known` is set once the state is known.
    """

    def __init__(
        self,
        app: Flask,
        kind: str,
        *,
        is_well: Callable[[], bool] = lambda: True,
        write: Callable[[], None] = lambda: None,
        look: Callable[[Engine], HealthSnapshot] | None = None,
        also: Callable[[Engine], None] | None = None,
    ) -> None:
        self._app, self._kind = app, kind
        self._is_well, self._write, self._look = is_well, write, look
        self._also = also
        self._ended, self.known = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        settings: Settings = app.extensions["settings"]
        self._engine = brief_engine(settings.database_url, settings.database_options)
        self._check = DatabaseCheck(self._engine, kind)

    def begin(self) -> "Heartbeat":
        """Start with a heartbeat now."""
        readiness.begin()
        self._thread.start()
        return self

    def end(self, seconds: float) -> None:
        """Stop the heartbeats, and delete this process's row if they end within `seconds`."""
        self._ended.set()
        readiness.end()
        self._thread.join(seconds)
        # A running heartbeat would write the row again.
        if not self._thread.is_alive():
            self._check.deregister()

    def _run(self) -> None:
        while not self._ended.is_set():
            is_good = not self._is_well() or self._take()
            if readiness.is_known:
                self.known.set()
            self._ended.wait(heartbeats.HEARTBEAT_EVERY if is_good else AGAIN)
        self._engine.dispose()

    def _take(self) -> bool:
        """Send a heartbeat and return whether all is well."""
        with self._app.app_context():
            trouble = self._check.sign(heartbeats.take_notes())
            readiness.note(trouble)
            if self._look and (trouble is None or trouble.kind is not Kind.AWAY):
                readiness.snapshot = self._look(self._engine)
            if trouble is not None:
                return False
            try:
                self._write()
                if self._also:
                    self._also(self._engine)
                with self._engine.connect() as connection:
                    organization.refresh(connection)
            except SQLAlchemyError as error:
                log.debug("Not written: %s", error.__class__.__name__)
        return True


TICK: Final = 5.0  # seconds
# Limit of missed ticks in a row. Ticks are counted instead of seconds, because a stopped process, a
# suspended machine and a debugger hold up the ticks as well.
MOST: Final = 24


class Watchdog:
    """Ends the process and logs every thread's stack if a watched thread makes no progress."""

    def __init__(self, watched: Sequence[Progress], tick: float = TICK) -> None:
        self._tick = tick
        self._missed = dict.fromkeys(watched, 0)
        self._seen: dict[Progress, float | None] = dict.fromkeys(watched)

    def begin(self) -> None:
        Thread(target=self._run, name="watchdog", daemon=True).start()

    def is_stuck(self) -> bool:
        """Count a tick and return whether a watched thread has missed `MOST` in a row."""
        for progress in self._missed:
            last, self._seen[progress] = self._seen[progress], progress.last
            has_hung = progress.last is not None and progress.last == last
            self._missed[progress] = self._missed[progress] + 1 if has_hung else 0
        return any(count >= MOST for count in self._missed.values())

    def _run(self) -> None:
        while not self.is_stuck():
            sleep(self._tick)
        log.critical("This process hangs and ends. What each of its threads was doing:")
        faulthandler.dump_traceback(sys.stderr)
        sys.stderr.flush()
        os._exit(1)
