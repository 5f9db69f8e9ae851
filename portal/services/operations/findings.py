"""What the facts mean: each finding says what is wrong and what to do. Pure."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from portal.lib.durations import in_words
from portal.lib.sizes import size_in_words
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import FORGOTTEN_AFTER, Life, worker_of
from portal.services.operations.alert_findings import alerts_are_looked_for
from portal.services.operations.database.findings import (
    clocks_agree,
    connections_hold,
    database_answers,
    database_takes_changes,
    keys_open,
    nobody_blocks,
)
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts
from portal.services.operations.reach_findings import senders_reach
from portal.services.operations.redis_findings import redis_wakes
from portal.services.operations.sending.findings import secrets_open, sending_is_on
from portal.services.operations.setting_findings import (
    is_local_trial,
    is_plain_address,
    is_proxy_untrusted,
    is_redis_open,
)

# Seconds. Each worker for deliveries looks every two.
SWEEP_IS_LATE: Final = 30.0
DUE_IS_LATE: Final = 60.0
MAIL_IS_TRIED_AGAIN: Final = 180.0
DISK_IS_SHORT: Final = 1024**3  # bytes
DISK_IS_FULL: Final = 200 * 1024**2
# Those that beat; what a pump or a sweep writes beside it ends without a word.
BEATING: Final = (
    heartbeats.WEB,
    worker_of(DELIVERIES),
    worker_of(BACKGROUND),
    heartbeats.SCHEDULER,
)


def find(facts: Facts, now: datetime) -> list[Finding]:
    """Everything that wants a look, the worst first. `now`: `facts.at`, as every sign of life.

    What follows from another finding is not said again.
    """
    found = [each for rule in RULES for each in rule(facts, now)]
    return sorted(found, key=lambda each: each.level is not Level.DANGER)


def _failed_jobs(facts: Facts, _now: datetime) -> Iterator[Finding]:
    failed = sum(facts.redis.failed.values()) if facts.redis and not facts.trouble else 0
    if failed:
        yield Finding(
            "jobs_failed",
            Level.WARNING,
            f"{failed} {'job' if failed == 1 else 'jobs'} of the workers ended with an error in "
            "the last day.",
            "Look for “error” in the log of the workers. What was to be done is retried "
            "automatically.",
        )


def _workers(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if not is_readable(facts):
        return
    command = facts.settings.command
    if not lives_of(facts, worker_of(DELIVERIES), heartbeats.PUMP):
        yield Finding(
            "no_sender",
            Level.DANGER,
            "No process is sending deliveries.",
            f"Start {command('worker deliveries')}, or look in its log for why it ended.",
        )
    if not lives_of(facts, worker_of(BACKGROUND)):
        yield Finding(
            "no_background",
            Level.WARNING,
            "No process does the background work.",
            f"Start {command('worker background')}, or look in its log for why it ended.",
        )
    if not lives_of(facts, heartbeats.SCHEDULER):
        yield Finding(
            "no_scheduler",
            Level.WARNING,
            "The scheduler is not responding. The background worker starts what it should start, "
            "a few minutes late. Deliveries are not affected.",
            f"Start {command('scheduler')}, or look in its log for why it ended.",
        )


def _silent(facts: Facts, now: datetime) -> Iterator[Finding]:
    """One that said goodbye has no row, and one that was started anew has another."""
    if not is_readable(facts):
        return
    for each in facts.lives:
        silence = now - each.seen_at
        is_missed = each.kind in BEATING and not each.is_alive
        if is_missed and silence <= FORGOTTEN_AFTER and not _is_replaced(each, facts):
            yield Finding(
                "process_silent",
                Level.WARNING,
                f"{each.kind.capitalize()} on {each.host} (process {each.pid}) has been silent for "
                f"{in_words(silence.total_seconds())}, and did not say that it ends.",
                "Look in its log. If it still runs, it hangs: end it, and it is started again. "
                "This line goes an hour after its last sign.",
            )


def _is_replaced(lost: Life, facts: Facts) -> bool:
    return any(
        each.is_alive
        and (each.kind, each.host) == (lost.kind, lost.host)
        and each.started_at is not None
        and each.started_at > lost.seen_at
        for each in facts.lives
    )


def _sweep(facts: Facts, now: datetime) -> Iterator[Finding]:
    senders = lives_of(facts, worker_of(DELIVERIES), heartbeats.PUMP)
    if facts.trouble or not is_readable(facts) or not senders:
        return
    swept_at = last_sweep(facts)
    age = None if swept_at is None else (now - swept_at).total_seconds()
    if age is None or age > max(SWEEP_IS_LATE, 3 * facts.settings.sweep_seconds):
        since = "" if age is None else f" The last time was {in_words(age)} ago."
        yield Finding(
            "no_sweep",
            Level.DANGER,
            f"No process checks for due deliveries.{since}",
            "Restart the workers, and look in their logs.",
        )


def _late(facts: Facts, now: datetime) -> Iterator[Finding]:
    oldest = facts.backlog.oldest_due_at if facts.backlog and not facts.trouble else None
    if oldest is not None and (late := (now - oldest).total_seconds()) > DUE_IS_LATE:
        yield Finding(
            "late",
            Level.WARNING,
            f"Deliveries wait longer than usual: the oldest for {in_words(late)}.",
            "If it does not get shorter, start another "
            f"{facts.settings.command('worker deliveries')}.",
        )


def _disks(facts: Facts, _now: datetime) -> Iterator[Finding]:
    for disk in facts.disks:
        if disk.free < DISK_IS_SHORT:
            yield Finding(
                "disk",
                Level.DANGER if disk.free < DISK_IS_FULL else Level.WARNING,
                f"The disk under {disk.path} has {size_in_words(disk.free)} left.",
                "Make room, or keep deliveries for fewer days (RETENTION_DAYS).",
            )


def _mail(facts: Facts, now: datetime) -> Iterator[Finding]:
    failed_at = facts.last_seen(heartbeats.MAIL_FAILED)
    if failed_at is not None and (now - failed_at).total_seconds() < MAIL_IS_TRIED_AGAIN:
        yield Finding(
            "mail",
            Level.WARNING,
            "Notices cannot be sent by e-mail: the mail server takes none.",
            "Check SMTP_URL, and look for “notice” in the log of "
            f"{facts.settings.command('worker background')}.",
        )


def _erasures(facts: Facts, _now: datetime) -> Iterator[Finding]:
    if facts.stuck_erasures:
        yield Finding(
            "erasure",
            Level.WARNING,
            f"An erasure has not finished: {', '.join(facts.stuck_erasures)}. Parts of the history "
            "may still say the name.",
            "Open the person's page under Users or Staff, then press Continue.",
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
    senders_reach,
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
