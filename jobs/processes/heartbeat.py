"""The sign of life of every process: a beat each five seconds, in a thread of its own, so that a
database that is locked or down holds up nothing but the sign.
"""

import logging
import threading
from collections.abc import Callable

from flask import Flask
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from portal.config.settings import Settings
from portal.database.engine import brief_engine
from portal.database.trouble import Kind
from portal.services.core import heartbeats
from portal.services.operations.database.beat import Beat
from portal.services.operations.database.pulse import Surroundings, pulse

AGAIN = 1.0  # seconds to the next beat while something is wrong
GOODBYE = 1.0  # seconds for the last beat and the goodbye

log = logging.getLogger(__name__)


class Heartbeat:
    """The beats of this process, from `begin` on, while it `is_well`.

    `write` stores what the process noted meanwhile; `look`: where probes are answered. `beside`:
    what else is done with each, by its connection. `known` is set once they have shown how things
    stand.
    """

    def __init__(
        self,
        app: Flask,
        kind: str,
        *,
        is_well: Callable[[], bool] = lambda: True,
        write: Callable[[], None] = lambda: None,
        look: Callable[[Engine], Surroundings] | None = None,
        beside: Callable[[Engine], None] = lambda _: None,
    ) -> None:
        self._app, self._kind = app, kind
        self._is_well, self._write, self._look = is_well, write, look
        self._beside = beside
        self._ended, self.known = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        settings: Settings = app.extensions["settings"]
        self._engine = brief_engine(settings.database_url, settings.database_options)
        self._beat = Beat(self._engine, kind)

    def begin(self) -> "Heartbeat":
        """Take the first one now."""
        pulse.begin()
        self._thread.start()
        return self

    def end(self, goodbye_within: float) -> None:
        """Take no further one, and say goodbye if that is done in so many seconds."""
        self._ended.set()
        pulse.end()
        self._thread.join(goodbye_within)
        # One under way would sign again after the goodbye.
        if not self._thread.is_alive():
            self._beat.say_goodbye()

    def _run(self) -> None:
        while not self._ended.is_set():
            is_good = not self._is_well() or self._take()
            if pulse.is_known:
                self.known.set()
            self._ended.wait(heartbeats.BEAT_EVERY if is_good else AGAIN)
        self._engine.dispose()

    def _take(self) -> bool:
        """One beat; whether all is well."""
        with self._app.app_context():
            found = self._beat.take(heartbeats.take_notes())
            pulse.beat(found)
            if self._look and (found is None or found.kind is not Kind.AWAY):
                pulse.look = self._look(self._engine)
            if found is not None:
                return False
            try:
                self._write()
                self._beside(self._engine)
            except SQLAlchemyError as error:
                log.debug("Not written: %s", error.__class__.__name__)
        return True
