"""Classify the database's problems by the errors of its driver."""

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

LONGEST_REASON: Final = 300
FULL_DISK: Final = "No space left on device"  # also on connect, without a code
DEMOTED: Final = "25006"  # PostgreSQL: the transaction is read-only


class Kind(StrEnum):
    """`FULL`: no disk space. `CROWDED`: no memory or connection left. `DISK`: it fails."""

    AWAY = "away"
    FULL = "full"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    CROWDED = "crowded"
    DISK = "disk"


NO_ROOM: Final = {Kind.FULL, Kind.DISK}
# Problems that don't end on their own.
LASTING: Final = {Kind.READ_ONLY, *NO_ROOM}


@dataclass(frozen=True, slots=True)
class Trouble:
    """A problem. `reason`: one line of the driver's words, without our statements and values."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"

    @classmethod
    def read(cls, text: str) -> "Trouble":
        """Parse the output of `str`. A kind of a later version becomes `AWAY`."""
        word, _, reason = text.partition(": ")
        known = {str(kind): kind for kind in Kind}
        return cls(known.get(word, Kind.AWAY), reason)


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
    """Return the problem that an error of the driver reports, or None."""
    state = getattr(error, "sqlstate", None) or ""
    result = getattr(error, "sqlite_errorcode", None) or 0
    kind = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or _BY_RESULT.get(result & 0xFF)
    if FULL_DISK in str(error):
        kind = Kind.FULL
    return Trouble(kind, words_of(error)) if kind else None


def is_cut(error: BaseException | None) -> bool:
    """Return whether an open connection timed out because no data got through."""
    return os.strerror(errno.ETIMEDOUT) in str(error)


def words_of(error: BaseException | None) -> str:
    """Return the first line of the driver's message."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:LONGEST_REASON]


@dataclass
class Observed:
    """The latest problem of this process since its last good heartbeat.

    `is_cut`: a connection was cut, and no heartbeat has reported it yet.
    """

    trouble: Trouble | None = None
    is_cut: bool = False

    @property
    def no_room(self) -> Trouble | None:
        """Return a full or failing disk. Updates that fit into their page can still succeed."""
        return self.trouble if self.trouble and self.trouble.kind in NO_ROOM else None


observed: Final = Observed()


def listen(engine: Engine, *, hears_locks: bool = True) -> None:
    """Record problems on `engine`, and drop its connections if the server becomes read-only.

    `hears_locks`: whether a lock timeout is a problem. One of only 100 ms isn't.
    """

    def hear(context: ExceptionContext) -> None:
        trouble = of_error(context.original_exception)
        if trouble and (hears_locks or trouble.kind is not Kind.LOCKED):
            observed.trouble = trouble
        observed.is_cut |= is_cut(context.original_exception)
        if getattr(context.original_exception, "sqlstate", None) == DEMOTED:
            # A primary that has become a standby keeps its connections. New ones go to the server
            # that accepts changes now.
            context.is_disconnect = True

    event.listen(engine, "handle_error", hear)
