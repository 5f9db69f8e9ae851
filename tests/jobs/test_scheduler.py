"""The scheduler process queues jobs by the clock and repairs its own schedule."""

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


@pytest.fixture
def scheduler(valkey: PrivateValkey, tmp_path: Path) -> Iterator[Process]:
    places = {"REDIS_URL": valkey.url, "INSTANCE_DIR": str(tmp_path / "instance")}
    arguments = ("-m", "jobs", "scheduler")
    process = Process(tmp_path / "output.txt", arguments, ENVIRONMENT | places)
    yield process
    process.close()


def signs(url: str) -> list[str]:
    """Return the kinds of processes with a heartbeat."""
    engine = create_engine(url, **engine_options(url))
    with engine.connect() as connection:
        kinds = list(connection.execute(text("SELECT kind FROM processes")).scalars())
    engine.dispose()
    return kinds


def test_a_stopped_scheduler_removes_its_heartbeat(valkey: PrivateValkey, tmp_path: Path) -> None:
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


def test_the_scheduler_queues_maintenance_repeatedly(
    scheduler: Process, valkey: PrivateValkey
) -> None:
    redis = valkey.client()
    assert until(lambda: redis.llen(QUEUE) >= 3)
    assert set(redis.lrange(QUEUE, 0, -1)) == {b"maintenance"}
    assert scheduler.stop() == 0


def test_the_scheduler_ends_with_one_sentence_when_redis_is_gone(
    scheduler: Process, valkey: PrivateValkey
) -> None:
    assert scheduler.says("Ready.")
    valkey.kill()
    assert scheduler.wait() == 1
    assert "Redis is unavailable" in scheduler.output.read_text()
    assert "Traceback" not in scheduler.output.read_text()


def test_an_invalid_setting_gives_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    places = {"PORT": "the second", "INSTANCE_DIR": str(tmp_path / "instance")}
    arguments = ("-m", "jobs", "scheduler")
    process = Process(tmp_path / "output.txt", arguments, ENVIRONMENT | places)
    try:
        assert process.wait() == 2
        (line,) = process.output.read_text().splitlines()
        assert "PORT" in line
    finally:
        process.close()


def test_the_scheduler_ends_gracefully_while_redis_hangs(
    scheduler: Process, valkey: PrivateValkey
) -> None:
    assert scheduler.says("Ready.")
    pid = int(valkey.client().info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(1.5)  # it hangs in its next poll
        stopped_at = time.monotonic()
        assert scheduler.stop() == 0
        assert time.monotonic() - stopped_at < 12
    finally:
        os.kill(pid, signal.SIGCONT)
