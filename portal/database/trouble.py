"""What is wrong with the database, as the driver says it: remembered in this process from the error
on, until something shows that it is over. Pages, beats and jobs feed it, whoever asks reads it.
"""

import errno
import os
import threading
from dataclasses import dataclass
from enum import StrEnum
from time import monotonic
from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import ExceptionContext

LONGEST_REASON: Final = 300
LOCK_IS_RECENT: Final = 15.0  # seconds; whoever is held up longer says so again
INSERTED: Final = "inserted"
NO_ROOM: Final = "No space left on device"  # also said to who connects, without a code
DEMOTED: Final = "25006"  # of PostgreSQL: the transaction is read-only


class Kind(StrEnum):
    """`FULL`: no room; `CROWDED`: no memory or no connection left; `DISK`: it fails."""

    AWAY = "away"
    FULL = "full"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    CROWDED = "crowded"
    DISK = "disk"


@dataclass(frozen=True, slots=True)
class Trouble:
    """`reason`: the driver's own words, one line; no statement and no value of ours is in them."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"

    @classmethod
    def read(cls, text: str) -> "Trouble":
        """What `str` wrote. One of a later version has a kind that we do not know."""
        kind, _, reason = text.partition(": ")
        known = {str(each): each for each in Kind}
        return cls(known.get(kind, Kind.AWAY), reason)


# https://www.postgresql.org/docs/current/errcodes-appendix.html, whole codes before classes
_BY_STATE: Final = {
    "53100": Kind.FULL,
    "53": Kind.CROWDED,
    DEMOTED: Kind.READ_ONLY,
    "55P03": Kind.LOCKED,
    "58": Kind.DISK,
}
# https://sqlite.org/rescode.html, the lowest byte
_BY_RESULT: Final = {
    5: Kind.LOCKED,
    8: Kind.READ_ONLY,
    10: Kind.DISK,
    13: Kind.FULL,
}


def of_error(error: BaseException | None) -> Trouble | None:
    """What an error of the driver says about the database; None: nothing."""
    state = getattr(error, "sqlstate", None) or ""
    result = getattr(error, "sqlite_errorcode", None) or 0
    kind = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or _BY_RESULT.get(result & 0xFF)
    if NO_ROOM in str(error):
        kind = Kind.FULL
    return Trouble(kind, words_of(error)) if kind else None


def is_cut(error: BaseException | None) -> bool:
    """Return whether a connection that was open has ended because nothing came through any more."""
    return os.strerror(errno.ETIMEDOUT) in str(error)


def words_of(error: BaseException | None) -> str:
    """The first line of what the driver says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:LONGEST_REASON]


class TroubleBook:
    """The troubles of this process, by kind. Threads share it. `is_cut`: a connection was, and no
    beat has told it yet."""

    def __init__(self) -> None:
        self.is_cut = False
        self._lock = threading.Lock()
        self._found: dict[Kind, tuple[Trouble, float]] = {}

    @property
    def is_empty(self) -> bool:
        """Whether nothing is wrong; asked at every statement."""
        return not self._found

    def note(self, trouble: Trouble) -> None:
        """It is wrong from now on."""
        with self._lock:
            self._found[trouble.kind] = trouble, monotonic()

    def forget(self, *kinds: Kind) -> None:
        """These are over; all of them where none is named."""
        with self._lock:
            for kind in kinds or tuple(self._found):
                self._found.pop(kind, None)

    def present(self) -> Trouble | None:
        """The latest; a lock that nobody has met for a while is gone."""
        with self._lock:
            found = [
                (at, trouble)
                for trouble, at in self._found.values()
                if trouble.kind is not Kind.LOCKED or monotonic() - at < LOCK_IS_RECENT
            ]
        return max(found, key=lambda each: each[0])[1] if found else None


book: Final = TroubleBook()


def listen(engine: Engine, *, hears_locks: bool = True) -> None:
    """Note what the database refuses on `engine`, until rows are committed there again; drop its
    connections where it takes no changes.

    `hears_locks`: whether to give up waiting for a lock says anything; not after 100 ms.
    """

    def hear(context: ExceptionContext) -> None:
        trouble = of_error(context.original_exception)
        if trouble and (hears_locks or trouble.kind is not Kind.LOCKED):
            book.note(trouble)
        if is_cut(context.original_exception):
            book.is_cut = True
        if getattr(context.original_exception, "sqlstate", None) == DEMOTED:
            # A primary that has become a standby keeps its connections. They are made anew, to
            # whichever server takes changes now.
            context.is_disconnect = True

    event.listen(engine, "handle_error", hear)
    event.listen(engine, "after_cursor_execute", _see)
    event.listen(engine, "commit", _committed)
    event.listen(engine, "rollback", _rolled_back)


def _see(connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
    # An update proves nothing on a full disk: it finds room in its own page.
    if not book.is_empty and statement.lstrip()[:6].upper() == "INSERT":
        connection.info[INSERTED] = True


def _committed(connection: Connection) -> None:
    if not book.is_empty and connection.info.pop(INSERTED, False):
        book.forget()


def _rolled_back(connection: Connection) -> None:
    if not (book.is_empty or connection.invalidated):  # what was lost has nothing to tell
        connection.info.pop(INSERTED, None)
