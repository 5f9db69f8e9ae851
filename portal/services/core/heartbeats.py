"""Signs of life: which processes and recurring duties did something, and when."""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, func, select

from portal.database.engine import database_now
from portal.models.operations import Process
from portal.services.core.unit_of_work import database_time, insert_or_ignore, session, writing

SWEEP: Final = "sweep"
PUMP: Final = "pump"
WEB: Final = "web"
SCHEDULER: Final = "scheduler"
# Not a sign of life: when the mail server last took nothing.
MAIL_FAILED: Final = "mail failed"
# Nor this: when a request last came through a proxy that is not to be believed.
PROXY: Final = "untrusted proxy"

# Everybody signs every half minute; a job that takes its full 20 seconds comes on top.
SIGN_EVERY: Final = 30.0
SILENT_AFTER: Final = timedelta(seconds=90)
FORGOTTEN_AFTER: Final = timedelta(days=1)

# What this process noticed since its last sign of life.
_notes: set[str] = set()


@dataclass(frozen=True, slots=True)
class Life:
    """A process, or a recurring duty (named like its kind), and when it was last seen."""

    kind: str
    name: str
    host: str
    pid: int | None
    seen_at: datetime
    is_alive: bool


def worker_of(queue: str) -> str:
    """The kind of the workers that serve this queue."""
    return f"worker {queue}"


def record(kind: str) -> None:
    """Write that the duty `kind` was done now."""
    with writing() as current:
        sign(current.connection(), kind, kind)


def record_own(kind: str, *notes: str) -> None:
    """Write that this process, one of `kind`, is alive now, and what it noticed (`take_notes`)."""
    with writing() as current:
        sign(current.connection(), kind, own_name(kind))
        for each in notes:
            sign(current.connection(), each, each)


def note(kind: str) -> None:
    """Remember that `kind` happened, until this process signs next: where nothing is written."""
    _notes.add(kind)


def take_notes() -> tuple[str, ...]:
    """What was remembered, each once; it is forgotten with that."""
    return tuple(_notes.pop() for _ in range(len(_notes)))


def forget_the_dead() -> None:
    """Take out the processes that nobody has seen for a day; duties keep their last time."""
    with writing() as current:
        long_ago = database_time(current) - FORGOTTEN_AFTER
        current.execute(
            delete(Process).where(Process.seen_at < long_ago, Process.name != Process.kind)
        )


def lives() -> Sequence[Life]:
    """Every process and duty that left a sign of life, by kind, the latest seen first."""
    current = session()
    now = database_time(current)
    rows = current.scalars(select(Process).order_by(Process.kind, Process.seen_at.desc()))
    return [
        Life(row.kind, row.name, row.host, row.pid, row.seen_at, now - row.seen_at < SILENT_AFTER)
        for row in rows
    ]


def sign(connection: Connection, kind: str, name: str) -> None:
    """Write that `name`, one of its kind, is alive now. In the caller's writing transaction."""
    now = database_now(connection)
    row = insert_or_ignore(connection)(Process).values(
        name=name,
        kind=kind,
        host=socket.gethostname()[:120],
        pid=os.getpid(),
        started_at=now,
        seen_at=now,
    )
    renewed = {name: row.excluded[name] for name in ("seen_at", "host", "pid")}
    connection.execute(row.on_conflict_do_update(index_elements=[Process.name], set_=renewed))


def age(kind: str) -> float | None:
    """Seconds since the last sign of life of `kind`; None when there never was one."""
    current = session()
    seen_at = current.execute(
        select(func.max(Process.seen_at)).where(Process.kind == kind)
    ).scalar_one_or_none()
    if seen_at is None:
        return None
    return max(0.0, (database_time(current) - seen_at).total_seconds())


def own_name(kind: str) -> str:
    """The name of this process among those of its kind, as in `pump host:123`."""
    return f"{kind} {socket.gethostname()[:80]}:{os.getpid()}"
