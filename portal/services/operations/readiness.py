"""Keep this process's readiness in memory, as found by its heartbeats."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from portal.database.trouble import (
    LASTING,
    NO_ROOM,
    Kind,
    Trouble,
    is_cut,
    observed,
    of_error,
    words_of,
)
from portal.lib.clock import since_boot
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import BROKEN_AFTER, HEARTBEAT_EVERY, ProcessStatus, worker_of

SILENT: Final = 2 * HEARTBEAT_EVERY  # seconds, after two missed heartbeats
OVERDUE: Final = BROKEN_AFTER.total_seconds()  # after one
OK: Final = "ok"
SENDERS: Final = (worker_of(DELIVERIES), heartbeats.DISPATCHER)


class Need(StrEnum):
    """A purpose for which a client needs the portal."""

    PAGES = "pages"
    SENDING = "sending"


@dataclass(frozen=True, slots=True)
class HealthSnapshot:
    """The state that a web process reads with each heartbeat.

    `has_tables` is True if the tables are of this version, and None if unknown. `redis` is why
    Redis can't be used, if so. `stopped_at` is the time when all sending was paused.
    """

    has_tables: bool | None = None
    processes: Sequence[ProcessStatus] = ()
    redis: str | None = None
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """`ok` or a problem for each part. Redis and a person's pause don't affect readiness."""

    database: str
    migrations: str
    sending: str
    redis: str
    switch: str

    def is_ready(self, purpose: Need | None = None) -> bool:
        """Return whether the portal is ready for this purpose, or without one, for all."""
        parts = [self.database, self.migrations]
        if purpose is not Need.PAGES:
            parts.append(self.sending)
        return all(part == OK for part in parts)


@dataclass
class Readiness:
    """Readiness of one process. `clock` also counts seconds while the machine is suspended."""

    clock: Callable[[], float] = since_boot
    snapshot: HealthSnapshot = field(default_factory=HealthSnapshot)
    _began: float | None = None
    _good_at: float | None = None
    _missed: int = 0
    _last: Trouble | None = None

    @property
    def has_heartbeats(self) -> bool:
        return self._began is not None

    @property
    def is_overdue(self) -> bool:
        """Return whether heartbeats are missing.

        Others soon take this process for dead, or did so while it was suspended.
        """
        return self.has_heartbeats and self._age() > OVERDUE

    @property
    def is_known(self) -> bool:
        """Return whether one heartbeat was good, or two failed."""
        return self._good_at is not None or self._missed >= 2

    def begin(self) -> None:
        """Expect heartbeats from now on."""
        self._began = self.clock()

    def end(self) -> None:
        """Expect no more heartbeats."""
        self._began = None

    def note(self, trouble: Trouble | None) -> None:
        """Note the result of a heartbeat, which counts as good with trouble of `NO_ROOM`."""
        self._last = trouble
        if trouble is None or trouble.kind in NO_ROOM:
            self._good_at, self._missed = self.clock(), 0
        else:
            self._missed += 1

    def read(self) -> Ready:
        """Return the readiness from memory."""
        snapshot = self.snapshot
        return Ready(
            database=self._database(),
            migrations={True: OK, False: "missing", None: "not known"}[snapshot.has_tables],
            sending=_sending(snapshot.processes),
            redis=snapshot.redis or OK,
            switch=_switch(snapshot.stopped_at),
        )

    def _age(self) -> float:
        since = self._good_at if self._good_at is not None else self._began
        return SILENT + 1 if since is None else self.clock() - since

    def _database(self) -> str:
        # Other processes on the database can have met lasting trouble.
        others = (process.trouble for process in self.snapshot.processes if process.is_alive)
        for trouble in (observed.trouble, *others):
            if trouble and trouble.kind in LASTING:
                return str(trouble)
        if self._missed >= 2 and self._last:
            return str(self._last)
        if self._age() > SILENT:
            return "no answer"
        return OK if self._good_at is not None else "no answer yet"


def _switch(stopped_at: datetime | None) -> str:
    if stopped_at is None:
        return OK
    return f"a person stopped all sending at {stopped_at.isoformat(timespec='seconds')}"


def _sending(processes: Sequence[ProcessStatus]) -> str:
    senders = [process for process in processes if process.kind in SENDERS and process.is_alive]
    if not senders:
        return "no process is sending"
    troubles = [process.trouble for process in senders if process.kind != heartbeats.DISPATCHER]
    return str(troubles[0]) if troubles and all(troubles) else OK


readiness: Final = Readiness()

# Updating only an own row would succeed while these tables are locked, and on a full disk.
LOCK: Final = "LOCK TABLE events, deliveries, webhooks IN ROW EXCLUSIVE MODE NOWAIT"
WRITE: Final = "UPDATE processes SET kind = kind WHERE false"
FILL: Final = "CREATE TEMP TABLE room_for_one AS SELECT 1 AS a"
FILL_EVERY: Final = 60.0  # seconds, or each heartbeat while there is no room
ROOM: Final = 1024**2  # bytes that SQLite's next Save can need
NOT_ALLOWED: Final = "42501"


class DatabaseCheck:
    """Check the database at each heartbeat of a process of `kind`."""

    def __init__(self, engine: Engine, kind: str) -> None:
        self._engine, self._kind = engine, kind
        self._fill_at = 0.0

    def sign(self, notes: Sequence[str] = ()) -> Trouble | None:
        """Write this process's heartbeat with the trouble that would stop a Save, and return that.

        `observed` keeps it, too.
        """
        if observed.is_cut:
            notes = [*notes, heartbeats.CUT]
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    trouble = _lock_of_others(writer)
                    heartbeats.record_own(writer, self._kind, notes, trouble or observed.no_room)
        except DBAPIError as error:
            trouble = _trouble_of(error)
            observed.is_cut |= is_cut(error.orig)
            self._engine.dispose()  # the next heartbeat opens a new connection
        else:
            observed.is_cut &= heartbeats.CUT not in notes
            if trouble is None:
                trouble = self._room()
        observed.trouble = trouble
        return trouble

    def deregister(self) -> None:
        """Delete the row, because the process ends normally.

        If the database is away, the missing heartbeats show the end.
        """
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    heartbeats.deregister(writer, self._kind)
        except DBAPIError:
            return
        finally:
            self._engine.dispose()

    def _room(self) -> Trouble | None:
        if monotonic() < self._fill_at and not observed.no_room:
            return None
        self._fill_at = monotonic() + FILL_EVERY
        return find_no_room(self._engine)


def examine(engine: Engine) -> Trouble | None:
    """Return the trouble that a Save would meet now, for a single check. Writes nothing."""
    try:
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin() as transaction:
                trouble = _lock_of_others(writer)
                if engine.dialect.name == "postgresql":
                    writer.execute(text(WRITE))
                transaction.rollback()
        return trouble or find_no_room(engine)
    except DBAPIError as error:
        return _trouble_of(error)


def _lock_of_others(connection: Connection) -> Trouble | None:
    """Return the lock that keeps a Save from its tables.

    SQLite has none, because the writing transaction has already begun.
    """
    if connection.dialect.name == "postgresql":
        try:
            with connection.begin_nested():
                connection.execute(text(LOCK))
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            return _trouble_of(error)
    return None


def find_no_room(engine: Engine) -> Trouble | None:
    """Return why there is no room for one more row, or None. Leaves nothing behind."""
    if engine.dialect.name == "sqlite":
        folder = Path(engine.url.database or "").parent
        disk = os.statvfs(folder)
        if disk.f_bavail * disk.f_frsize >= ROOM:
            return None
        return Trouble(Kind.FULL, f"no space left on the disk under {folder}")
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(FILL))
            transaction.rollback()
    except DBAPIError as error:
        is_refused = getattr(error.orig, "sqlstate", "") == NOT_ALLOWED
        return None if is_refused else _trouble_of(error)
    return None


def _trouble_of(error: DBAPIError) -> Trouble:
    return of_error(error.orig) or Trouble(Kind.AWAY, words_of(error.orig))
