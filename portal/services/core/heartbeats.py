"""Heartbeats: which processes and periodic tasks did something, and when."""

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
# Not a heartbeat: when a request last came through a proxy that is not to be believed.
PROXY: Final = "untrusted proxy"
# Nor this: when a sender last met a secret that its keys do not open.
UNDECRYPTABLE_SECRET: Final = "undecryptable secret"  # noqa: S105 - the name of a sign
# Nor this: when a connection to the database was last cut without a word.
CUT: Final = "cut connection"

HEARTBEAT_EVERY: Final = 5.0  # seconds
SILENT_AFTER: Final = timedelta(seconds=15)
# A beat may take two seconds. Who has missed one has no say for as long as it takes to be silent:
# it may be that nobody could sign.
BROKEN_AFTER: Final = timedelta(seconds=1.5 * HEARTBEAT_EVERY)
FORGOTTEN_AFTER: Final = timedelta(hours=1)

RENEWED: Final = ("seen_at", "host", "pid", "trouble", "skew", "run")

# What this process noticed since its last heartbeat.
_notes: set[str] = set()


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """A process, or a periodic task (named like its kind), and when it was last seen.

    `host`: its machine's name. `trouble`: what the database refuses it. `skew`: seconds that the
    database's clock is ahead of its own. `offline_since`: since then it cannot connect to the
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
    """The kind of the workers that serve this queue."""
    return f"worker {queue}"


def record_own(
    connection: Connection, kind: str, notes: Sequence[str] = (), trouble: Trouble | None = None
) -> None:
    """Write that this process, one of `kind`, is alive now, what it noticed (`take_notes`), and
    what the database refuses it. In the caller's writing transaction."""
    record(connection, kind, own_name(kind), trouble, own_process())
    for notice in notes:
        record(connection, notice, notice)


def deregister(connection: Connection, kind: str) -> None:
    """Delete the rows of this process, which ends, and of lost ones in whose place it came."""
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
    """Remember that `kind` happened until the next heartbeat: where nothing is written."""
    _notes.add(kind)


def take_notes() -> tuple[str, ...]:
    """Return what was remembered, each once, and forget it."""
    return tuple(_notes.pop() for _ in range(len(_notes)))


def delete_lost() -> None:
    """Delete the processes that nobody has seen for an hour; periodic tasks keep their last
    time."""
    with writing() as current:
        long_ago = database_time(current) - FORGOTTEN_AFTER
        current.execute(
            delete(Process).where(Process.seen_at < long_ago, Process.name != Process.kind)
        )


def processes() -> Sequence[ProcessStatus]:
    """Every process and periodic task that has a heartbeat, by kind, the latest seen first."""
    current = session()
    return processes_on(current.connection(), database_time(current))


def processes_on(connection: Connection, now: datetime) -> Sequence[ProcessStatus]:
    """`processes`, read by this connection. `now`: the database's.

    While the database is in trouble, which may keep all from signing, they are as they were at the
    last sign of anybody.
    """
    wanted = select(Process.__table__).order_by(Process.kind, Process.seen_at.desc())
    rows = connection.execute(wanted).all()
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
    """Those of these runs, on whatever machine, of which nobody has heard for `SILENT_AFTER`; one
    without any sign has ended. `now`: the database's.

    None of them as long as this process's own signs have not come without a break for that time:
    whoever has been asleep, or cut off with all the others, knows nothing of who was silent.
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
    """Write that `name`, one of its kind, is alive now. In the caller's writing transaction.

    `run`: the one whose leases are to last as long as such signs come.
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
    """Return whether the caller is to do this periodic task now, which nobody has begun for `pause`
    seconds. In a writing transaction: until its commit nobody else takes it, and nobody waits for
    that."""
    now = database_now(connection)
    mine = Process.name == task
    last = select(Process.seen_at).where(mine).with_for_update(skip_locked=True)
    seen_at = connection.execute(last).scalar_one_or_none()
    if seen_at is not None and seen_at > now - timedelta(seconds=pause):
        return False
    if seen_at is None and connection.execute(select(Process.name).where(mine)).first():
        return False  # another takes it at this moment
    record(connection, task, task)
    return True


def age(kind: str) -> float | None:
    """Seconds since the last heartbeat of `kind`; None when there never was one."""
    current = session()
    seen_at = current.execute(
        select(func.max(Process.seen_at)).where(Process.kind == kind)
    ).scalar_one_or_none()
    if seen_at is None:
        return None
    return max(0.0, (database_time(current) - seen_at).total_seconds())


def own_name(kind: str) -> str:
    """The name of this process among those of its kind: two containers may have the same host's
    name and the same number of a process."""
    return f"{kind} {own_process()}"


FOLDER: Final = "run"

_own: dict[int, UUID] = {}
_locks: dict[Path, FileLock] = {}
_is_heard = True


class EndedProcess(NamedTuple):
    """A process that has ended. Its lock is ours, so that one alone cleans up after it."""

    id: UUID
    path: Path
    lock: FileLock


def own_process() -> UUID:
    """The id of this process, by which its leases are known."""
    return _own.setdefault(os.getpid(), uuid4())


@contextmanager
def without_heartbeats() -> Iterator[None]:
    """Claim leases that bear no process, where this one records no heartbeats (RQ's own worker):
    others would take it for silent, and end them. They run out by their time alone."""
    global _is_heard
    _is_heard = False
    try:
        yield
    finally:
        _is_heard = True


def lease_owner() -> UUID | None:
    """Return the process that leases claimed now bear; None: see `without_heartbeats`."""
    return own_process() if _is_heard else None


def hold_lock() -> None:
    """Lock a file of this process's own until it ends; once more does nothing.

    Where that cannot be written its leases run out, as those of other machines do.
    """
    path = _folder() / str(own_process())
    if path in _locks and path.exists():
        return
    # Locked before it has its name: nobody ever sees the file of a living process that is free.
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
    """Those of this machine whose locks nobody holds; they are let go again at the end."""
    try:
        paths = list(_folder().iterdir())
    except OSError:  # nobody has begun yet
        paths = []
    processes = [process for path in paths if (process := _ended(path))]
    try:
        yield processes
    finally:
        for process in processes:
            process.lock.release()


def remove_lock(process: EndedProcess) -> None:
    """Delete the file of a process of which nothing is left."""
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
