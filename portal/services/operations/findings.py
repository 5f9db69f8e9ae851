"""What the facts mean: each finding says what is wrong and what to do. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from portal.lib.durations import in_words
from portal.lib.sizes import size_in_words
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import Life, worker_of
from portal.services.operations.alert_findings import alerts_are_looked_for
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts
from portal.services.operations.setting_findings import (
    is_local_trial,
    is_plain_address,
    is_proxy_untrusted,
    is_redis_open,
)

# Seconds. Without a scheduler the workers look every half minute, at worst at every second one.
SWEEP_IS_LATE: Final = 90.0
DUE_IS_LATE: Final = 60.0
SKEW_IS_LARGE: Final = 5.0
MAIL_IS_TRIED_AGAIN: Final = 180.0
DISK_IS_SHORT: Final = 1024**3  # bytes
DISK_IS_FULL: Final = 200 * 1024**2


def find(facts: Facts, now: datetime) -> list[Finding]:
    """Everything that wants a look, the worst first. `now`: `facts.at`, as every sign of life.

    What follows from another finding is not said again.
    """
    found = [each for rule in RULES for each in rule(facts, now)]
    return sorted(found, key=lambda each: each.level is not Level.DANGER)


def _database(facts: Facts, _now: datetime) -> Iterator[Finding]:
    database = facts.database
    if database is None:
        yield Finding(
            Level.DANGER,
            "The database does not answer.",
            "Start the database, and check DATABASE_URL. Nothing that was saved is lost.",
        )
    elif database.revision is None:
        yield Finding(
            Level.DANGER,
            f"There is no portal in the database {database.address} yet.",
            "Check INSTANCE_DIR and DATABASE_URL. For a new portal, run “flask db upgrade”.",
        )
    elif database.is_newer:
        yield Finding(
            Level.DANGER,
            f"The database is at {database.revision}: a newer version of the portal changed it.",
            "Start the newer version, or restore the backup that was made before it.",
        )
    elif database.revision != database.head:
        yield Finding(
            Level.DANGER,
            f"The database is at {database.revision}, and this version of the portal needs "
            f"{database.head}.",
            "Run “flask db upgrade”, then restart the portal.",
        )
    elif abs(database.skew) > SKEW_IS_LARGE:
        yield Finding(
            Level.WARNING,
            f"The clocks of this machine and of the database differ by "
            f"{in_words(abs(database.skew))}.",
            "Let both take their time from a time server (NTP). Receivers may refuse signatures "
            "whose time is off.",
        )


def _redis(facts: Facts, _now: datetime) -> Iterator[Finding]:
    redis = facts.redis
    if redis is None:
        yield Finding(
            Level.DANGER,
            "Redis does not answer: nothing is sent until it does. Deliveries are kept.",
            "Start Redis (or Valkey), and check REDIS_URL.",
        )
    elif redis.may_evict and redis.memory_limit:
        yield Finding(
            Level.WARNING,
            "Redis may throw jobs away when its memory is full.",
            "Set maxmemory-policy to noeviction.",
        )


def _failed_jobs(facts: Facts, _now: datetime) -> Iterator[Finding]:
    failed = sum(facts.redis.failed.values()) if facts.redis else 0
    if failed:
        yield Finding(
            Level.WARNING,
            f"{failed} {'job' if failed == 1 else 'jobs'} of the workers ended with an error in "
            "the last day.",
            "Look for “error” in the log of the workers. What was to be done is retried "
            "automatically.",
        )


def _workers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if not can_tell(facts):
        return
    if not lives_of(facts, worker_of(DELIVERIES), heartbeats.PUMP):
        yield Finding(
            Level.DANGER,
            "No process is sending deliveries.",
            "Start “flask worker deliveries”, or look in its log for why it ended.",
        )
    if not lives_of(facts, worker_of(BACKGROUND)):
        yield Finding(
            Level.WARNING,
            "No process does the background work.",
            "Start “flask worker background”, or look in its log for why it ended.",
        )
    if not lives_of(facts, heartbeats.SCHEDULER):
        yield Finding(
            Level.WARNING,
            "The scheduler is not responding. The workers check for due deliveries meanwhile, "
            "a little later; what runs at a set time of day does not run.",
            "Start “flask scheduler”, or look in its log for why it ended.",
        )


def _sweep(facts: Facts, now: datetime) -> Iterator[Finding]:
    if not can_tell(facts) or not lives_of(facts, worker_of(DELIVERIES), heartbeats.PUMP):
        return
    swept_at = last_sweep(facts)
    age = None if swept_at is None else (now - swept_at).total_seconds()
    if age is None or age > max(SWEEP_IS_LATE, 3 * facts.settings.sweep_seconds):
        since = "" if age is None else f" The last time was {in_words(age)} ago."
        yield Finding(
            Level.DANGER,
            f"No process checks for due deliveries.{since}",
            "Restart the workers and the scheduler, and look in their logs.",
        )


def _late(facts: Facts, now: datetime) -> Iterator[Finding]:
    oldest = facts.backlog.oldest_due_at if facts.backlog else None
    if oldest is not None and (late := (now - oldest).total_seconds()) > DUE_IS_LATE:
        yield Finding(
            Level.WARNING,
            f"Deliveries wait longer than usual: the oldest for {in_words(late)}.",
            "If it does not get shorter, start another “flask worker deliveries”.",
        )


def _disks(facts: Facts, _now: datetime) -> Iterator[Finding]:
    for disk in facts.disks:
        if disk.free < DISK_IS_SHORT:
            yield Finding(
                Level.DANGER if disk.free < DISK_IS_FULL else Level.WARNING,
                f"The disk under {disk.path} has {size_in_words(disk.free)} left.",
                "Make room, or keep deliveries for fewer days (RETENTION_DAYS).",
            )


def _mail(facts: Facts, now: datetime) -> Iterator[Finding]:
    failed_at = facts.last_seen(heartbeats.MAIL_FAILED)
    if failed_at is not None and (now - failed_at).total_seconds() < MAIL_IS_TRIED_AGAIN:
        yield Finding(
            Level.WARNING,
            "Notices cannot be sent by e-mail: the mail server takes none.",
            "Check SMTP_URL, and look for “notice” in the log of “flask worker background”.",
        )


def _erasures(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if facts.stuck_erasures:
        yield Finding(
            Level.WARNING,
            f"An erasure has not finished: {', '.join(facts.stuck_erasures)}. Parts of the history "
            "may still say the name.",
            "Open the person's page under Users or Staff, then press Continue.",
        )


RULES: Final[tuple[Callable[[Facts, datetime], Iterator[Finding]], ...]] = (
    _database,
    _redis,
    _workers,
    _sweep,
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
    """Whether the database answers and has the tables of this version."""
    return facts.database is not None and facts.database.revision == facts.database.head


def can_tell(facts: Facts) -> bool:
    """Whether signs of life could be read; without Redis no worker lives long."""
    return is_readable(facts) and facts.redis is not None


def lives_of(facts: Facts, *kinds: str) -> list[Life]:
    """The processes of these kinds that are alive, each once."""
    alive = {(each.host, each.pid): each for each in facts.lives if is_alive_of(each, kinds)}
    return list(alive.values())


def is_alive_of(life: Life, kinds: tuple[str, ...]) -> bool:
    """Whether this is a living process of one of these kinds."""
    return life.kind in kinds and life.is_alive


def last_sweep(facts: Facts) -> datetime | None:
    """When somebody last looked for what is due."""
    return facts.last_seen(heartbeats.SWEEP)
