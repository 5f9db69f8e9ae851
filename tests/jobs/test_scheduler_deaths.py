"""After a scheduler dies at any step, the next one has the whole schedule."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import ConnectionPool, Redis, UnixDomainSocketConnection
from rq_scheduler import Scheduler

from jobs.scheduler import RepairingScheduler
from portal.config.settings import Settings, load_settings
from portal.queue.names import QUEUES
from portal.queue.schedule import ENTRIES, reconcile, table
from tests.conftest import ENVIRONMENT
from tests.support.processes import Process, until
from tests.support.valkey import PrivateValkey

LOCK = Scheduler.scheduler_lock_key
QUEUE = "rq:queue:deliveries"


class Death(BaseException):
    """A kill, after which the process does nothing more."""


class MortalConnection(UnixDomainSocketConnection):
    """A connection that dies after `left` commands."""

    left = 0

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        type(self).left -= 1
        if self.left < 0:
            self.end()
        super().send_packed_command(command, check_health)

    def end(self) -> None:
        raise Death


class EndingConnection(MortalConnection):
    """A connection that sends SIGTERM to its process once, after `left` commands, and continues."""

    def end(self) -> None:
        if self.left == -1:
            signal.raise_signal(signal.SIGTERM)


@pytest.fixture
def redis(valkey: PrivateValkey) -> Redis:
    return valkey.client()


@pytest.fixture
def settings(valkey: PrivateValkey, tmp_path: Path) -> Settings:
    places = {"INSTANCE_DIR": str(tmp_path), "REDIS_URL": valkey.url}
    return load_settings(ENVIRONMENT | places)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Restore the test process's signal handlers, which a scheduler replaces."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@contextmanager
def scheduler_living(
    settings: Settings,
    socket: Path,
    commands: int,
    ends: type[MortalConnection] = MortalConnection,
) -> Iterator[RepairingScheduler]:
    """Yield a scheduler that dies, or is asked to stop, after this many commands."""
    ends.left = commands
    pool = ConnectionPool(ends, path=str(socket), protocol=2)
    scheduler = RepairingScheduler(settings)
    scheduler.connection = Redis(connection_pool=pool)
    yield scheduler
    ends.left = 1000
    pool.disconnect()


def queued(redis: Redis) -> Counter[bytes]:
    """Count each job in the queues."""
    return Counter(id_ for name in QUEUES for id_ in redis.lrange(f"rq:queue:{name}", 0, -1))


@pytest.mark.parametrize("is_new", [True, False], ids=["nothing there yet", "all due"])
def test_a_death_at_any_step_leaves_the_next_scheduler_every_job(
    settings: Settings, valkey: PrivateValkey, redis: Redis, is_new: bool
) -> None:
    settings = replace(
        settings, maintenance_seconds=3600
    )  # due once per round, even on a slow machine
    entries = table(settings)
    ids = {entry.id.encode() for entry in entries}
    twice = 0
    for commands in range(500):
        redis.flushall()
        if not is_new:
            reconcile(redis, entries)
            redis.zadd(ENTRIES, dict.fromkeys(ids, 1))
        has_lived = False
        with scheduler_living(settings, valkey.socket, commands) as dying, suppress(Death):
            dying.run(burst=True)
            has_lived = True
        assert 0 <= redis.ttl(LOCK) <= 11 or not redis.exists(LOCK)
        redis.delete(LOCK)  # as if those seconds had passed
        RepairingScheduler(settings).run(burst=True)
        assert reconcile(redis, entries) == []
        assert set(redis.zrange(ENTRIES, 0, -1)) == ids
        counts = queued(redis)
        # A death between queueing a job and storing its next due time queues it twice. Jobs are
        # safe to run twice, and the second one in a minute finds no work.
        assert set(counts) == ids
        assert counts.total() <= len(ids) + 1, counts
        twice += counts.total() - len(ids)
        if has_lived:
            break
    assert has_lived, "it has more steps than were tried"
    assert commands > 20
    assert twice < commands / 2


def test_a_stop_at_any_step_leaves_the_schedule_whole(
    settings: Settings, valkey: PrivateValkey, redis: Redis
) -> None:
    """Queued jobs are due again later, and all others are still due."""
    settings = replace(settings, maintenance_seconds=3600)
    entries = table(settings)
    some_queued = 0
    for commands in range(500):
        redis.flushall()
        reconcile(redis, entries)
        redis.zadd(ENTRIES, dict.fromkeys((entry.id for entry in entries), 1))
        with scheduler_living(settings, valkey.socket, commands, EndingConnection) as ending:
            ending.listen()
            with suppress(SystemExit):
                ending.run(burst=True)
        if not ending.is_ending:
            break
        due = {id_ for id_, at in redis.zrange(ENTRIES, 0, -1, withscores=True) if at == 1}
        assert reconcile(redis, entries) == []
        assert set(queued(redis)) == {entry.id.encode() for entry in entries} - due
        assert not redis.exists(LOCK)
        some_queued += 0 < len(due) < len(entries)
    assert not ending.is_ending, "it has more steps than were tried"
    assert some_queued > 10


@pytest.fixture
def start(settings: Settings, tmp_path: Path) -> Iterator[Any]:
    started: list[Process] = []
    places = {"REDIS_URL": settings.redis_url, "INSTANCE_DIR": str(tmp_path / "instance")}

    def start() -> Process:
        output = tmp_path / f"output {len(started)}.txt"
        started.append(Process(output, ("-m", "jobs", "scheduler"), ENVIRONMENT | places))
        return started[-1]

    yield start
    for process in started:
        process.close()


def test_two_schedulers_queue_no_more_than_one_and_the_second_takes_over(
    start: Any, redis: Redis
) -> None:
    first, second = start(), start()
    assert first.says("Ready.")
    assert second.says("Ready.")
    redis.delete(QUEUE)
    began = redis.time()[0]
    assert until(lambda: redis.llen(QUEUE) >= 4, 20)
    assert redis.llen(QUEUE) <= redis.time()[0] - began + 2
    first.close()
    redis.delete(QUEUE)
    assert until(lambda: redis.llen(QUEUE) >= 2, 20)
    assert second.stop() == 0
