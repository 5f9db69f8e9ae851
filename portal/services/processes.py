"""Signs of life: which processes and recurring duties did something, and when."""

import os
import socket

from sqlalchemy import Connection, func, select

from portal.database import database_now
from portal.models.records import Process
from portal.services.unit import database_time, insert_or_ignore, session, writing

SWEEP = "sweep"
PUMP = "pump"


def record(kind: str) -> None:
    """Write that the duty `kind` was done now."""
    with writing() as current:
        sign(current.connection(), kind, kind)


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
