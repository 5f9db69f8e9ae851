"""A worker that is asked to stop ends gracefully, whatever it is doing."""

import os
import signal
import time
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from portal.database.engine import engine_options
from portal.queue.names import BACKGROUND, QUEUES
from tests.jobs.worker.conftest import Start, enqueue
from tests.jobs.worker.sample_worker import COMMAND
from tests.support.processes import until
from tests.support.valkey import PrivateValkey

# A worker that gets SIGTERM during its start, before its sender has begun. No test could wait for
# this moment.
HASTY = """
import os, signal, time
from jobs.__main__ import main
from jobs.heartbeat import Watchdog
begin = Watchdog.begin
def begin_late(watchdog):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.5)
    begin(watchdog)

Watchdog.begin = begin_late
main()
"""

# A worker whose main thread gets no signal, as during the name lookup of its Redis.
DEAF = """
import signal, time
from jobs.__main__ import main
from jobs import worker
def hang(*_):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("Deaf.", flush=True)
    time.sleep(60)

worker._take_jobs = hang
main()
"""


def has_row(database: str, pid: int) -> bool:
    engine = create_engine(database, **engine_options(database))
    with engine.connect() as connection:
        query = text("SELECT count(*) FROM processes WHERE kind LIKE 'worker%' AND pid = :p")
        count = connection.execute(query, {"p": pid}).scalar_one()
    engine.dispose()
    return bool(count)


def test_an_idle_worker_ends_at_once(start: Start) -> None:
    worker = start()
    assert worker.says("Ready for deliveries.")
    stopped_at = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - stopped_at < 10  # RQ itself would wait half a minute


def test_a_stop_reaches_a_running_job_and_a_sender_does_not_wait_for_it(
    start: Start, valkey: PrivateValkey, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "note"
    worker = start()
    enqueue(valkey.client(), "until_stopped")
    assert until(lambda: path.exists() and path.read_text() == "started")
    assert worker.stop() == 0
    assert path.read_text() == "stopped"
    assert not has_row(database, worker.pid)  # there was time for a goodbye


def test_a_background_worker_finishes_its_job_before_it_ends(
    start: Start, valkey: PrivateValkey, database: str, tmp_path: Path
) -> None:
    path = tmp_path / "note"
    worker = start(*COMMAND[:-1], BACKGROUND)
    enqueue(valkey.client(), "end_late", BACKGROUND)
    assert until(lambda: path.exists() and path.read_text() == "started")
    assert worker.stop() == 0
    assert path.read_text() == "ended"
    assert not has_row(database, worker.pid)  # there was time for a goodbye


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_stopped_during_its_start_ends_gracefully(start: Start, queue: str) -> None:
    worker = start("-c", HASTY, "worker", queue)
    assert worker.wait() == 0, worker.output.read_text()
    assert "Traceback" not in worker.output.read_text()


@pytest.mark.parametrize(("number", "is_missed"), [(signal.SIGTERM, False), (signal.SIGKILL, True)])
def test_only_a_graceful_end_removes_the_heartbeat(
    start: Start, database: str, number: int, is_missed: bool
) -> None:
    worker = start()
    assert until(lambda: has_row(database, worker.pid)), worker.output.read_text()
    worker.stop(number)
    assert has_row(database, worker.pid) is is_missed


@pytest.mark.parametrize("queue", QUEUES)
def test_a_worker_ends_gracefully_while_redis_hangs(
    start: Start, valkey: PrivateValkey, queue: str
) -> None:
    worker = start("-m", "jobs", "worker", queue)
    assert worker.says(f"Ready for {queue}.")
    redis = valkey.client()
    assert until(lambda: redis.scard("rq:workers") == 1)
    pid = int(redis.info()["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        stopped_at = time.monotonic()
        assert worker.stop() == 0
        assert time.monotonic() - stopped_at < 10
    finally:
        os.kill(pid, signal.SIGCONT)


def test_a_worker_ends_gracefully_while_its_main_thread_gets_no_signal(
    start: Start, database: str
) -> None:
    worker = start("-c", DEAF, *COMMAND[2:])
    assert worker.says("Deaf.")
    assert until(lambda: has_row(database, worker.pid)), worker.output.read_text()
    stopped_at = time.monotonic()
    assert worker.stop() == 0
    assert time.monotonic() - stopped_at < 10
    assert not has_row(database, worker.pid)
