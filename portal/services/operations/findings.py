"""Judge the facts: each finding says what is wrong and what to do. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from portal.database.trouble import Kind, Trouble
from portal.lib.durations import in_words, size_in_words
from portal.queue.connection import RedisFault
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import FORGOTTEN_AFTER, ProcessStatus, worker_of
from portal.services.core.time_zones import moment_words
from portal.services.operations.health import (
    BEFORE_THE_RELEASE,
    Blocker,
    DatabaseFacts,
    Facts,
    has_met_undecryptable,
    is_before_the_release,
)
from portal.services.outbox.connectivity import NO_RECEIVER, hosts_in_words


class Level(StrEnum):
    """`DANGER`: deliveries do not go out, alerts do not fire, or changes cannot be saved."""

    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that wants a look. `key`: its name for machines; it never changes."""

    key: str
    level: Level
    title: str
    todo: str


SKEW_IS_LARGE: Final = 5.0  # seconds
CUT_IS_RECENT: Final = timedelta(minutes=1)
# kind → what is the matter, what to do
TROUBLES: Final = {
    Kind.FULL: (
        "The database has no space left, so the portal can’t save changes",
        "Free up disk space. Saved data is safe, and the portal resumes automatically.",
    ),
    Kind.READ_ONLY: (
        "The database is read-only",
        "Check whether it’s a replica, a file without write access, or set to read-only "
        "(default_transaction_read_only).",
    ),
    Kind.LOCKED: (
        "A database lock prevents the portal from saving changes",
        "End the transaction or program that holds the lock.",
    ),
    Kind.CROWDED: (
        "The database is out of memory or connections",
        "Increase max_connections, or end programs that use many connections.",
    ),
    Kind.DISK: (
        "The database’s disk is failing",
        "Check the disk and the database’s log.",
    ),
    Kind.AWAY: (
        "The database is too slow to respond",
        "Check the database server’s load and the network path to it.",
    ),
}


def database_answers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a database that is away, or has the tables of another version."""
    database, command = facts.database, facts.settings.command
    if database is None and facts.trouble is None:
        why = f" ({facts.database_error})" if facts.database_error else ""
        yield Finding(
            "database_away",
            Level.DANGER,
            f"The database isn’t responding{why}.",
            "Start the database and check DATABASE_URL. If it doesn’t start, check its log. "
            "Saved data is safe.",
        )
    elif database is not None and database.revision != database.head:
        yield _of_tables(database, command("db upgrade"))


def _of_tables(database: DatabaseFacts, upgrade: str) -> Finding:
    if database.revision is None:
        return Finding(
            "database_empty",
            Level.DANGER,
            f"The database {database.address} isn’t set up yet.",
            f"Check INSTANCE_DIR and DATABASE_URL. For a new portal, run {upgrade}.",
        )
    if is_before_the_release(database.revision):
        return Finding(
            "database_before_release",
            Level.DANGER,
            f"The portal can’t upgrade the database {database.address}.",
            BEFORE_THE_RELEASE,
        )
    if database.is_newer:
        return Finding(
            "database_newer",
            Level.DANGER,
            f"A newer portal upgraded the database to version {database.revision}.",
            "Start the newer version, or restore the backup from before the upgrade.",
        )
    return Finding(
        "database_older",
        Level.DANGER,
        f"The database’s version is {database.revision}, but this portal needs {database.head}.",
        f"Run {upgrade}, then restart the portal.",
    )


def database_takes_changes(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find what the database refuses this process, and others by their heartbeats."""
    found = {facts.trouble.kind: (facts.trouble, "")} if facts.trouble else {}
    for process in facts.processes:
        if process.is_alive and process.trouble and process.trouble.kind not in found:
            found[process.trouble.kind] = (process.trouble, f" ({process.kind} on {process.host})")
    for trouble, where in found.values():
        yield _of(trouble, where)


def _of(trouble: Trouble, where: str) -> Finding:
    what, todo = TROUBLES[trouble.kind]
    key = f"database_{trouble.kind.replace('-', '_')}"
    return Finding(key, Level.DANGER, f"{what} ({trouble.reason}){where}.", todo)


def connections_hold(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find connections that were cut without a word, by something between us and the database."""
    for process in facts.processes:
        if process.kind == heartbeats.CUT and now - process.seen_at < CUT_IS_RECENT:
            yield Finding(
                "database_cut",
                Level.WARNING,
                f"{process.host} lost database connections without notice.",
                "Check the network path, such as a firewall that drops idle connections. Saved "
                "data is safe. The portal reconnects automatically. This warning clears after 1 "
                "minute.",
            )


def nobody_blocks(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find transactions that hold up whoever wants the same rows."""
    is_locked = facts.trouble is not None and facts.trouble.kind is Kind.LOCKED
    for blocker in facts.blockers:
        doing = f", “{blocker.doing}”" if blocker.doing else ""
        who = f"{blocker.who}, " if blocker.who else ""
        yield Finding(
            "database_blocked",
            Level.DANGER if is_locked else Level.WARNING,
            f"{_since(blocker)}{who}process {blocker.pid or 'of another container'}{doing}.",
            _how_to_end(blocker),
        )


def _since(blocker: Blocker) -> str:
    if blocker.seconds is None:
        return "A program is writing to the database while all others wait: "
    return f"A database transaction open for {in_words(blocker.seconds)} can block changes: "


def _how_to_end(blocker: Blocker) -> str:
    if blocker.seconds is None:
        return "If the program doesn’t finish, end it."
    return f"If it’s not needed, run SELECT pg_terminate_backend({blocker.pid})."


def clocks_agree(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Compare the clocks of all machines that have signed with the database's."""
    found = {facts.here: facts.database.skew} if facts.database else {}
    for process in facts.processes:
        if process.is_alive and process.pid is not None:
            found.setdefault(process.host, process.skew)
    for host, skew in found.items():
        if abs(skew) > SKEW_IS_LARGE:
            order = "ahead of" if skew < 0 else "behind"
            yield Finding(
                "clocks_apart",
                Level.WARNING,
                f"{host}’s clock is {in_words(abs(skew))} {order} the database’s.",
                "Set both clocks from a time server (NTP). Receivers can reject signatures. "
                "Beyond 1 minute, users can be signed out. Beyond 5 minutes, that machine no "
                "longer removes old records.",
            )


def keys_open(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find that what is stored was sealed with other keys than ours."""
    if facts.keys_error:
        yield Finding(
            "keys_differ",
            Level.DANGER,
            facts.keys_error,
            "They’re in keys.env in the instance folder, or in the portal’s environment. "
            "If they’re permanently lost, stop the portal and run "
            f"{facts.settings.command('forget-secrets')}.",
        )


NAMED: Final = 5


def sending_is_on(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find that a person has stopped all sending: who, and since when."""
    if facts.stop is None:
        return
    zone = facts.settings.timezone
    yield Finding(
        "sending_stopped",
        Level.WARNING,
        f"{facts.stop.by} paused all sending on {moment_words(facts.stop.since, zone, now)} "
        f"({zone.key}).",
        "Nothing is lost. Deliveries are queued. To resume, select Resume sending on this page or "
        f"run {facts.settings.command('sending on')}.",
    )


def secrets_open(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find senders that cannot open secrets, and webhooks that are off for want of their keys."""
    if facts.keys_error:
        return
    if has_met_undecryptable(facts.processes, now):
        whose = f" of {_names(facts.undecryptable)}" if facts.undecryptable else ""
        yield Finding(
            "secrets_closed",
            Level.DANGER,
            f"A worker can’t decrypt secrets{whose}. These deliveries stay queued.",
            "Give every process the same ENCRYPTION_KEYS, including earlier keys, and restart it. "
            "If keys are permanently lost, stop the portal and run "
            f"{facts.settings.command('forget-secrets')}.",
        )
    if facts.lost:
        yield Finding(
            "secrets_lost",
            Level.WARNING,
            f"Webhooks are off because their encryption keys are lost: {_names(facts.lost)}.",
            "Edit each webhook and enter its secrets again. Or add the earlier keys after the "
            "current one in ENCRYPTION_KEYS and restart. Then turn the webhooks on.",
        )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown


PROXY_IS_RECENT: Final = timedelta(days=1)


def is_redis_open(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a Redis that anybody who reaches it may write to."""
    parts = urlsplit(facts.settings.redis_url)
    if parts.scheme == "redis" and not parts.password:
        yield Finding(
            "redis_open",
            Level.WARNING,
            "Redis accepts commands without a password. Anyone who can reach it can run programs "
            "as the portal.",
            "Set a password (requirepass) and put it in REDIS_URL, or use a Unix socket.",
        )


def is_plain_address(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find passwords that travel in the open."""
    parts = urlsplit(facts.settings.base_url)
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        yield Finding(
            "plain_address",
            Level.WARNING,
            "The portal uses http://, so others on the network can read passwords.",
            "Set up a reverse proxy with a certificate, and set BASE_URL to its https:// URL.",
        )


def is_proxy_untrusted(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find a proxy that passes people on, and is not asked who they are."""
    seen_at = facts.last_seen(heartbeats.PROXY)
    if facts.settings.trusted_proxies or seen_at is None or now - seen_at > PROXY_IS_RECENT:
        return
    yield Finding(
        "proxy_untrusted",
        Level.WARNING,
        "Requests come through a reverse proxy that the portal doesn’t trust. All users appear "
        "to have the proxy’s IP address.",
        "With a reverse proxy, set TRUSTED_PROXIES to the number of proxies. Have it send "
        "X-Forwarded-For and X-Forwarded-Proto. Without one, leave it at 0. A client forged "
        "these headers. This warning clears 24 hours after the last such request.",
    )


def is_local_trial(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a local trial that others can reach."""
    host = urlsplit(facts.settings.base_url).hostname or ""
    if facts.settings.local_trial and not _is_this_machine(host):
        opens = ", and webhooks can reach programs on this machine"
        yield Finding(
            "local_trial",
            Level.WARNING,
            "This is a local trial, but others can reach it"
            f"{opens if facts.settings.opens_this_machine else ''}.",
            "Set LOCAL_TRIAL to 0, and set your own keys.",
        )


def _is_this_machine(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


# fault → what is the matter, what to do. The workers look for what is due themselves meanwhile.
REDIS: Final = {
    RedisFault.AWAY: (
        "Redis isn’t responding, so deliveries start up to a second late",
        "Start Redis (or Valkey) and check REDIS_URL. Nothing is lost.",
    ),
    RedisFault.REFUSED: (
        "Redis rejects the portal’s sign-in",
        "Check the user and password in REDIS_URL.",
    ),
    RedisFault.READ_ONLY: (
        "Redis is read-only, so deliveries start up to a second late",
        "Set REDIS_URL to the primary, not a replica.",
    ),
    RedisFault.FULL: (
        "Redis is out of memory, so deliveries start up to a second late",
        "Increase maxmemory. Don’t share this Redis with other programs.",
    ),
}


def redis_wakes(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a Redis that is away, refuses us, or may throw jobs away."""
    redis, trouble = facts.redis, facts.redis_trouble
    if trouble is not None:
        what, todo = REDIS[trouble.fault]
        yield Finding(
            f"redis_{trouble.fault.replace('-', '_')}",
            Level.WARNING,
            f"{what}: {trouble.reason}.",
            todo,
        )
    elif redis is not None and redis.may_evict and redis.memory_limit:
        yield Finding(
            "redis_evicts",
            Level.WARNING,
            "Redis may evict jobs when it runs out of memory.",
            "Set maxmemory-policy to noeviction.",
        )


WHERE_TO_LOOK = (
    "Check its DNS servers, firewall, routes, and open-file limit. We keep trying and resume "
    "automatically."
)


def senders_connect(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find machines that cannot connect to receivers through no fault of theirs."""
    if facts.reaches_none:
        yield Finding("sender_offline", Level.DANGER, NO_RECEIVER, WHERE_TO_LOOK)
        return
    machines: dict[str, list[ProcessStatus]] = {}
    for process in facts.processes:
        if process.is_alive and process.offline_since:
            machines.setdefault(process.host, []).append(process)
    for machine, processes in machines.items():
        since = min(process.offline_since for process in processes if process.offline_since)
        hosts = sorted({host for process in processes for host in process.offline_hosts})
        zone = facts.settings.timezone
        yield Finding(
            "sender_offline",
            Level.WARNING,
            f"{machine} hasn’t been able to connect to {hosts_in_words(hosts)} since "
            f"{moment_words(since, zone, now)} ({zone.key}). Nothing is lost.",
            WHERE_TO_LOOK,
        )


def alerts_are_looked_for(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find alerts that are late, or wait for the first answer."""
    status = facts.alerts
    if status is not None and status.is_late and not facts.trouble:
        late = in_words((now - status.last_due_at).total_seconds())
        yield Finding(
            "alerts_late",
            Level.DANGER,
            f"Alerts are late. The daily check was due {late} ago and hasn’t finished.",
            f"Start {facts.settings.command('scheduler')} and "
            f"{facts.settings.command('worker background')}, or check their logs. The next check "
            "will catch up.",
        )
    if status is not None and status.needs_first_answer:
        yield Finding(
            "alerts_wait",
            Level.WARNING,
            "No alerts are sent yet. An administrator needs to decide about those already due.",
            "Go to Alerts → Alert settings and choose.",
        )


# Seconds. Each worker for deliveries looks every two.
MAINTENANCE_IS_LATE: Final = 30.0
DUE_IS_LATE: Final = 60.0
MAIL_IS_TRIED_AGAIN: Final = 180.0
DISK_IS_SHORT: Final = 1024**3  # bytes
DISK_IS_FULL: Final = 200 * 1024**2
# Those with heartbeats; what a dispatcher or its maintenance writes beside it ends without a word.
BEATING: Final = (
    heartbeats.WEB,
    worker_of(DELIVERIES),
    worker_of(BACKGROUND),
    heartbeats.SCHEDULER,
)


def find(facts: Facts, now: datetime) -> list[Finding]:
    """Return everything that wants a look, the worst first. `now`: `facts.at`, as every heartbeat.

    What follows from another finding is not said again.
    """
    found = [finding for rule in RULES for finding in rule(facts, now)]
    return sorted(found, key=lambda finding: finding.level is not Level.DANGER)


def _failed_jobs(facts: Facts, _now: datetime) -> Iterator[Finding]:
    failed = sum(facts.redis.failed.values()) if facts.redis and not facts.trouble else 0
    if failed:
        yield Finding(
            "jobs_failed",
            Level.WARNING,
            f"{failed} worker {'job' if failed == 1 else 'jobs'} ended with an error in the last "
            "day.",
            "Look for “error” in the workers’ logs. The work is retried automatically.",
        )


def _workers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if not is_readable(facts):
        return
    command = facts.settings.command
    if not processes_of(facts, worker_of(DELIVERIES), heartbeats.DISPATCHER):
        yield Finding(
            "no_sender",
            Level.DANGER,
            "No process is sending deliveries.",
            f"Start {command('worker deliveries')}, or check its log.",
        )
    if not processes_of(facts, worker_of(BACKGROUND)):
        yield Finding(
            "no_background",
            Level.WARNING,
            "No background worker is running.",
            f"Start {command('worker background')}, or check its log.",
        )
    if not processes_of(facts, heartbeats.SCHEDULER):
        yield Finding(
            "no_scheduler",
            Level.WARNING,
            "The scheduler isn’t responding. Scheduled jobs start a few minutes late. "
            "Deliveries aren’t affected.",
            f"Start {command('scheduler')}, or check its log.",
        )


def _silent(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find processes that fell silent: one that ended in peace has no row, and one that was started
    anew has another."""
    if not is_readable(facts):
        return
    for process in facts.processes:
        silence = now - process.seen_at
        is_missed = process.kind in BEATING and not process.is_alive
        if is_missed and silence <= FORGOTTEN_AFTER and not _is_replaced(process, facts):
            yield Finding(
                "process_silent",
                Level.WARNING,
                f"{process.kind.capitalize()} on {process.host} (process {process.pid}) hasn’t "
                f"reported for {in_words(silence.total_seconds())}.",
                "Check its log. If the process is still running, end it so that it restarts. "
                "This warning clears after 1 hour.",
            )


def _is_replaced(lost: ProcessStatus, facts: Facts) -> bool:
    return any(
        process.is_alive
        and (process.kind, process.host) == (lost.kind, lost.host)
        and process.started_at is not None
        and process.started_at > lost.seen_at
        for process in facts.processes
    )


def _maintenance(facts: Facts, now: datetime) -> Iterator[Finding]:
    senders = processes_of(facts, worker_of(DELIVERIES), heartbeats.DISPATCHER)
    if facts.trouble or not is_readable(facts) or not senders:
        return
    maintained_at = last_maintenance(facts)
    age = None if maintained_at is None else (now - maintained_at).total_seconds()
    if age is None or age > max(MAINTENANCE_IS_LATE, 3 * facts.settings.maintenance_seconds):
        since = "" if age is None else f" The last check was {in_words(age)} ago."
        yield Finding(
            "no_maintenance",
            Level.DANGER,
            f"No process checks for due deliveries.{since}",
            "Restart the workers and check their logs.",
        )


def _late(facts: Facts, now: datetime) -> Iterator[Finding]:
    oldest = facts.backlog.oldest_due_at if facts.backlog and not facts.trouble else None
    if oldest is not None and (late := (now - oldest).total_seconds()) > DUE_IS_LATE:
        yield Finding(
            "late",
            Level.WARNING,
            f"Deliveries are waiting longer than usual. The oldest has waited {in_words(late)}.",
            "If the wait keeps growing, start another "
            f"{facts.settings.command('worker deliveries')}.",
        )


def _disks(facts: Facts, _now: datetime) -> Iterator[Finding]:
    for disk in facts.disks:
        if disk.free < DISK_IS_SHORT:
            yield Finding(
                "disk",
                Level.DANGER if disk.free < DISK_IS_FULL else Level.WARNING,
                f"The disk at {disk.path} has {size_in_words(disk.free)} left.",
                "Free up space, or keep deliveries for fewer days (RETENTION_DAYS).",
            )


def _mail(facts: Facts, now: datetime) -> Iterator[Finding]:
    failed_at = facts.last_seen(heartbeats.MAIL_FAILED)
    if failed_at is not None and (now - failed_at).total_seconds() < MAIL_IS_TRIED_AGAIN:
        yield Finding(
            "mail",
            Level.WARNING,
            "The portal can’t send emails. The mail server doesn’t accept them.",
            "Check SMTP_URL and look for “notice” in the log of "
            f"{facts.settings.command('worker background')}.",
        )


def _erasures(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if facts.stuck_erasures:
        yield Finding(
            "erasure",
            Level.WARNING,
            f"An erasure hasn’t finished: {', '.join(facts.stuck_erasures)}. The history can "
            "still contain the name.",
            "Open the person’s page under Users or Staff, then select Continue.",
        )


RULES: Final[tuple[Callable[[Facts, datetime], Iterator[Finding]], ...]] = (
    database_answers,
    database_takes_changes,
    connections_hold,
    nobody_blocks,
    keys_open,
    secrets_open,
    clocks_agree,
    sending_is_on,
    redis_wakes,
    _workers,
    _silent,
    senders_connect,
    _maintenance,
    _late,
    alerts_are_looked_for,
    _disks,
    _mail,
    _erasures,
    _failed_jobs,
    is_redis_open,
    is_plain_address,
    is_proxy_untrusted,
    is_local_trial,
)


def is_readable(facts: Facts) -> bool:
    """Return whether the database answers and has the tables of this version."""
    return facts.database is not None and facts.database.revision == facts.database.head


def processes_of(facts: Facts, *kinds: str) -> list[ProcessStatus]:
    """Return the processes of these kinds that are alive, each once."""
    alive = (process for process in facts.processes if process.is_alive and process.kind in kinds)
    return list({(process.host, process.pid): process for process in alive}.values())


def last_maintenance(facts: Facts) -> datetime | None:
    """Return when somebody last looked for what is due."""
    return facts.last_seen(heartbeats.MAINTENANCE)
