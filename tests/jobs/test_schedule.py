"""The schedule repairs itself after any damage to its entries in Redis."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis
from rq_scheduler import Scheduler

from jobs import scheduler as scheduler_module
from jobs.scheduler import RepairingScheduler
from portal.config.settings import Settings, load_settings
from portal.queue.names import PRUNE
from portal.queue.notifier import Notifier
from portal.queue.portal_job import PortalJob
from portal.queue.schedule import ENTRIES, Entry, ensure_schedule, reconcile, table
from tests.conftest import ENVIRONMENT
from tests.support.servers import ValkeyServer
from tests.support.valkey import PrivateValkey

MAINTENANCE_KEY = "rq:job:maintenance"

REMOVED = "Removed entries that are not this portal's from the schedule"


@pytest.fixture
def redis(valkey: PrivateValkey) -> Redis:
    return valkey.client()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(ENVIRONMENT | {"MAINTENANCE_SECONDS": "2", "INSTANCE_DIR": str(tmp_path)})


@pytest.fixture
def entries(settings: Settings) -> tuple[Entry, ...]:
    """Return only the maintenance entry, for checks that hold for every entry."""
    return tuple(entry for entry in table(settings) if entry.id == "maintenance")


def test_a_scheduler_is_healthy_while_it_polls(
    valkey: PrivateValkey, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(scheduler_module, "monotonic", lambda: now)
    scheduler = RepairingScheduler(replace(settings, redis_url=valkey.url))
    seen = []
    for later, poller in ((29.9, False), (0.2, True), (29.9, False), (0.2, False)):
        now += later
        seen.append(scheduler.is_well())
        if poller:
            scheduler.enqueue_jobs()
    scheduler.connection.close()
    assert seen == [True, False, True, False]


def ids(redis: Redis) -> list[bytes]:
    return list(redis.zrange(ENTRIES, 0, -1))


def is_right(redis: Redis) -> bool:
    job = PortalJob.fetch("maintenance", connection=redis)
    return (
        ids(redis) == [b"maintenance"]
        and (job.func_name, job.origin, job.result_ttl, job.ttl, job.timeout)
        == ("jobs.periodic.maintain", "deliveries", -1, None, 60)
        and job.meta == {"interval": 2}
        and redis.ttl(MAINTENANCE_KEY) == -1
    )


DAMAGES: dict[str, Callable[[Redis], object]] = {
    "flushed": lambda redis: redis.flushall(),
    "job is gone": lambda redis: redis.delete(MAINTENANCE_KEY),
    "entry is gone": lambda redis: redis.zrem(ENTRIES, "maintenance"),
    "data cannot be read": lambda redis: redis.hset(MAINTENANCE_KEY, "data", b"\x00garbage"),
    "another job of ours": lambda redis: redis.hset(MAINTENANCE_KEY, "data", PRUNE.encode()),
    "data is a stranger's pickle": lambda redis: redis.hset(MAINTENANCE_KEY, "data", b"\x80\x04N."),
    "it comes once": lambda redis: redis.hdel(MAINTENANCE_KEY, "meta"),
    "it comes more seldom": lambda redis: redis.hset(MAINTENANCE_KEY, "meta", b'{"interval":3}'),
    "meta cannot be read": lambda redis: redis.hset(MAINTENANCE_KEY, "meta", b"\xff\xff"),
    "status cannot be read": lambda redis: redis.hset(MAINTENANCE_KEY, "status", "nonsense"),
    "dates cannot be read": lambda redis: redis.hset(MAINTENANCE_KEY, "created_at", "yesterday"),
    "it would expire": lambda redis: redis.expire(MAINTENANCE_KEY, 60),
    "it would not wait long": lambda redis: redis.hset(MAINTENANCE_KEY, "ttl", 60),
    "result would end it": lambda redis: redis.hset(MAINTENANCE_KEY, "result_ttl", 0),
    "written by a clock that is ahead": lambda redis: redis.zadd(
        ENTRIES, {"maintenance": time.time() + 2 * 2 + 30}
    ),
    "a callback was added": lambda redis: redis.hset(
        MAINTENANCE_KEY, "success_callback_name", "os.abort"
    ),
    "it would be repeated": lambda redis: redis.hset(MAINTENANCE_KEY, "repeats_left", 7),
    "on another queue": lambda redis: redis.hset(MAINTENANCE_KEY, "origin", "background"),
    "a second entry without a job": lambda redis: redis.zadd(ENTRIES, {"lost": time.time()}),
    "an id that is no text": lambda redis: redis.zadd(ENTRIES, {b"\xff\xfe": time.time()}),
    "wrong type": lambda redis: (redis.delete(MAINTENANCE_KEY), redis.set(MAINTENANCE_KEY, "text")),
}


def test_each_damage_to_the_schedule_is_repaired(redis: Redis, entries: tuple[Entry, ...]) -> None:
    for name, damage in DAMAGES.items():
        redis.flushall()
        reconcile(redis, entries)
        damage(redis)
        assert reconcile(redis, entries), name
        assert is_right(redis), name
        Scheduler(connection=redis, job_class=PortalJob).enqueue_jobs()
        assert redis.lrange("rq:queue:deliveries", 0, -1) == [b"maintenance"], name
        assert reconcile(redis, entries) == [], name


def test_duplicate_and_foreign_entries_are_removed_and_logged(
    redis: Redis, entries: tuple[Entry, ...], caplog: pytest.LogCaptureFixture
) -> None:
    scheduler = Scheduler(connection=redis, queue_name="deliveries")
    strange = ["copy", "theirs", *(f"{number}-{'x' * 60}" for number in range(5))]
    for id_ in strange:
        name = "jobs.periodic.maintain" if id_ == "copy" else "their.module.work"
        scheduler.schedule(datetime.now(UTC), name, interval=1, id=id_)
    assert sorted(reconcile(redis, entries)) == sorted([*strange, "maintenance"])
    assert sorted(ids(redis)) == [b"maintenance"]
    assert not redis.exists(*(f"rq:job:{id_}" for id_ in strange))
    logged_ids = ", ".join(f"'{number}-{'x' * 38}'" for number in range(5))
    assert caplog.messages == [
        f"Removed entries that are not this portal's from the schedule: {logged_ids}."
    ]
    redis.zadd(ENTRIES, {"copy": 1.0, "theirs": 1.0})
    caplog.clear()
    assert reconcile(redis, entries) == ["copy", "theirs"]
    assert caplog.messages[0] == f"{REMOVED}: 'copy', 'theirs'."


def test_the_name_of_a_foreign_entry_stays_on_one_log_line(
    app: Flask,
    valkey_server: ValkeyServer,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "portal.queue.schedule")
    redis, ours = valkey_server.client(), table(app.extensions["settings"])
    for _ in range(2):
        redis.zadd(ENTRIES, {"a\nERROR all is lost": 1.0})
        ensure_schedule()
    strange = f"{REMOVED}: 'a\\nERROR all is lost'."
    repaired = f"Repaired the schedule: {', '.join(entry.id for entry in ours)}."
    assert caplog.messages == [strange, repaired, strange]
    monkeypatch.setitem(app.extensions, "notifier", Notifier("unix:///nowhere/valkey.sock"))
    ensure_schedule()
    assert ["Redis wakes nobody" in message for message in caplog.messages[3:]] == [True]


def test_an_entry_stays_after_its_runs(redis: Redis, entries: tuple[Entry, ...]) -> None:
    reconcile(redis, entries)
    for _ in range(3):
        redis.zadd(ENTRIES, {"maintenance": time.time() - 1})
        Scheduler(connection=redis, job_class=PortalJob).enqueue_jobs()
    assert redis.lrange("rq:queue:deliveries", 0, -1) == [b"maintenance"] * 3
    assert is_right(redis)


def test_the_schedule_has_every_periodic_task_with_its_interval(
    redis: Redis, settings: Settings
) -> None:
    reconcile(redis, table(settings))
    jobs = (PortalJob.fetch(id_.decode(), connection=redis) for id_ in ids(redis))
    schedule = {job.id: (job.func_name, job.origin, job.meta["interval"]) for job in jobs}
    assert schedule == {
        "maintenance": ("jobs.periodic.maintain", "deliveries", 2),
        "expire-reservations": ("jobs.periodic.expire_reservations", "background", 60),
        "prune": ("jobs.periodic.prune", "background", 3600),
        "notices": ("jobs.periodic.send_notices", "background", 60),
        "turn-on": ("jobs.periodic.turn_on_webhooks", "background", 60),
        "alerts": ("jobs.periodic.look_for_alerts", "background", 60),
        "backup": ("jobs.periodic.back_up", "background", 600),
    }
