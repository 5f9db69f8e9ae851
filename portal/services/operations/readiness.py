"""Beat: prove that the database takes changes, and keep in memory whether this process is ready."""

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

from portal.database.trouble import Kind, Trouble, book, is_cut, of_error, words_of
from portal.lib.clock import since_boot
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import BEAT_EVERY, BROKEN_AFTER, Life, worker_of

SILENT: Final = 2 * BEAT_EVERY  # seconds: two beats were missed
OVERDUE: Final = BROKEN_AFTER.total_seconds()  # one was
OK: Final = "ok"
# Nothing that passes by itself: said at once.
CERTAIN: Final = {Kind.FULL, Kind.READ_ONLY, Kind.DISK}
SENDERS: Final = (worker_of(DELIVERIES), heartbeats.DISPATCHER)


class Need(StrEnum):
    """What somebody needs the portal for."""

    PAGES = "pages"
    SENDING = "sending"


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a beat of the web has read beside: whether the tables are of this version (None where
    nobody could look), who lives, why Redis cannot be used, if so, and since when all sending is
    stopped."""

    has_tables: bool | None = None
    lives: Sequence[Life] = ()
    redis: str | None = None
    stopped_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ready:
    """Each part is `ok`, or why it is not. Redis and a person's stop are told, and not missed."""

    database: str
    migrations: str
    sending: str
    redis: str
    switch: str

    def is_ready(self, purpose: Need | None = None) -> bool:
        """Whether nothing is missing for it; without a purpose, for all of them."""
        parts = [self.database, self.migrations]
        if purpose is not Need.PAGES:
            parts.append(self.sending)
        return all(each == OK for each in parts)


@dataclass
class Pulse:
    """The state of one process. `clock`: seconds, also those in which the machine is suspended."""

    clock: Callable[[], float] = since_boot
    look: Surroundings = field(default_factory=Surroundings)
    _began: float | None = None
    _good_at: float | None = None
    _missed: int = 0
    _last: Trouble | None = None

    @property
    def is_beating(self) -> bool:
        """Whether this process has beats at all."""
        return self._began is not None

    @property
    def is_overdue(self) -> bool:
        """Whether beats are missing: others will soon take this process for gone, or have done so
        while it stood still."""
        since = self._good_at if self._good_at is not None else self._began
        return self.is_beating and since is not None and self.clock() - since > OVERDUE

    @property
    def is_known(self) -> bool:
        """Whether a beat was good, or two were not."""
        return self._good_at is not None or self._missed >= 2

    def begin(self) -> None:
        """Beats come from now on."""
        self._began = self.clock()

    def end(self) -> None:
        """No further one comes."""
        self._began = None

    def beat(self, found: Trouble | None) -> None:
        """One was taken: what was wrong."""
        self._last = found
        if found is None or found.kind in {Kind.FULL, Kind.DISK}:  # the beat itself was good
            self._good_at, self._missed = self.clock(), 0
        else:
            self._missed += 1

    def read(self) -> Ready:
        """How things stand, from memory."""
        look = self.look
        return Ready(
            database=self._database(),
            migrations={True: OK, False: "missing", None: "not known"}[look.has_tables],
            sending=_sending(look.lives),
            redis=look.redis or OK,
            switch=_switch(look.stopped_at),
        )

    def _database(self) -> str:
        if refusal := self._refusal():
            return str(refusal)
        if self._missed >= 2 and self._last:
            return str(self._last)
        since = self._good_at if self._good_at is not None else self._began
        if since is None or self.clock() - since > SILENT:
            return "no answer"
        return OK if self._good_at is not None else "no answer yet"

    def _refusal(self) -> Trouble | None:
        """What does not pass by itself, met by this process or by another on the same database."""
        others = (each.trouble for each in self.look.lives if each.is_alive and each.trouble)
        found = filter(None, (book.present(), *others))
        return next((each for each in found if each.kind in CERTAIN), None)


def _switch(stopped_at: datetime | None) -> str:
    if stopped_at is None:
        return OK
    return f"a person stopped all sending at {stopped_at.isoformat(timespec='seconds')}"


def _sending(lives: Sequence[Life]) -> str:
    senders = [each for each in lives if each.kind in SENDERS and each.is_alive]
    if not senders:
        return "no process is sending"
    troubles = [each.trouble for each in senders if each.kind != heartbeats.DISPATCHER]
    return str(troubles[0]) if troubles and all(troubles) else OK


pulse: Final = Pulse()

# An update of a row of one's own would pass beside whoever locks these, and on a full disk.
REACH: Final = "LOCK TABLE events, deliveries, webhooks IN ROW EXCLUSIVE MODE NOWAIT"
TRY: Final = "CREATE TEMP TABLE room_for_one AS SELECT 1 AS a"
TRY_EVERY: Final = 60.0  # seconds; while there was no room, at each beat
ROOM: Final = 1024**2  # bytes; SQLite's next Save may need as much
# What a good beat has shown to be over. Room is not: it may have been left in a page.
SHOWN: Final = (Kind.AWAY, Kind.READ_ONLY, Kind.LOCKED, Kind.CROWDED)
NOT_ALLOWED: Final = "42501"


class Beat:
    """The beats of one process. `kind`: what it is."""

    def __init__(self, engine: Engine, kind: str) -> None:
        self._engine, self._kind = engine, kind
        self._try_at = 0.0

    def take(self, notes: Sequence[str] = ()) -> Trouble | None:
        """Look and sign; what is wrong with that, which `book` keeps, too."""
        found = self._sign([*notes, heartbeats.CUT] if book.is_cut else notes)
        if found is not None:
            self._engine.dispose()  # the next beat tries a fresh connection
        elif monotonic() >= self._try_at or _has_no_room():
            self._try_at = monotonic() + TRY_EVERY
            look_for_room(self._engine)
        return found or _has_no_room()

    def say_goodbye(self) -> None:
        """The process ends in peace; a database that is away learns it by the silence."""
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    heartbeats.say_goodbye(writer, self._kind)
        except DBAPIError:
            return
        finally:
            self._engine.dispose()

    def _sign(self, notes: Sequence[str]) -> Trouble | None:
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    reach(writer)
                    lasting = _has_no_room()
                    heartbeats.sign_own(writer, self._kind, notes, lasting)
        except DBAPIError as error:
            found = _told(error)
            book.note(found)
            book.is_cut |= is_cut(error.orig)
            self._sign_alone(notes, found)
            return found
        book.forget(*SHOWN)
        if heartbeats.CUT in notes:
            book.is_cut = False
        return None

    def _sign_alone(self, notes: Sequence[str], found: Trouble) -> None:
        """Say it to the others, where the own row can be written all the same."""
        # One lock is on all of SQLite.
        is_shut = self._engine.dialect.name == "sqlite" and found.kind is Kind.LOCKED
        if found.kind is Kind.AWAY or is_shut:
            return
        try:
            with self._engine.connect() as connection:
                writer = connection.execution_options(writing=True)
                with writer.begin():
                    heartbeats.sign_own(writer, self._kind, notes, found)
        except DBAPIError:
            return


def examine(engine: Engine) -> Trouble | None:
    """What a Save would meet now, for one who asks once. Nothing is written."""
    try:
        with engine.connect() as connection:
            writer = connection.execution_options(writing=True)
            with writer.begin() as transaction:
                reach(writer)
                if engine.dialect.name == "postgresql":
                    read_only = writer.execute(text("SHOW transaction_read_only")).scalar_one()
                    if read_only == "on":
                        return Trouble(Kind.READ_ONLY, "transactions are read-only")
                transaction.rollback()
        return look_for_room(engine)
    except DBAPIError as error:
        return _told(error)


def reach(connection: Connection) -> None:
    """Raise what whoever locks the tables of a Save makes of it. SQLite's writing transaction has
    shown it by beginning."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(REACH))


def look_for_room(engine: Engine) -> Trouble | None:
    """Whether there is room for one row more; `book` learns it. Nothing of it is kept."""
    found = _room_of_file(engine) if engine.dialect.name == "sqlite" else _room_of_server(engine)
    if found is None:
        book.forget(Kind.FULL, Kind.DISK)
    else:
        book.note(found)
    return found


def _room_of_server(engine: Engine) -> Trouble | None:
    try:
        with engine.connect() as connection, connection.begin() as transaction:
            connection.execute(text(TRY))
            transaction.rollback()
    except DBAPIError as error:
        is_refused = getattr(error.orig, "sqlstate", "") == NOT_ALLOWED
        return None if is_refused else _told(error)
    return None


def _room_of_file(engine: Engine) -> Trouble | None:
    folder = Path(engine.url.database or "").parent
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize >= ROOM:
        return None
    return Trouble(Kind.FULL, f"no space left on the disk under {folder}")


def _has_no_room() -> Trouble | None:
    found = book.present()
    return found if found and found.kind in {Kind.FULL, Kind.DISK} else None


def _told(error: DBAPIError) -> Trouble:
    return of_error(error.orig) or Trouble(Kind.AWAY, words_of(error.orig))
