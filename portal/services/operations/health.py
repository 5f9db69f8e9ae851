"""Read the state of the portal, for System."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from socket import gethostname
from typing import Any, Final

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, ScalarSelect, literal, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session, aliased

from portal.config.settings import ROOT, Settings
from portal.database.engine import brief_engine, database_now, shown
from portal.database.trouble import Kind, Trouble, observed, of_error, words_of
from portal.extensions import settings
from portal.lib.clock import ahead, common_now, utcnow
from portal.lib.redaction import Redactor
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, has_no_live_lease, is_open
from portal.models.operations import SendingSwitch
from portal.models.webhooks import Webhook
from portal.queue.connection import RedisState, RedisTrouble, read_state
from portal.queue.schedule import ensure_schedule
from portal.services.alerts.queries import RunStatus, run_status
from portal.services.core import heartbeats, vault
from portal.services.core.erasures import label_of, stuck_erasures
from portal.services.core.heartbeats import ProcessStatus, processes, processes_on
from portal.services.core.queries import capped
from portal.services.core.unit_of_work import database_time, session
from portal.services.mail.mails import Trouble as MailTrouble
from portal.services.mail.mails import find_trouble as find_mail_trouble
from portal.services.operations import backups
from portal.services.operations.backups import BackupState
from portal.services.operations.readiness import (
    HealthSnapshot,
    Readiness,
    Ready,
    examine,
    readiness,
)
from portal.services.outbox.claimable import Claimable, SendingStop, find_due, find_stop, heads
from portal.services.outbox.connectivity import find_offline
from portal.services.people import tokens
from portal.services.webhooks.keys import lost_names, undecryptable_names

OPEN_TOO_LONG: Final = 10.0  # seconds
MOST: Final = 5
LONGEST_QUERY: Final = 120
# Transactions that only read are left out, because they block no one.
OPEN_TRANSACTIONS: Final = text("""
SELECT a.pid, a.usename, a.application_name, host(a.client_addr) AS client, a.query,
    extract(epoch FROM statement_timestamp() - a.xact_start)::float AS seconds
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend'
    AND a.pid <> pg_backend_pid()
    AND a.xact_start < statement_timestamp() - make_interval(secs => :seconds)
    AND (a.backend_xid IS NOT NULL OR EXISTS (
        SELECT 1 FROM pg_locks l WHERE l.pid = a.pid AND l.granted AND l.locktype = 'relation'
        AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
    ))
ORDER BY a.xact_start LIMIT :most
""")
# The writer locks this byte of the -shm file (https://sqlite.org/walformat.html#wal_locks).
WRITER: Final = 120
LOCKS: Final = Path("/proc/locks")
redact: Final = Redactor()


@dataclass(frozen=True, slots=True)
class Blocker:
    """A transaction or process that blocks others.

    `pid` is at the server or on this machine, and 0 in another container. `seconds` is its age, or
    None if unknown. `doing` is its statement or its command.
    """

    pid: int
    who: str
    doing: str
    seconds: float | None = None


def open_transactions(connection: Connection) -> Sequence[Blocker]:
    """Return PostgreSQL's transactions with writes or locks, open for `OPEN_TOO_LONG`."""
    rows = connection.execute(OPEN_TRANSACTIONS, {"seconds": OPEN_TOO_LONG, "most": MOST})
    return [
        Blocker(
            pid=row.pid,
            who=", ".join(filter(None, (row.usename, row.application_name, row.client))),
            doing=redact(" ".join(str(row.query or "").split()))[:LONGEST_QUERY],
            seconds=row.seconds,
        )
        for row in rows
    ]


def writer_of(url: str) -> Sequence[Blocker]:
    """Return the process that writes to this SQLite database now.

    It doesn't open the database's files, because closing one would release this process's locks.
    """
    try:
        file = os.stat(f"{make_url(url).database}-shm")
        lines = LOCKS.read_text().splitlines()
    except OSError:
        return []
    place = f"{os.major(file.st_dev):02x}:{os.minor(file.st_dev):02x}:{file.st_ino}"
    for line in lines:  # as 1: POSIX  ADVISORY  WRITE 4711 08:01:5678 120 120
        words = line.replace("EOF", str(2**63)).split()
        if len(words) != 8 or (words[1], words[3], words[5]) != ("POSIX", "WRITE", place):
            continue
        if int(words[6]) <= WRITER <= int(words[7]):
            pid = max(0, int(words[4]))
            return [Blocker(pid, "", _command_of(pid))]
    return []


def _command_of(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return redact(command.replace(b"\0", b" ").decode(errors="replace").strip())[:LONGEST_QUERY]


# Priorities that wait for their turn if a webhook sends in order.
IN_TURN: Final = frozenset({Priority.NORMAL, Priority.BULK})


@dataclass(frozen=True, slots=True)
class Backlog:
    """Open deliveries. `waiting` and `retrying` are counts (`capped`).

    `oldest_due_at` is of deliveries that could be sent now, but that no process has claimed.
    """

    waiting: int
    retrying: int
    oldest_due_at: datetime | None


def read_backlog() -> Backlog:
    """Read the current backlog, but never all of its rows."""
    current = session()
    return Backlog(
        waiting=_stored(current, DeliveryStatus.QUEUED),
        retrying=_stored(current, DeliveryStatus.RETRYING),
        oldest_due_at=_oldest_due(current, database_time(current)),
    )


def _stored(current: Session, status: DeliveryStatus) -> int:
    return capped(current, select(literal(1)).where(Delivery.status == status))


def _oldest_due(current: Session, now: datetime) -> datetime | None:
    """Return since when the oldest claimable delivery could have been sent.

    Probes the index for each claimable priority of each webhook with due deliveries. Deliveries of
    other priorities can't be sent now, so their age doesn't count. If a webhook sends in order,
    only its first delivery counts. For a chat, time before `next_at` doesn't count.
    """
    by_webhook = {due.webhook_id: due for due in find_due(current.connection()).claimable}
    firsts = [_first_due(priority, now) for priority in Priority]
    rows = current.execute(
        select(Webhook.id, Webhook.in_order, *firsts).where(Webhook.id.in_(by_webhook))
    )
    moments: list[datetime] = []
    in_turn: list[Claimable] = []
    for webhook_id, in_order, *dues in rows:
        claimable = by_webhook[webhook_id]
        priorities = {*claimable.priorities, *((Priority.TEST,) if claimable.test_places else ())}
        if in_order and Priority.NORMAL in priorities:
            in_turn.append(claimable)
        priorities = priorities - IN_TURN if in_order else priorities
        # None if a process has claimed it since the poll.
        pairs = zip(Priority, dues, strict=True)
        moments += [
            max(due, claimable.next_at or due)
            for priority, due in pairs
            if due and priority in priorities
        ]
    return min([*moments, *_turns(current, in_turn)], default=None)


def _turns(current: Session, webhooks: Sequence[Claimable]) -> list[datetime]:
    """Return since when the first delivery of each of these in-order webhooks could be sent.

    By then, it was due, the one before it had ended, and its chat accepted it.
    """
    if not webhooks:
        return []
    before = aliased(Delivery)
    ended = (
        select(before.finished_at)
        .where(
            before.webhook_id == Delivery.webhook_id,
            before.id < Delivery.id,
            before.priority != Priority.TEST,
        )
        .order_by(before.id.desc())
        .limit(1)
        .correlate(Delivery)
        .scalar_subquery()
    )
    since = {webhook.webhook_id: webhook.next_at for webhook in webhooks}
    first = [head for head in heads(current, since).values() if head is not None]
    columns = (Delivery.webhook_id, Delivery.due_at, ended)
    rows = current.execute(select(*columns).where(Delivery.id.in_(first)))
    return [max(due, ended_at or due, since[id_] or due) for id_, due, ended_at in rows]


def _first_due(priority: Priority, now: datetime) -> ScalarSelect[datetime]:
    return (
        select(Delivery.due_at)
        .where(
            Delivery.webhook_id == Webhook.id,
            is_open(),
            Delivery.priority == priority,
            has_no_live_lease(now),
        )
        .order_by(Delivery.due_at)
        .limit(1)
        .correlate(Webhook)
        .scalar_subquery()
    )


UNDECRYPTABLE_IS_RECENT: Final = timedelta(minutes=3)  # a sender retries once a minute
PRODUCTS: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True, slots=True, kw_only=True)
class DatabaseFacts:
    """Facts about the database. `size` is in bytes.

    `skew` is the seconds by which its clock is ahead of ours. `is_newer` means that a later version
    of the portal changed its tables.
    """

    product: str
    version: str
    address: str
    size: int
    revision: str | None
    head: str | None
    skew: float
    is_newer: bool = False


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk under a folder that we write to, in bytes."""

    path: str
    free: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All facts at one moment. A part that doesn't respond is None.

    `at` is that moment by the database's clock, which every heartbeat uses. If the database doesn't
    respond, `at` is by our clock, and `database_error` has the reason. `trouble` is why it refuses
    this process's changes. `here` is this machine. `blockers` can block Saves. `keys_error` is why
    the keys don't match the stored secrets. `stop` is a person's pause of all sending. `lost` names
    webhooks that are off because their secrets couldn't be decrypted. `undecryptable` names
    webhooks whose secrets can't be decrypted, if a sender met one lately. `reaches_none` means that
    no sender can connect to any receiver.
    """

    settings: Settings
    database: DatabaseFacts | None
    redis: RedisState | None
    redis_trouble: RedisTrouble | None = None
    database_error: str = ""
    trouble: Trouble | None = None
    blockers: Sequence[Blocker] = ()
    keys_error: str = ""
    processes: Sequence[ProcessStatus] = ()
    stop: SendingStop | None = None
    reaches_none: bool = False
    lost: Sequence[str] = ()
    undecryptable: Sequence[str] = ()
    backlog: Backlog | None = None
    alerts: RunStatus | None = None
    stuck_erasures: Sequence[str] = ()
    mail: MailTrouble | None = None
    ending_tokens: Sequence[tuple[str, datetime]] = ()
    backup: BackupState | None = None
    disks: Sequence[Disk] = ()
    at: datetime = field(default_factory=utcnow)
    here: str = field(default_factory=gethostname)

    def last_seen(self, kind: str) -> datetime | None:
        """Return when a process of this kind last reported, or did this periodic task."""
        return next((process.seen_at for process in self.processes if process.kind == kind), None)


def read_facts(*, examines: bool = False) -> Facts:
    """Read all facts now. Never raises because a part is down.

    `examines` also tests a Save, for a process that has no heartbeats of its own.
    """
    config = settings()
    redis = read_state(config.redis_url)
    rest: dict[str, Any] = {
        "settings": config,
        "here": config.machine,
        "redis": redis if isinstance(redis, RedisState) else None,
        "redis_trouble": redis if isinstance(redis, RedisTrouble) else None,
        "disks": read_disks(config),
    }
    try:
        database = _database(session(), config)
        rest |= {"trouble": _trouble(config) if examines else observed.trouble}
        rest |= {"blockers": _blockers(session(), config, rest["trouble"])}
        if database.revision != database.head:  # the tables to read might not exist
            return Facts(database=database, **rest)
        now = common_now()
        signs = processes()
        return Facts(
            database=database,
            processes=signs,
            lost=lost_names(),
            undecryptable=undecryptable_names() if has_met_undecryptable(signs, now) else (),
            stop=find_stop(),
            reaches_none=any(offline.is_all for offline in find_offline()),
            backlog=read_backlog(),
            alerts=run_status(now),
            mail=find_mail_trouble(),
            ending_tokens=tokens.ending(now),
            backup=backups.state(),
            stuck_erasures=[label_of(row) for row in stuck_erasures(session())],
            keys_error=vault.why_undecryptable() or "",
            at=now,
            **rest,
        )
    except DBAPIError as error:
        session().rollback()
        rest["trouble"] = of_error(error.orig) or rest.get("trouble")
        return Facts(database=None, database_error=words_of(error.orig), **rest)


def has_met_undecryptable(signs: Sequence[ProcessStatus], now: datetime) -> bool:
    """Return whether a sender lately met a secret that it couldn't decrypt."""
    met = (process.seen_at for process in signs if process.kind == heartbeats.UNDECRYPTABLE_SECRET)
    return any(now - at < UNDECRYPTABLE_IS_RECENT for at in met)


def _trouble(found: Settings) -> Trouble | None:
    engine = brief_engine(found.database_url, found.database_options)
    try:
        if trouble := examine(engine):
            observed.trouble = trouble
        return trouble
    finally:
        engine.dispose()


def _blockers(current: Session, found: Settings, trouble: Trouble | None) -> Sequence[Blocker]:
    """Return the blockers. On SQLite, this is the current writer, if the database is locked."""
    if current.connection().dialect.name == "postgresql":
        return open_transactions(current.connection())
    is_locked = trouble is not None and trouble.kind is Kind.LOCKED
    return writer_of(found.database_url) if is_locked else ()


BEFORE_THE_RELEASE: Final = (
    "This database is older than the first release. Use the portal version that "
    "created this database to export its assets as CSV. Then import that file into a new database."
)


def is_before_the_release(revision: str | None) -> bool:
    """Return whether the tables are older than the first migration of today."""
    return revision is not None and revision < "0100"


def newest_revision() -> str | None:
    """Return the migration that this version of the portal needs."""
    return _known_revisions()[0]


def current_revision() -> str | None:
    """Read the migration of the tables, or None without tables."""
    return _revision(session())


def is_from_the_future(revision: str | None) -> bool:
    """Return whether a later version changed the tables, so that this one can't use them."""
    known = (None, *_known_revisions())
    return revision not in known and not is_before_the_release(revision)


@lru_cache(maxsize=1)
def _known_revisions() -> tuple[str, ...]:
    """Return all migrations of this version, newest first."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    return tuple(script.revision for script in ScriptDirectory.from_config(config).walk_revisions())


def read_disks(found: Settings) -> list[Disk]:
    """Return the disk of the instance folder, and of SQLite's file if that is another one."""
    folders = [found.instance_dir]
    url = make_url(found.database_url)
    if url.get_backend_name() == "sqlite" and url.database:
        folders.append(Path(url.database).resolve().parent)
    by_device = {os.stat(folder).st_dev: folder for folder in reversed(folders) if folder.is_dir()}
    return [_disk(folder) for folder in by_device.values()]


def _disk(folder: Path) -> Disk:
    usage = shutil.disk_usage(folder)
    return Disk(str(folder), usage.free, usage.total)


def _database(current: Session, found: Settings) -> DatabaseFacts:
    url = make_url(found.database_url)
    kind = url.get_backend_name()
    database_now(current.connection())
    version, size = (_sqlite if kind == "sqlite" else _postgresql)(current)
    revision = _revision(current)
    return DatabaseFacts(
        product=PRODUCTS[kind],
        version=version,
        address=shown(url),
        size=size,
        revision=revision,
        head=newest_revision(),
        skew=ahead().total_seconds(),
        is_newer=is_from_the_future(revision),
    )


def _sqlite(current: Session) -> tuple[str, int]:
    pages, page_size = (
        current.execute(text(f"PRAGMA {name}")).scalar_one() for name in ("page_count", "page_size")
    )
    version = current.execute(text("SELECT sqlite_version()")).scalar_one()
    return str(version), int(pages) * int(page_size)


def _postgresql(current: Session) -> tuple[str, int]:
    version, size = current.execute(
        text("SELECT current_setting('server_version'), pg_database_size(current_database())")
    ).one()
    return str(version).split()[0], int(size)


def _revision(current: Session) -> str | None:
    return MigrationContext.configure(current.connection()).get_current_revision()


def read_ready() -> Ready:
    """Return the readiness from memory. Never raises.

    A process without heartbeats (`flask run`, a command) reads it now instead.
    """
    return readiness.read() if readiness.has_heartbeats else _read_once()


def read_snapshot(engine: Engine) -> HealthSnapshot:
    """Read tables, heartbeats, and Redis, and repair the schedule in Redis."""
    redis = read_state(settings().redis_url)
    if isinstance(redis, RedisState):
        ensure_schedule()
    why_not = None if isinstance(redis, RedisState) else redis.reason
    try:
        with engine.connect() as connection:
            revision = MigrationContext.configure(connection).get_current_revision()
            if revision != newest_revision():
                return HealthSnapshot(False, redis=why_not)
            processes = processes_on(connection, database_now(connection))
            stopped_at = connection.execute(select(SendingSwitch.stopped_at)).scalar()
    except SQLAlchemyError:
        return HealthSnapshot(redis=why_not)
    return HealthSnapshot(True, processes, why_not, stopped_at)


def _read_once() -> Ready:
    current = Readiness()
    engine = brief_engine(settings().database_url, settings().database_options)
    try:
        trouble = examine(engine)
        current.begin()
        for _ in range(2 if trouble else 1):  # there is no second check, and one miss isn't enough
            current.note(trouble)
        current.snapshot = read_snapshot(engine)
        return current.read()
    finally:
        engine.dispose()
