"""Read what is wrong with the database out of what its driver says."""

import errno
import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from sqlalchemy import Engine, event
from sqlalchemy.engine import ExceptionContext

LONGEST_REASON: Final = 300
FULL_DISK: Final = "No space left on device"  # also said to who connects, without a code
DEMOTED: Final = "25006"  # of PostgreSQL: the transaction is read-only


class Kind(StrEnum):
    """`FULL`: no room; `CROWDED`: no memory or no connection left; `DISK`: it fails."""

    AWAY = "away"
    FULL = "full"
    READ_ONLY = "read-only"
    LOCKED = "locked"
    CROWDED = "crowded"
    DISK = "disk"


NO_ROOM: Final = {Kind.FULL, Kind.DISK}
# Nothing that passes by itself.
LASTING: Final = {Kind.READ_ONLY, *NO_ROOM}


@dataclass(frozen=True, slots=True)
class Trouble:
    """`reason`: the driver's own words, one line; no statement and no value of ours is in them."""

    kind: Kind
    reason: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.reason}"

    @classmethod
    def read(cls, text: str) -> "Trouble":
        """Read what `str` wrote; of a later version it may have a kind that we do not know."""
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
    """Return what an error of the driver says about the database; None: nothing."""
    state = getattr(error, "sqlstate", None) or ""
    result = getattr(error, "sqlite_errorcode", None) or 0
    kind = _BY_STATE.get(state) or _BY_STATE.get(state[:2]) or _BY_RESULT.get(result & 0xFF)
    if FULL_DISK in str(error):
        kind = Kind.FULL
    return Trouble(kind, words_of(error)) if kind else None


def is_cut(error: BaseException | None) -> bool:
    """Return whether a connection that was open has ended because nothing came through any more."""
    return os.strerror(errno.ETIMEDOUT) in str(error)


def words_of(error: BaseException | None) -> str:
    """Return the first line of what the driver says."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")[:LONGEST_REASON]


@dataclass
class Observed:
    """The latest trouble of this process since its last good heartbeat. `is_cut`: a connection was
    cut, and no heartbeat has told it yet."""

    trouble: Trouble | None = None
    is_cut: bool = False

    @property
    def no_room(self) -> Trouble | None:
        """Return it if an update that fits into its own page may pass all the same."""
        return self.trouble if self.trouble and self.trouble.kind in NO_ROOM else None


observed: Final = Observed()


def listen(engine: Engine, *, hears_locks: bool = True) -> None:
    """Note what the database refuses on `engine`; drop its connections where it takes no changes.

    `hears_locks`: whether to give up waiting for a lock says anything; not after 100 ms.
    """

    def hear(context: ExceptionContext) -> None:
        trouble = of_error(context.original_exception)
        if trouble and (hears_locks or trouble.kind is not Kind.LOCKED):
            observed.trouble = trouble
        observed.is_cut |= is_cut(context.original_exception)
        if getattr(context.original_exception, "sqlstate", None) == DEMOTED:
            # A primary that has become a standby keeps its connections. They are made anew, to
            # whichever server takes changes now.
            context.is_disconnect = True

    event.listen(engine, "handle_error", hear)
