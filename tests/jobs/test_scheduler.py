"""The scheduler process: it queues by the clock, and heals its own schedule."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from portal.database.engine import engine_options
from tests.conftest import ENVIRONMENT, migrate_to_head
from tests.support.processes import Process, until
from tests.support.valkey import PrivateValkey

QUEUE = "rq:queue:deliveries"
# Redis hangs at the first that rq-scheduler asks of it.
HANGING = """
import sys, time
from rq_scheduler import Scheduler
from jobs.__main__ import main

def ask(scheduler):
    print("Asking.", flush=True)
    for _ in range(600):  # one long sleep may begin right after the signal, and not hear of it
        time.sleep(0.1)

Scheduler.register_birth = ask
sys.argv = ["jobs", "scheduler"]
main()
"""


@pytest.fixture
def scheduler(valkey: PrivateValkey, tmp_path: Path) -> Iterator[Process]:
    places = {"REDIS_URL": valkey.url, "INSTANCE_DIR": str(tmp_path / "instance")}
    arguments = ("-m", "jobs", "scheduler")
    process = Process(tmp_path / "output.txt", arguments, ENVIRONMENT | places)
    yield process
    process.close()


def signs(url: str) -> list[str]:
    """Of which kinds a process has signed."""
    engine = create_engine(url, **engine_options(url))
    with engine.connect() as connection:
        kinds = list(connection.execute(text("SELECT kind FROM processes")).scalars())
    engine.dispose()
    return kinds


def test_who_ends_in_peace_is_missed_by_nobody(valkey: PrivateValkey, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/portal.sqlite"
    migrate_to_head(url, tmp_path)
    places = {"DATABASE_URL": url, "REDIS_URL": valkey.url, "INSTANCE_DIR": str(tmp_path)}
    arguments = ("-m", "jobs", "scheduler")
    process = Process(tmp_path / "output.txt", arguments, ENVIRONMENT | places)
    try:
        assert until(lambda: signs(url) == ["scheduler"])
        assert process.stop() == 0
    finally:
        process.close()
    assert signs(url) == []


def test_it_queues_maintenance_again_and_again(scheduler: Process, valkey: PrivateValkey) -> None:
    redis = valkey.client()
    assert until(lambda: redis.llen(QUEUE) >= 3)
    assert set(redis.lrange(QUEUE, 0, -1)) == {b"maintenance"}
    assert scheduler.stop() == 0


def test_it_goes_on_after_redis_was_flushed(scheduler: Process, valkey: PrivateValkey) -> None:
    redis = valkey.client()
    assert until(lambda: redis.llen(QUEUE) >= 1)
    redis.flushall()
    assert until(lambda: redis.llen(QUEUE) >= 1, 5)


def test_it_goes_on_over_an_entry_that_cannot_be_read(
    scheduler: Process, valkey: PrivateValkey
) -> None:
    redis = valkey.client()
    assert until(lambda: redis.llen(QUEUE) >= 1)
    redis.hset("rq:job:maintenance", "data", b"\x00garbage")
    redis.delete(QUEUE)
    assert until(lambda: redis.llen(QUEUE) >= 2)
    assert scheduler.process.poll() is None


def test_it_ends_with_a_sentence_when_redis_is_gone(
    scheduler: Process, valkey: PrivateValkey
) -> None:
    assert scheduler.says("Ready.")
    valkey.kill()
    assert scheduler.wait() == 1
    assert "Redis is gone" in scheduler.output.read_text()
    assert "Traceback" not in scheduler.output.read_text()


def test_a_setting_that_is_none_is_one_sentence_and_another_end(tmp_path: Path) -> None:
    places = {"PORT": "the second", "INSTANCE_DIR": str(tmp_path / "instance")}
    arguments = ("-m", "jobs", "scheduler")
    process = Process(tmp_path / "output.txt", arguments, ENVIRONMENT | places)
    try:
        assert process.wait() == 2
        (said,) = process.output.read_text().splitlines()
        assert "PORT" in said
    finally:
        process.close()


def test_it_ends_in_peace_while_redis_hangs(scheduler: Process, valkey: PrivateValkey) -> None:
    assert scheduler.says("Ready.")
    pid = int(valkey.client().info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.5)  # it hangs in its next look
        asked = time.monotonic()
        assert scheduler.stop() == 0
        assert time.monotonic() - asked < 12
    finally:
        os.kill(pid, signal.SIGCONT)


def test_it_ends_in_peace_while_redis_hangs_from_the_start(
    valkey: PrivateValkey, tmp_path: Path
) -> None:
    places = {"REDIS_URL": valkey.url, "INSTANCE_DIR": str(tmp_path / "instance")}
    process = Process(tmp_path / "output.txt", ("-c", HANGING), ENVIRONMENT | places)
    try:
        assert process.says("Asking.")
        assert process.stop() == 0
    finally:
        process.close()
