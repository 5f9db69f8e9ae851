"""Back up the database on request, each night, and by a command.

A copy gets its name only after it was written, opened again, and counted. A file with that name is
therefore never half a backup. The audit trail records every backup.
"""

import os
import re
import select as sockets
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from secrets import token_hex
from time import monotonic
from typing import IO, Any, BinaryIO, Final
from uuid import UUID

from sqlalchemy import func, inspect, literal_column, or_, select, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from portal.database.engine import shown
from portal.extensions import Base, db, settings
from portal.lib.clock import utcnow
from portal.lib.durations import size_in_words
from portal.lib.file_lock import FileLock
from portal.models.audit import AuditEntry
from portal.models.tasks import IS_UNDER_WAY, Task, TaskState
from portal.services import audit, tasks
from portal.services.alerts import settings as alert_settings
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session, writing
from portal.services.tasks import Kind, Step

NAME: Final = "backup"
MAKE: Final = "backups.make"
DOWNLOAD: Final = "backups.download"
MADE: Final = "backup.made"
FOLDER: Final = "backups"
LOCK: Final = "lock"
PART: Final = ".part"
FILE: Final = re.compile(r"portal-(\d{4}-\d{2}-\d{2}-\d{6})\.backup")
STAMP: Final = "%Y-%m-%d-%H%M%S"
# The disk is also the portal's own, so a backup must leave room for people to save.
SPARE: Final = 200 * 1024**2
CHUNK: Final = 1024**2
BEAT_EVERY: Final = 1.0  # seconds
# Virtual tables, such as an index of words, can't be counted.
TABLES: Final = (
    "SELECT name FROM sqlite_schema WHERE type = 'table' AND sql NOT LIKE 'CREATE VIRTUAL%'"
)
INSTRUCTIONS: Final = 50_000  # SQLite instructions between two checks of the clock
# table → name of one row, for the counts that people see
TOLD: Final = {
    "assets": "asset",
    "events": "event",
    "deliveries": "delivery",
    "webhooks": "webhook",
    "users": "user",
}
VERSIONS: Final = "alembic_version"
# Rows of this table are never removed, so a copy with fewer of them is incomplete.
NEVER_FEWER: Final = "audit_entries"

# Called now and then with the bytes written so far. An exception from it ends the copy.
Beat = Callable[[int], None]


class CannotBackUp(Exception):
    """No backup was made. The message is a sentence."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A finished copy, opened and counted. `rows` has the row count of each table."""

    path: Path
    size: int
    rows: Mapping[str, int]


def copy_to(path: Path, beat: Beat = lambda _bytes: None) -> Copy:
    """Copy the database to a new file that only this user can read, and count its rows.

    Raises `CannotBackUp` and exceptions from `beat`. In both cases, no file is left.
    """
    if path.exists():
        raise CannotBackUp(f"{path} already exists. Enter another file name.")
    tables, least = _refuse_what_is_none()
    # Its own name: two copies to one path must not write into one file.
    part = path.with_name(f"{path.name}.{token_hex(4)}{PART}")
    is_sqlite = db.engine.dialect.name == "sqlite"
    try:
        with _for_this_user_alone():
            beat(0)
            (_copy_sqlite if is_sqlite else _copy_postgresql)(part, beat)
            rows = (_count_sqlite if is_sqlite else _count_postgresql)(part, beat)
            _refuse_less(rows, tables, least)
            _keep(part, path)
    except OSError as error:
        raise CannotBackUp(f"The portal can’t write {path} ({error.strerror}).") from None
    finally:
        for leftover in (part, part.with_name(f"{part.name}-journal")):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)
    return Copy(path, path.stat().st_size, rows)


def record(current: Session, actor: Actor, copy: Copy) -> None:
    """Record a backup in the audit trail."""
    facts = {
        "size": copy.size,
        "file": str(copy.path),
        "machine": settings().machine,
        "rows": {name: copy.rows.get(name, 0) for name in TOLD},
    }
    target = (NAME, MADE, copy.path.name)
    audit.record(current, actor, MADE, target=target, changes=audit.added(facts))


def counted(rows: Mapping[str, int]) -> str:
    """Return row counts in words, such as "200 assets, 1 delivery"."""
    counts = ((rows.get(many, 0), one, many) for many, one in TOLD.items())
    return ", ".join(f"{count:,} {one if count == 1 else many}" for count, one, many in counts)


def _refuse_what_is_none() -> tuple[set[str], int]:
    """Refuse to copy a database that isn't a portal's.

    Otherwise, a person without the portal's own settings could take a useless file for a backup
    until they need it. Returns a copy's required tables and its minimum of `NEVER_FEWER` rows.
    """
    where = shown(db.engine.url)
    try:
        # Another version's tables are fine, because people back up before they upgrade.
        names = set(inspect(db.engine).get_table_names())
        tables = {*Base.metadata.tables.keys(), VERSIONS} & names
        if VERSIONS in names:
            entries = select(func.count()).select_from(Base.metadata.tables[NEVER_FEWER])
            return tables, session().execute(entries).scalar_one()
    except DBAPIError:
        raise CannotBackUp(f"The database {where} isn’t responding.") from None
    finally:
        session().rollback()
    raise CannotBackUp(
        f"Nothing was copied. {where} isn’t a portal’s database. Check INSTANCE_DIR and "
        "DATABASE_URL."
    )


def _refuse_less(rows: Mapping[str, int], tables: set[str], least: int) -> None:
    missing = sorted(tables - rows.keys())
    if missing or rows[NEVER_FEWER] < least:
        raise CannotBackUp(f"The copy is incomplete ({', '.join(missing) or NEVER_FEWER}).")


@contextmanager
def _for_this_user_alone() -> Iterator[None]:
    """Create files that other users can't read, because a copy has all that people entered."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _keep(part: Path, path: Path) -> None:
    """Give the copy its final name once it is flushed to the disk."""
    with open(part, "rb") as file:
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _Watched:
    """A SQLite connection that is interrupted if `beat` raises."""

    def __init__(self, connection: Any, part: Path, beat: Beat) -> None:
        self._connection, self._part, self._beat = connection, part, beat
        self._again_at = monotonic()
        self._raised: BaseException | None = None

    def __enter__(self) -> Any:
        self._connection.set_progress_handler(self._look, INSTRUCTIONS)
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.set_progress_handler(None, 0)
        if self._raised:
            raise self._raised

    def _look(self) -> int:
        """Return 1 to interrupt the statement, else 0."""
        if monotonic() < self._again_at:
            return 0
        self._again_at = monotonic() + BEAT_EVERY
        try:
            self._beat(_size(self._part))
        except BaseException as error:
            self._raised = error
            return 1
        return 0


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _copy_sqlite(part: Path, beat: Beat) -> None:
    # VACUUM can't run in a transaction, which the portal's connections begin automatically.
    with (
        _sqlite_in_words(),
        closing(db.engine.raw_connection()) as connection,
        _Watched(connection.driver_connection, part, beat) as watched,
    ):
        watched.execute("VACUUM INTO ?", (str(part),))


def _count_sqlite(part: Path, beat: Beat) -> Mapping[str, int]:
    sqlite: Any = db.engine.dialect.dbapi
    with (
        _sqlite_in_words(),
        closing(sqlite.connect(part, isolation_level=None)) as opened,
        _Watched(opened, part, beat) as copy,
    ):
        # None of these processes runs where the copy is restored.
        copy.execute("DELETE FROM processes")
        (answer,) = copy.execute("PRAGMA integrity_check").fetchone()
        if answer != "ok":
            raise CannotBackUp(f"The copy is damaged ({answer}).")
        tables = copy.execute(TABLES).fetchall()
        return {
            name: copy.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608 - our own tables
            for (name,) in tables
        }


@contextmanager
def _sqlite_in_words() -> Iterator[None]:
    sqlite: Any = db.engine.dialect.dbapi
    try:
        yield
    except (DBAPIError, sqlite.Error) as error:
        raise CannotBackUp(f"SQLite couldn’t copy the database ({error}).") from None


def _copy_postgresql(part: Path, beat: Beat) -> None:
    url = db.engine.url
    options = ["--format=custom", "--no-owner", "--exclude-table-data=processes", "--dbname"]
    # Every user of the machine can see a command line, but only this user its environment.
    environ = {**os.environ, "PGPASSWORD": url.password or str(url.query.get("password", ""))}
    with _running("pg_dump", [*options, _plain(url)], environ) as read, open(part, "wb") as file:
        for chunk in read(beat, file.tell):
            file.write(chunk)


def _count_postgresql(part: Path, beat: Beat) -> Mapping[str, int]:
    """Count the rows of each table by reading the whole copy, as a restore does."""
    rows: Counter[str] = Counter()
    table, rest = "", b""
    size = _size(part)
    with _running("pg_restore", ["--data-only", "--file=-", str(part)], None) as read:
        for chunk in read(beat, lambda: size):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if not table and line.startswith(b"COPY "):
                    table = line.split()[1].decode().rpartition(".")[2].strip('"')
                    rows[table] += 0
                elif line == b"\\.":
                    table = ""
                elif table:
                    rows[table] += 1
    return {"processes": 0, **rows}  # these rows aren't copied


Chunks = Callable[[Beat, Callable[[], int]], Iterator[bytes]]


@contextmanager
def _running(name: str, words: list[str], environ: Mapping[str, str] | None) -> Iterator[Chunks]:
    """Run a PostgreSQL program and read its output. Kill the program when reading ends."""
    program = shutil.which(name)
    if program is None:
        raise CannotBackUp(f"{name} isn’t installed. Install the PostgreSQL client.")
    with tempfile.TemporaryFile() as stderr:
        command = [program, *words]
        process = subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, stderr=stderr)  # noqa: S603 - fixed arguments
        try:
            yield lambda beat, size: _chunks(process.stdout, beat, size)  # type: ignore[arg-type]  # it is a pipe
            if process.wait():
                stderr.seek(0)
                words_of = stderr.read(4096).decode(errors="replace").strip()
                raise CannotBackUp(f"{name} failed. {words_of}")
        finally:
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _chunks(pipe: IO[bytes], beat: Beat, size: Callable[[], int]) -> Iterator[bytes]:
    again_at = monotonic()
    while True:
        if monotonic() >= again_at:
            again_at = monotonic() + BEAT_EVERY
            beat(size())
        if not sockets.select([pipe], [], [], BEAT_EVERY)[0]:
            continue
        chunk = os.read(pipe.fileno(), CHUNK)
        if not chunk:
            return
        yield chunk


def _plain(url: URL) -> str:
    query = {name: value for name, value in url.query.items() if name != "password"}
    bare = URL.create("postgresql", url.username, None, url.host, url.port, url.database, query)
    return bare.render_as_string()


# --- Backups that the portal makes and keeps ---------------------------------------------------


@dataclass(frozen=True, slots=True)
class BackupFile:
    """A backup that this machine keeps."""

    name: str
    at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class LastBackup:
    """The newest backup in the audit trail, from any machine."""

    at: datetime
    by: str
    file: str
    machine: str
    size: int
    rows: Mapping[str, int]

    @property
    def is_here(self) -> bool:
        """Return whether this machine wrote it."""
        return self.machine == settings().machine


@dataclass(frozen=True, slots=True)
class BackupState:
    """Times of the last backup and of the first change to back up."""

    last_at: datetime | None
    since: datetime | None


def folder() -> Path:
    """Return this machine's folder of backups."""
    return settings().instance_dir / FOLDER


def kept() -> list[BackupFile]:
    """Return the backups of this machine, newest first."""
    try:
        entries = [entry for entry in os.scandir(folder()) if FILE.fullmatch(entry.name)]
    except OSError:  # none was ever made
        return []
    files = []
    for entry in entries:
        with suppress(FileNotFoundError):  # deleted in the meantime, as the oldest one
            if entry.is_file(follow_symlinks=False):
                files.append(BackupFile(entry.name, _made_at(entry.name), entry.stat().st_size))
    return sorted(files, key=lambda file: file.name, reverse=True)


def _made_at(name: str) -> datetime:
    stamp = name.removeprefix("portal-").removesuffix(".backup")
    try:
        return datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:  # a day that doesn't exist
        return datetime.min.replace(tzinfo=UTC)


def last() -> LastBackup | None:
    """Return the newest backup in the audit trail, or None."""
    entry = session().scalars(_made().order_by(AuditEntry.id.desc()).limit(1)).first()
    if entry is None:
        return None
    facts = {name: change["to"] for name, change in entry.changes.items()}
    return LastBackup(
        entry.at, entry.actor_name, facts["file"], facts["machine"], facts["size"], facts["rows"]
    )


def _made() -> Any:
    return select(AuditEntry).where(AuditEntry.target_kind == NAME, AuditEntry.target_id == MADE)


def state() -> BackupState:
    """Return the times that decide whether a new backup is due."""
    newest = last()
    since = session().scalars(select(AuditEntry.at).order_by(AuditEntry.id).limit(1)).first()
    return BackupState(newest.at if newest else None, since)


def why_not() -> str:
    """Return why this machine can’t make a backup, or ""."""
    if db.engine.dialect.name == "sqlite" or shutil.which("pg_dump"):
        return ""
    return f"pg_dump isn’t installed on {settings().machine}."


def under_way() -> UUID | None:
    """Return the public id of the backup task under way, or None."""
    query = select(Task.public_id).where(literal_column(f"({IS_UNDER_WAY})"), Task.kind == NAME)
    return session().scalars(query.limit(1)).first()


def failed_since(at: datetime | None) -> Task | None:
    """Return the newest backup task if it failed after `at`, the time of the last backup."""
    query = select(Task).where(Task.kind == NAME).order_by(Task.id.desc()).limit(1)
    task = session().scalars(query).first()
    if task is None or task.state != TaskState.FAILED or (at and task.created_at < at):
        return None
    return task


def start(actor: Actor) -> UUID:
    """Start a backup and return its task's public id, or that of the task under way."""
    with writing() as current:
        require(current, actor, MAKE)
        # If two requests arrive at once, the second finds the task the first one started.
        alert_settings.locked(current)
        return under_way() or _start(current, actor)


def _start(current: Session, actor: Actor) -> UUID:
    size = "pg_database_size(current_database())"
    if current.connection().dialect.name == "sqlite":
        size = "(SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size())"
    total = _megabytes(current.execute(text(f"SELECT {size}")).scalar_one())
    return tasks.start(current, actor, NAME, total=total).public_id


def _megabytes(size: int) -> int:
    return max(1, size // CHUNK)


# In the organization's time zone. A backup that `asset-webhooks-backup.timer` makes shortly before
# counts as tonight's.
NIGHTLY_AT: Final = time(3)
EARLIER_DOES: Final = timedelta(hours=6)
# A time that is further ahead is from a wrong clock.
AHEAD: Final = timedelta(minutes=5)


def start_nightly(now: datetime) -> UUID | None:
    """Start tonight's backup, unless it was made or attempted. `now` is the database's time.

    If the portal wasn't running at night, the backup starts later.
    """
    if not _is_wanted(now) or why_not():
        return None
    with writing() as current:
        alert_settings.locked(current)
        return _start(current, SYSTEM) if _is_wanted(now) else None


def _is_wanted(now: datetime) -> bool:
    """Return whether tonight's backup is due. A new portal waits for its first night."""
    local = now.astimezone(settings().timezone)
    night = datetime.combine(local.date(), NIGHTLY_AT, local.tzinfo).astimezone(UTC)
    known, until = state(), now + AHEAD
    if not settings().backup_keep or now < night or known.since is None or known.since > night:
        return False
    if known.last_at and night - EARLIER_DOES < known.last_at < until:
        return False
    is_tonights = Task.created_at.between(night, until)
    is_tried = or_(literal_column(f"({IS_UNDER_WAY})"), is_tonights)
    tried = select(Task.id).where(Task.kind == NAME, is_tried).limit(1)
    return session().scalars(tried).first() is None


Finish = Callable[[Session, Task], Step]


def _make(renew: tasks.Renew) -> Finish:
    """Make a backup in this machine's folder, outside of any transaction."""
    try:
        where = folder()
        where.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock.take(where / LOCK)
    except OSError as error:
        return _failed(f"The portal can’t write {folder()} ({error.strerror}).")
    if lock is None:
        return lambda _current, _task: tasks.later(timedelta(seconds=5))
    try:
        _clear_up(where)
        copy = copy_to(where / f"portal-{utcnow():{STAMP}}.backup", _sparing(where, renew))
        _forget_old(where, copy.path)
    except CannotBackUp as error:
        return _failed(str(error))
    finally:
        lock.release()
    return lambda current, task: _succeed(current, task, copy)


def _sparing(where: Path, renew: tasks.Renew) -> Beat:
    def beat(size: int) -> None:
        if (free := shutil.disk_usage(where).free) < SPARE:
            raise CannotBackUp(
                f"The disk at {where} has only {size_in_words(free)} left. Free up space or set "
                "BACKUP_KEEP to a smaller number."
            )
        renew(size // CHUNK)

    return beat


def _clear_up(where: Path) -> None:
    """Delete leftovers of a killed process. We hold the lock, so no one is writing them."""
    for leftover in where.glob(f"*{PART}*"):
        leftover.unlink(missing_ok=True)


def _forget_old(where: Path, newest: Path) -> None:
    """Keep the newest backups, or all of them if nightly backups are off.

    Backups from the future are deleted first, because they come from a wrong clock.
    """
    keep = settings().backup_keep
    if not keep:
        return
    now = utcnow() + AHEAD
    others = [backup for backup in kept() if backup.name != newest.name]
    others.sort(key=lambda each: (each.at < now, each.name), reverse=True)
    for old in others[keep - 1 :]:
        with suppress(OSError):
            (where / old.name).unlink()


def _failed(sentence: str) -> Finish:
    def finish(_current: Session, task: Task) -> Step:
        task.error = sentence
        return Step(TaskState.FAILED)

    return finish


def _succeed(current: Session, task: Task, copy: Copy) -> Step:
    record(current, tasks.actor_of(task), copy)
    task.done = task.total
    task.counts = {name: copy.rows[name] for name in TOLD}
    return tasks.DONE


KIND: Final = Kind(name=NAME, permission=MAKE, outside=_make)


def find(name: str) -> BackupFile:
    """Return one of this machine's backups. Raises `NotFound`."""
    kept_backup = next((backup for backup in kept() if backup.name == name), None)
    if kept_backup is None:
        raise NotFound("This machine has no backup with this name.")
    return kept_backup


def open_file(actor: Actor, name: str) -> BinaryIO:
    """Open one of this machine's backups for a download, and record that. Raises `NotFound`."""
    with writing() as current:
        require(current, actor, DOWNLOAD)
        backup = find(name)
        try:
            # Open only a listed name, and no link that replaced the file since.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.fdopen(os.open(folder() / backup.name, flags), "rb")
        except OSError:
            raise NotFound("This machine has no backup with this name.") from None
        changes = audit.added({"size": backup.size})
        target = (NAME, "file", backup.name)
        audit.record(current, actor, "backup.downloaded", target=target, changes=changes)
        return file
