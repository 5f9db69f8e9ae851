"""Turn facts into findings, each a problem with its fix. Pure."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from portal.database.trouble import Kind, Trouble
from portal.lib.durations import in_words, size_in_words
from portal.queue.connection import RedisFault
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import FORGOTTEN_AFTER, ProcessStatus, worker_of
from portal.services.core.time_zones import moment_words
from portal.services.mail.mailer import FAILED_AT, REMEDIES
from portal.services.operations.backups import SPARE
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
    """`DANGER` means that deliveries or alerts aren't sent, or that changes can't be saved."""

    WARNING = "warning"
    DANGER = "danger"


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem.

    `key` is its permanent name for machines. `todo` has the effect on people and their next step.
    `server` has the next step of the server's operator.
    """

    key: str
    level: Level
    title: str
    todo: str
    server: str = ""


SKEW_IS_LARGE: Final = 5.0  # seconds
CUT_IS_RECENT: Final = timedelta(minutes=1)
SAFE: Final = "Saved data is safe."
# kind → problem, effect, fix
TROUBLES: Final = {
    Kind.FULL: (
        "The portal can’t save changes because the database has no space left",
        f"{SAFE} The portal resumes automatically.",
        "Free up disk space.",
    ),
    Kind.READ_ONLY: (
        "The portal can’t save changes because the database is read-only",
        SAFE,
        "Check whether it’s a replica, a file without write access, or set to read-only "
        "(default_transaction_read_only).",
    ),
    Kind.LOCKED: (
        "The portal can’t save changes because another program locks the database",
        SAFE,
        "End the transaction or program that holds the lock.",
    ),
    Kind.CROWDED: (
        "The database is out of memory or connections",
        f"The portal can’t save some changes. {SAFE}",
        "Increase max_connections or end programs that use many connections.",
    ),
    Kind.DISK: (
        "The database’s disk is failing",
        "The portal can’t save some changes.",
        "Check the disk and the database’s log.",
    ),
    Kind.AWAY: (
        "The database is too slow to respond",
        f"Pages and deliveries wait for it. {SAFE}",
        "Check the database server’s load and the network path to it.",
    ),
}


def database_answers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a database that is away or has another version's tables."""
    database, command = facts.database, facts.settings.command
    if database is None and facts.trouble is None:
        yield Finding(
            "database_away",
            Level.DANGER,
            "The database isn’t responding.",
            f"The portal can’t save changes or send deliveries. {SAFE}",
            "Start the database and check DATABASE_URL. If it doesn’t start, check its log."
            f"{_error(facts.database_error)}",
        )
    elif database is not None and database.revision != database.head:
        yield _of_tables(database, command("db upgrade"))


def _error(words: str) -> str:
    return f" The error is “{words}”." if words else ""


def _of_tables(database: DatabaseFacts, upgrade: str) -> Finding:
    if database.revision is None:
        return Finding(
            "database_empty",
            Level.DANGER,
            f"The database {database.address} isn’t set up yet.",
            "The portal can’t save anything until then.",
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
            "A newer portal upgraded the database.",
            f"This version can’t use it. {SAFE}",
            f"The database’s version is {database.revision}. Start the newer version or restore "
            "the backup from before the upgrade.",
        )
    return Finding(
        "database_older",
        Level.DANGER,
        "The database needs an upgrade.",
        f"This version can’t use it yet. {SAFE}",
        f"The database’s version is {database.revision}, but this portal needs {database.head}. "
        f"Run {upgrade}, then restart the portal.",
    )


def database_takes_changes(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find why the database refuses changes of this process, or of others with heartbeats."""
    troubles = {facts.trouble.kind: (facts.trouble, "")} if facts.trouble else {}
    for process in facts.processes:
        if process.is_alive and process.trouble and process.trouble.kind not in troubles:
            troubles[process.trouble.kind] = (
                process.trouble,
                f" ({process.kind} on {process.host})",
            )
    for trouble, where in troubles.values():
        yield _of(trouble, where)


def _of(trouble: Trouble, where: str) -> Finding:
    title, todo, server = TROUBLES[trouble.kind]
    key = f"database_{trouble.kind.replace('-', '_')}"
    server = f"{server}{_error(trouble.reason)}"
    return Finding(key, Level.DANGER, f"{title}{where}.", todo, server)


def connections_hold(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find database connections that something on the network cut without notice."""
    for process in facts.processes:
        if process.kind == heartbeats.CUT and now - process.seen_at < CUT_IS_RECENT:
            yield Finding(
                "database_cut",
                Level.WARNING,
                f"{process.host} lost database connections without notice.",
                f"{SAFE} The portal reconnects automatically. This warning clears after 1 minute.",
                "Check the network path, such as a firewall that drops idle connections.",
            )


def nobody_blocks(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find transactions that block others from the same rows."""
    is_locked = facts.trouble is not None and facts.trouble.kind is Kind.LOCKED
    for blocker in facts.blockers:
        yield Finding(
            "database_blocked",
            Level.DANGER if is_locked else Level.WARNING,
            _since(blocker),
            "The portal can save changes after the program ends.",
            f"It’s {_who(blocker)}. {_how_to_end(blocker)}",
        )


def _who(blocker: Blocker) -> str:
    who = f"{blocker.who}, " if blocker.who else ""
    doing = f", “{blocker.doing}”" if blocker.doing else ""
    return f"{who}process {blocker.pid or 'of another container'}{doing}"


def _since(blocker: Blocker) -> str:
    if blocker.seconds is None:
        return "A program is writing to the database while all others wait."
    return f"A database transaction open for {in_words(blocker.seconds)} can block changes."


def _how_to_end(blocker: Blocker) -> str:
    if blocker.seconds is None:
        return "If the program doesn’t finish, end it."
    return f"If it’s not needed, run SELECT pg_terminate_backend({blocker.pid})."


def clocks_agree(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find clocks that differ from the database's, on all machines with heartbeats."""
    skews = {facts.here: facts.database.skew} if facts.database else {}
    for process in facts.processes:
        if process.is_alive and process.pid is not None:
            skews.setdefault(process.host, process.skew)
    for host, skew in skews.items():
        if abs(skew) > SKEW_IS_LARGE:
            order = "ahead of" if skew < 0 else "behind"
            yield Finding(
                "clocks_apart",
                Level.WARNING,
                f"{host}’s clock is {in_words(abs(skew))} {order} the database’s.",
                "Receivers might reject our signatures. Beyond 1 minute, we might sign users out. "
                "Beyond 5 minutes, that machine no longer removes old records.",
                "Set both clocks from a time server (NTP).",
            )


def keys_open(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find secrets that were encrypted with other keys than ours."""
    if facts.keys_error:
        yield Finding(
            "keys_differ",
            Level.DANGER,
            facts.keys_error,
            "We can’t read stored secrets until the right encryption keys are back.",
            "The encryption keys are in the portal’s environment or in keys.env in the instance "
            "folder. If they’re permanently lost, stop the portal and run "
            f"{facts.settings.command('forget-secrets')}.",
        )


NAMED: Final = 5


def sending_is_on(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find that a person paused all sending."""
    if facts.stop is None:
        return
    zone = facts.settings.timezone
    yield Finding(
        "sending_stopped",
        Level.WARNING,
        f"{facts.stop.by} paused all sending on {moment_words(facts.stop.since, zone, now)} "
        f"({zone.key}).",
        "Nothing is lost. We keep deliveries queued until an administrator resumes sending.",
        f"{facts.settings.command('sending on')} resumes sending, too.",
    )


def secrets_open(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find senders that can't decrypt secrets, and webhooks that are off for lack of keys."""
    if facts.keys_error:
        return
    if has_met_undecryptable(facts.processes, now):
        whose = f" of {_names(facts.undecryptable)}" if facts.undecryptable else ""
        yield Finding(
            "secrets_closed",
            Level.DANGER,
            f"A worker can’t decrypt secrets{whose}, so these deliveries stay queued.",
            "Nothing is lost. We’ll send them when the right encryption keys are back.",
            "Give every process the same ENCRYPTION_KEYS, including earlier keys, and restart it. "
            "If keys are permanently lost, stop the portal and run "
            f"{facts.settings.command('forget-secrets')}.",
        )
    if facts.lost:
        yield Finding(
            "secrets_lost",
            Level.WARNING,
            f"Webhooks are off because their encryption keys are lost: {_names(facts.lost)}.",
            "Edit each webhook, enter its secrets again, and turn it on.",
            "If you find the earlier keys, put them after the current one in ENCRYPTION_KEYS and "
            "restart. The secrets can be used again.",
        )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{name}”" for name in names[:NAMED])
    return f"{shown}, and {len(names) - NAMED} more" if len(names) > NAMED else shown


PROXY_IS_RECENT: Final = timedelta(days=1)


def is_redis_open(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a Redis that lets anyone who reaches it write."""
    parts = urlsplit(facts.settings.redis_url)
    if parts.scheme == "redis" and not parts.password:
        yield Finding(
            "redis_open",
            Level.WARNING,
            "Redis accepts commands without a password.",
            "Anyone who can reach it can run programs as the portal.",
            "Use a Unix socket or a password (requirepass). Add the password to REDIS_URL, too.",
        )


def is_plain_address(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a URL over which passwords travel unencrypted."""
    if (facts.settings.linked_url or "").startswith("http://"):
        yield Finding(
            "plain_address",
            Level.WARNING,
            "The portal uses http://, so others on the network can read passwords.",
            "An https:// URL protects passwords.",
            "Set up a reverse proxy with a certificate and set BASE_URL to its https:// URL.",
        )


def is_proxy_untrusted(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find a reverse proxy whose forwarded client addresses aren't trusted."""
    seen_at = facts.last_seen(heartbeats.PROXY)
    if facts.settings.trusted_proxies or seen_at is None or now - seen_at > PROXY_IS_RECENT:
        return
    yield Finding(
        "proxy_untrusted",
        Level.WARNING,
        "Requests come through a reverse proxy that the portal doesn’t trust.",
        "All users appear to have the proxy’s IP address. This warning clears 24 hours after the "
        "last such request.",
        "With a reverse proxy, set TRUSTED_PROXIES to the number of proxies. Have it send "
        "X-Forwarded-For and X-Forwarded-Proto. Without a reverse proxy, leave the setting at 0. "
        "In that case, a client forged these headers.",
    )


def is_local_trial(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a local trial that others can reach."""
    if facts.settings.local_trial and facts.settings.linked_url:
        opens = "Webhooks can reach programs on this machine. "
        yield Finding(
            "local_trial",
            Level.WARNING,
            "This is a local trial, but others can reach it.",
            f"{opens if facts.settings.opens_this_machine else ''}Don’t use a trial for real work.",
            "Set LOCAL_TRIAL to 0 and set your own keys.",
        )


LATE: Final = "Deliveries start up to a second late. Nothing is lost."
# fault → problem, fix. In the meantime, the workers poll for due deliveries.
REDIS: Final = {
    RedisFault.AWAY: ("Redis isn’t responding.", "Start Redis (or Valkey) and check REDIS_URL."),
    RedisFault.REFUSED: (
        "Redis rejects the portal’s sign-in.",
        "Check the user and password in REDIS_URL.",
    ),
    RedisFault.READ_ONLY: (
        "Redis is read-only.",
        "Set REDIS_URL to the primary, not a replica.",
    ),
    RedisFault.FULL: (
        "Redis is out of memory.",
        "Increase maxmemory. Don’t share this Redis with other programs.",
    ),
}


def redis_wakes(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """Find a Redis that is away, refuses us, or can drop jobs."""
    redis, trouble = facts.redis, facts.redis_trouble
    if trouble is not None:
        title, server = REDIS[trouble.fault]
        yield Finding(
            f"redis_{trouble.fault.replace('-', '_')}",
            Level.WARNING,
            title,
            LATE,
            f"{server}{_error(trouble.reason)}",
        )
    elif redis is not None and redis.may_evict and redis.memory_limit:
        yield Finding(
            "redis_evicts",
            Level.WARNING,
            "Redis can drop jobs when it runs out of memory.",
            "Deliveries stay in the database and aren’t lost.",
            "Set maxmemory-policy to noeviction.",
        )


RESUMES: Final = "We’ll keep trying and resume sending automatically."
WHERE_TO_LOOK: Final = "Check its DNS servers, firewall, routes, and open-file limit."


def senders_connect(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find machines that can't connect to receivers for reasons of their own."""
    if facts.reaches_none:
        yield Finding("sender_offline", Level.DANGER, NO_RECEIVER, RESUMES, WHERE_TO_LOOK)
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
            f"{moment_words(since, zone, now)} ({zone.key}).",
            f"Nothing is lost. {RESUMES}",
            WHERE_TO_LOOK,
        )


def alerts_are_looked_for(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find alerts that are late, or wait for an administrator's first decision."""
    status = facts.alerts
    if status is not None and status.is_late and not facts.trouble:
        late = in_words((now - status.last_due_at).total_seconds())
        yield Finding(
            "alerts_late",
            Level.DANGER,
            f"Alerts are late. The daily check was due {late} ago and hasn’t finished.",
            "The next check will catch up.",
            f"Start {facts.settings.command('scheduler')} and "
            f"{facts.settings.command('worker background')} or check their logs.",
        )
    if status is not None and status.needs_first_answer:
        yield Finding(
            "alerts_wait",
            Level.WARNING,
            "We aren’t sending alerts yet. An administrator needs to decide about those already "
            "due.",
            "Go to Alerts → Alert settings and choose whether to send those alerts.",
        )


# Seconds. Each delivery worker checks every two.
MAINTENANCE_IS_LATE: Final = 30.0
DUE_IS_LATE: Final = 60.0
DISK_IS_SHORT: Final = 1024**3  # bytes
DISK_IS_FULL: Final = SPARE
# Kinds with heartbeats. The other rows of a dispatcher or its maintenance end without notice.
BEATING: Final = (
    heartbeats.WEB,
    worker_of(DELIVERIES),
    worker_of(BACKGROUND),
    heartbeats.SCHEDULER,
)


def find(facts: Facts, now: datetime) -> list[Finding]:
    """Return all findings, worst first. `now` is `facts.at`, by the clock of every heartbeat.

    Consequences of another finding are left out.
    """
    findings = [finding for rule in RULES for finding in rule(facts, now)]
    return sorted(findings, key=lambda finding: finding.level is not Level.DANGER)


def _failed_jobs(facts: Facts, _now: datetime) -> Iterator[Finding]:
    failed = sum(facts.redis.failed.values()) if facts.redis and not facts.trouble else 0
    if failed:
        yield Finding(
            "jobs_failed",
            Level.WARNING,
            f"{failed} worker {'job' if failed == 1 else 'jobs'} failed in the last day.",
            "We retry the work automatically.",
            "Look for “error” in the workers’ logs.",
        )


def _workers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if not is_readable(facts):
        return
    command = facts.settings.command
    if not processes_of(facts, worker_of(DELIVERIES), heartbeats.DISPATCHER):
        yield Finding(
            "no_sender",
            Level.DANGER,
            "We can’t send deliveries because no delivery worker is running.",
            "Nothing is lost. We’ll send them when a worker is running.",
            f"Start {command('worker deliveries')} or check its log.",
        )
    if not processes_of(facts, worker_of(BACKGROUND)):
        yield Finding(
            "no_background",
            Level.WARNING,
            "No background worker is running.",
            "Alerts, emails, imports, and other long work wait for it.",
            f"Start {command('worker background')} or check its log.",
        )
    if not processes_of(facts, heartbeats.SCHEDULER):
        yield Finding(
            "no_scheduler",
            Level.WARNING,
            "The scheduler isn’t responding.",
            "Scheduled jobs start a few minutes late. Deliveries aren’t affected.",
            f"Start {command('scheduler')} or check its log.",
        )


def _silent(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find processes that stopped reporting.

    A process that ended normally has no row, and one that was restarted has a new one.
    """
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
                "This warning clears after 1 hour.",
                "Check its log. If the process is still running, end it so that it restarts.",
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
            "Deliveries can be late. Nothing is lost.",
            "Restart the workers and check their logs.",
        )


def _late(facts: Facts, now: datetime) -> Iterator[Finding]:
    oldest = facts.backlog.oldest_due_at if facts.backlog and not facts.trouble else None
    if oldest is not None and (late := (now - oldest).total_seconds()) > DUE_IS_LATE:
        yield Finding(
            "late",
            Level.WARNING,
            f"Deliveries are waiting longer than usual. The oldest has waited {in_words(late)}.",
            "Nothing is lost.",
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
                "When it’s full, the portal can’t save changes.",
                "Free up space or keep deliveries for fewer days (RETENTION_DAYS).",
            )


BACKUP_IS_OLD: Final = timedelta(days=8)


def _backup(facts: Facts, now: datetime) -> Iterator[Finding]:
    """Find a portal without a recent backup, unless nightly backups are off."""
    if facts.backup is None or not facts.settings.backup_keep:
        return
    last_at, since = facts.backup.last_at, facts.backup.since
    age = now - (last_at or since or now)
    if age > BACKUP_IS_OLD:
        yield Finding(
            "backup_old",
            Level.WARNING,
            f"The last backup is {age.days} days old." if last_at else "There’s no backup yet.",
            "Go to Settings → Backups and select Back up now.",
            f"Run {facts.settings.command('backup FILE')}. If you back up in another way, set "
            "BACKUP_KEEP to 0.",
        )


def _mail(facts: Facts, _now: datetime) -> Iterator[Finding]:
    mail = facts.mail
    if mail is not None:
        many = "1 email wasn’t sent" if mail.count == 1 else f"{mail.count:,} emails weren’t sent"
        yield Finding(
            "mail",
            Level.WARNING,
            f"{many}. {FAILED_AT[mail.step]}: “{mail.words}”.",
            "We stopped after 5 attempts. When a test email is sent, we’ll retry them."
            if mail.has_given_up
            else "We’ll retry automatically.",
            REMEDIES[mail.step],
        )


def _tokens(facts: Facts, now: datetime) -> Iterator[Finding]:
    for name, ends_at in facts.ending_tokens:
        day = moment_words(ends_at, facts.settings.timezone, now)
        is_over = ends_at <= now
        yield Finding(
            "token_ends",
            Level.WARNING,
            f"The API token of {name} {'ended' if is_over else 'ends'} {day}.",
            "The program gets errors until you change the end under Settings → API."
            if is_over
            else "After that, the program can’t use the API. Change the end under Settings → API.",
        )


def _erasures(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if facts.stuck_erasures:
        yield Finding(
            "erasure",
            Level.WARNING,
            f"An erasure hasn’t finished ({', '.join(facts.stuck_erasures)}).",
            "Parts of the history can still contain the name. Open the person’s page under Users "
            "or Staff, then select Continue.",
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
    _backup,
    _mail,
    _tokens,
    _erasures,
    _failed_jobs,
    is_redis_open,
    is_plain_address,
    is_proxy_untrusted,
    is_local_trial,
)


def is_readable(facts: Facts) -> bool:
    """Return whether the database responds and has this version's tables."""
    return facts.database is not None and facts.database.revision == facts.database.head


def processes_of(facts: Facts, *kinds: str) -> list[ProcessStatus]:
    """Return the processes of these kinds that are alive, each once."""
    alive = (process for process in facts.processes if process.is_alive and process.kind in kinds)
    return list({(process.host, process.pid): process for process in alive}.values())


def last_maintenance(facts: Facts) -> datetime | None:
    """Return the time of the last check for due deliveries."""
    return facts.last_seen(heartbeats.MAINTENANCE)
