"""Heartbeats, which record when each process and periodic task was last active."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import Connection, Select, SelectBase, case, delete, exists, func, select
from sqlalchemy.orm import aliased

from portal.database.engine import database_now
from portal.database.trouble import Trouble, observed
from portal.extensions import settings
from portal.lib.clock import ahead
from portal.lib.file_lock import FileLock
from portal.models.operations import Process
from portal.services.core.unit_of_work import database_time, insert_or_ignore, session, writing

log = logging.getLogger(__name__)

MAINTENANCE: Final = "maintenance"
DISPATCHER: Final = "dispatcher"
WEB: Final = "web"
SCHEDULER: Final = "scheduler"
# Not a heartbeat, but the last time that a request came through an untrusted proxy.
PROXY: Final = "untrusted proxy"
# The last time that a sender could not decrypt a secret with its keys, also not a heartbeat.
UNDECRYPTABLE_SECRET: Final = "undecryptable secret"  # noqa: S105 - the name of a sign
# The last time that a database connection was cut silently, also not a heartbeat.
CUT: Final = "cut connection"

HEARTBEAT_EVERY: Final = 5.0  # seconds
SILENT_AFTER: Final = timedelta(seconds=15)
# A heartbeat can take two seconds. A process that has missed one cannot judge others for the
# duration of `SILENT_AFTER`, because maybe no process could record a heartbeat.
BROKEN_AFTER: Final = timedelta(seconds=1.5 * HEARTBEAT_EVERY)
FORGOTTEN_AFTER: Final = timedelta(hours=1)

RENEWED: Final = ("seen_at", "host", "pid", "trouble", "skew", "run")

# Notes of this process since its last heartbeat.
_notes: set[str] = set()


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process or a periodic task (named like its kind), and when it was last seen.

    `host`: its machine's name. `trouble`: its trouble with the database. `skew`: seconds by which
    the database's clock is ahead of its own. `offline_since`: since when it cannot connect to
    `offline_hosts`.
    """

    kind: str
    name: str
    host: str
    pid: int | None
    seen_at: datetime
    is_alive: bool
    started_at: datetime | None = None
    trouble: Trouble | None = None
    skew: float = 0.0
    offline_since: datetime | None = None
    offline_hosts: Sequence[str] = ()


def worker_of(queue: str) -> str:
    """Return the kind of the workers that serve this queue."""
    return f"worker {queue}"


def record_own(
    connection: Connection, kind: str, notes: Sequence[str] = (), trouble: Trouble | None = None
) -> None:
    """Record a heartbeat of this process with its notes (`take_notes`) and its trouble with the
    database. Call this in a writing transaction."""
    record(connection, kind, own_name(kind), trouble, own_process())
    for notice in notes:
        record(connection, notice, notice)


def deregister(connection: Connection, kind: str) -> None:
    """Delete the rows of this process, which is ending, and of lost processes that it replaced."""
    own, mine = Process.name.in_((own_name(kind), own_name(DISPATCHER))), aliased(Process)
    replaced = exists().where(
        mine.name == own_name(kind),
        Process.kind == mine.kind,
        Process.host == mine.host,
        Process.seen_at < mine.started_at,
        Process.seen_at < database_now(connection) - SILENT_AFTER,
    )
    connection.execute(delete(Process).where(own | replaced))


def note(kind: str) -> None:
    """Remember until the next heartbeat that `kind` happened. For callers that write nothing
    themselves."""
    _notes.add(kind)


def take_notes() -> tuple[str, ...]:
    """Return the notes, each once, and clear them."""
    return tuple(_notes.pop() for _ in range(len(_notes)))


def delete_lost() -> None:
    """Delete processes that have not been seen for an hour. Periodic tasks keep their last time."""
    with writing() as current:
        long_ago = database_time(current) - FORGOTTEN_AFTER
        current.execute(
            delete(Process).where(Process.seen_at < long_ago, Process.name != Process.kind)
        )


def processes() -> Sequence[ProcessStatus]:
    """Return every process and periodic task with a heartbeat, by kind, most recently seen
    first."""
    current = session()
    return processes_on(current.connection(), database_time(current))


def processes_on(connection: Connection, now: datetime) -> Sequence[ProcessStatus]:
    """Return `processes` through this connection. `now`: the database's clock.

    Trouble with the database may keep all processes from recording heartbeats. Then the statuses
    are as of the latest heartbeat of any process.
    """
    query = select(Process.__table__).order_by(Process.kind, Process.seen_at.desc())
    rows = connection.execute(query).all()
    if observed.trouble:
        now = max((row.seen_at for row in rows), default=now)
    return [
        ProcessStatus(
            kind=row.kind,
            name=row.name,
            host=row.host,
            pid=row.pid,
            seen_at=row.seen_at,
            is_alive=now - row.seen_at < SILENT_AFTER,
            started_at=row.started_at,
            trouble=Trouble.read(row.trouble) if row.trouble else None,
            skew=row.skew,
            offline_since=row.offline_since,
            offline_hosts=(row.offline_hosts or "").split(),
        )
        for row in rows
    ]


def silent_among(runs: SelectBase, now: datetime) -> Select[UUID | None]:
    """Select the runs among these without a heartbeat for `SILENT_AFTER`, on any machine. A run
    without any heartbeat has ended. `now`: the database's clock.

    Select none unless this process's own heartbeats have come without a break for that time. A
    process that was suspended, or cut off with all others, does not know which ones were silent.
    """
    since = now - SILENT_AFTER
    living = select(Process.run).where(Process.run.is_not(None), Process.seen_at > since)
    may_judge = exists().where(
        Process.run == own_process(),
        Process.steady_since <= since,
        Process.seen_at > now - BROKEN_AFTER,
    )
    held = runs.subquery()
    (run,) = held.c
    return select(run).where(run.not_in(living), may_judge)


def record(
    connection: Connection,
    kind: str,
    name: str,
    trouble: Trouble | None = None,
    run: UUID | None = None,
) -> None:
    """Record a heartbeat of `name`, one of its kind. Call this in a writing transaction.

    `run`: the run whose leases last as long as such heartbeats come.
    """
    now = database_now(connection)
    row = insert_or_ignore(connection)(Process).values(
        name=name,
        kind=kind,
        host=settings().machine,
        pid=os.getpid(),
        started_at=now,
        seen_at=now,
        trouble=str(trouble) if trouble else None,
        skew=ahead().total_seconds(),
        run=run,
        steady_since=now,
    )
    is_steady = Process.seen_at > now - BROKEN_AFTER
    since = case((is_steady, Process.steady_since), else_=row.excluded["seen_at"])
    renewed = {name: row.excluded[name] for name in RENEWED} | {"steady_since": since}
    connection.execute(row.on_conflict_do_update(index_elements=[Process.name], set_=renewed))


def take_periodic_task(connection: Connection, task: str, pause: float) -> bool:
    """Return whether the caller must do this periodic task, which nobody has begun for `pause`
    seconds.

    Call this in a writing transaction. Nobody else takes the task before its commit, and nobody
    waits for that.
    """
    now = database_now(connection)
    mine = Process.name == task
    last = select(Process.seen_at).where(mine).with_for_update(skip_locked=True)
    seen_at = connection.execute(last).scalar_one_or_none()
    if seen_at is not None and seen_at > now - timedelta(seconds=pause):
        return False
    if seen_at is None and connection.execute(select(Process.name).where(mine)).first():
        return False  # another process is taking it
    record(connection, task, task)
    return True


def age(kind: str) -> float | None:
    """Return the seconds since the last heartbeat of `kind`, or None if there never was one."""
    current = session()
    seen_at = current.execute(
        select(func.max(Process.seen_at)).where(Process.kind == kind)
    ).scalar_one_or_none()
    if seen_at is None:
        return None
    return max(0.0, (database_time(current) - seen_at).total_seconds())


def own_name(kind: str) -> str:
    """Return the name of this process within its kind. Two containers can have the same host name
    and process id."""
    return f"{kind} {own_process()}"


FOLDER: Final = "run"

_own: dict[int, UUID] = {}
_locks: dict[Path, FileLock] = {}
_is_heard = True


class EndedProcess(NamedTuple):
    """A process that has ended. This process holds its lock, so that only one cleans up after
    it."""

    id: UUID
    path: Path
    lock: FileLock


def own_process() -> UUID:
    """Return the id of this process, which identifies its leases."""
    return _own.setdefault(os.getpid(), uuid4())


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Claim leases without an owner, because this process records no heartbeats (RQ's own worker).

    Others would consider it silent and end its leases. These leases end only by their time.
    """
    global _is_heard
    _is_heard = False
    try:
        yield
    finally:
        _is_heard = True


def lease_owner() -> UUID | None:
    """Return the owner of leases claimed now, or None (see `without_heartbeats`)."""
    return own_process() if _is_heard else None


def hold_lock() -> None:
    """Lock a file of this process until it ends. A repeated call does nothing.

    If the file cannot be written, the leases of this process expire like those of other machines.
    """
    path = _folder() / str(own_process())
    if path in _locks and path.exists():
        return
    # Locked before it gets its name, so that nobody ever sees a live process's file unlocked.
    unnamed = path.with_suffix(".new")
    try:
        unnamed.parent.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock.take(unnamed)
        unnamed.rename(path)
    except OSError as error:
        log.warning("A crash of this process will be noticed late: %s", error)
        return
    if lock:
        _locks[path] = lock


@contextmanager
def ended_processes() -> Iterator[list[EndedProcess]]:
    """Yield the processes of this machine whose locks nobody holds. Their locks are released at the
    end."""
    try:
        paths = list(_folder().iterdir())
    except OSError:  # no process has started yet
        paths = []
    processes = [process for path in paths if (process := _ended(path))]
    try:
        yield processes
    finally:
        for process in processes:
            process.lock.release()


def remove_lock(process: EndedProcess) -> None:
    """Delete the file of a process that has left nothing."""
    with suppress(OSError):
        process.path.unlink()


def _ended(path: Path) -> EndedProcess | None:
    try:
        process = UUID(path.name)
        lock = None if process == own_process() else FileLock.take(path, makes=False)
    except (ValueError, OSError):  # no process; cleaned up by another; not ours to open
        return None
    return EndedProcess(process, path, lock) if lock else None


def _folder() -> Path:
    return settings().instance_dir / FOLDER
