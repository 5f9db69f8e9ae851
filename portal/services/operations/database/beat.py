"""One beat of a process: whether the database takes what a Save and a worker write, and a sign of
life. In a thread of its own, by a connection that waits two seconds for anything.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError

from portal.database.trouble import Kind, Trouble, book, is_cut, of_error, words_of
from portal.services.core import heartbeats

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
