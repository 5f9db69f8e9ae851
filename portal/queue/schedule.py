"""The table of rq-scheduler's entries, and its repair.

rq-scheduler keeps its entries in Redis. They can get lost (a flush, a restart without persistence)
or damaged (an unreadable one ends the scheduler at every run). So no one adds entries by hand.
Workers and health checks regularly call the idempotent `ensure_schedule()`.
"""

import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

from flask import current_app
from redis import Redis
from rq.exceptions import NoSuchJobError
from rq_scheduler import Scheduler

from portal.config.settings import Settings
from portal.queue.names import (
    ALERTS,
    BACKGROUND,
    BACKUP,
    DELIVERIES,
    EXPIRE_RESERVATIONS,
    MAINTAIN,
    MAINTENANCE_ID,
    NOTICES,
    PRUNE,
    TURN_ON,
)
from portal.queue.notifier import notifier
from portal.queue.portal_job import PortalJob

log = logging.getLogger(__name__)

ENTRIES: Final = Scheduler.scheduled_jobs_key
JOB_PREFIX: Final = PortalJob.redis_job_namespace_prefix.encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """A job that is queued every `interval` seconds."""

    id: str
    interval: int
    job: str
    queue: str


def table(settings: Settings) -> tuple[Entry, ...]:
    """Return all entries of this installation."""
    return (
        Entry(MAINTENANCE_ID, settings.maintenance_seconds, MAINTAIN, DELIVERIES),
        Entry("expire-reservations", 60, EXPIRE_RESERVATIONS, BACKGROUND),
        Entry("prune", 60 * 60, PRUNE, BACKGROUND),
        Entry("notices", 60, NOTICES, BACKGROUND),
        Entry("turn-on", 60, TURN_ON, BACKGROUND),
        # Checks each minute for the time of day, because we handle local times ourselves.
        Entry("alerts", 60, ALERTS, BACKGROUND),
        # Also checks whether the night's backup is due.
        Entry("backup", 10 * 60, BACKUP, BACKGROUND),
    )


def ensure_schedule() -> None:
    """Repair the current application's schedule if Redis responds. Never raises."""
    entries = table(current_app.extensions["settings"])
    repaired = notifier().ask(lambda redis: reconcile(redis, entries))
    # `reconcile` logs foreign entries itself, escaped.
    ours = [entry.id for entry in entries if entry.id in (repaired or ())]
    if ours:
        log.info("Repaired the schedule: %s.", ", ".join(ours))


def reconcile(redis: Redis, entries: Iterable[Entry]) -> list[str]:
    """Make the schedule in Redis equal to `entries`. Returns the IDs that it changed or removed.

    Safe to run concurrently because IDs are fixed and each step is idempotent.
    """
    ours = {entry.id.encode(): entry for entry in entries}
    # The client's types also cover decoding clients. Ours returns (bytes, float) pairs.
    pairs = cast("list[tuple[bytes, float]]", redis.zrange(ENTRIES, 0, -1, withscores=True))
    stored = dict(pairs)
    broken = [id_ for id_, entry in ours.items() if not _is_right(redis, entry, stored.get(id_))]
    strange = sorted(stored.keys() - ours.keys())
    if strange:
        words = ", ".join(repr(id_.decode(errors="replace")[:40]) for id_ in strange[:5])
        log.warning("Removed entries that are not this portal's from the schedule: %s.", words)
    for id_ in [*broken, *strange]:
        redis.zrem(ENTRIES, id_)
        redis.delete(JOB_PREFIX + id_)
    for id_ in broken:
        _add(redis, ours[id_])
    return [id_.decode(errors="replace") for id_ in [*broken, *strange]]


def _is_right(redis: Redis, entry: Entry, due: float | None) -> bool:
    # An entry too far in the future was written while the clock was wrong.
    if due is None or due > time.time() + 2 * entry.interval + 1:
        return False
    try:
        job = PortalJob.fetch(entry.id, connection=redis)
    except NoSuchJobError:
        return False
    return (
        (job.func_name, job.origin) == (entry.job, entry.queue)
        and job.meta.get("interval") == entry.interval
        # Any other result_ttl or a ttl deletes the entry after a run or an idle period.
        and (job.result_ttl, job.ttl) == (-1, None)
        and redis.ttl(job.key) == -1
    )


def _add(redis: Redis, entry: Entry) -> None:
    Scheduler(connection=redis, job_class=PortalJob).schedule(
        datetime.now(UTC),
        entry.job,
        interval=entry.interval,
        result_ttl=-1,
        id=entry.id,
        queue_name=entry.queue,
        timeout=60,
    )
