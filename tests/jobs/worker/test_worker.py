"""A worker process: its jobs, and faults that it survives."""

import base64
import json
import time
from pathlib import Path

import pytest
from rq import Queue

from jobs.worker import put_back_untaken, remove_odd_ids
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.queue.names import DELIVERIES
from portal.queue.portal_job import PortalJob
from portal.services.core import vault
from tests.jobs.worker.conftest import Start, enqueue
from tests.jobs.worker.sample_worker import COMMAND
from tests.support.processes import until
from tests.support.valkey import PrivateValkey

# A worker whose watchdog ticks more often.
IMPATIENT = """
from jobs.heartbeat import Watchdog
from tests.jobs.worker.sample_worker import main

Watchdog.__init__.__defaults__ = (0.1,)
main()
"""


def test_a_worker_runs_jobs_in_the_application(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    worker = start()
    enqueue(valkey.client(), "note")
    assert until((tmp_path / "note").exists)
    assert until(lambda: (tmp_path / "note").read_text() == "portal")
    assert worker.stop() == 0


def test_a_job_taken_but_not_started_by_another_worker_is_run(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    """A worker that is stopped at that moment leaves such a job."""
    redis = valkey.client()
    enqueue(redis, "note")
    queue = Queue(DELIVERIES, connection=redis, job_class=PortalJob)
    taken = queue.intermediate_queue
    redis.lmove(queue.key, taken.key)
    (job,) = taken.get_job_ids()
    redis.set(taken.get_first_seen_key(job), time.time() - 61)
    worker = start()
    assert until((tmp_path / "note").exists), worker.output.read_text()
    assert worker.stop() == 0
    assert len(queue.failed_job_registry) == 0
    # The intermediate queue can hold the sender's first notification by now.
    assert job not in taken.get_job_ids()


def test_only_job_ids_that_are_not_text_are_removed_from_a_queue(
    valkey: PrivateValkey, caplog: pytest.LogCaptureFixture
) -> None:
    redis = valkey.client()
    queue = Queue(DELIVERIES, connection=redis, job_class=PortalJob)
    kept = {queue.key: [b"one", b"two"], queue.intermediate_queue_key: [b"three"]}
    for key, ids in kept.items():
        redis.rpush(key, b"\xff", *ids, b"\xff", b"x" * 300 + b"\xff")
    remove_odd_ids(queue)
    assert {key: redis.lrange(key, 0, -1) for key in kept} == kept
    odd = [r"b'\xff'", r"b'\xff'", f"b'{'x' * 80}'"]
    assert caplog.messages == [f"Skipped a job whose ID is not text: {id_}." for id_ in odd * 2]


def test_a_running_job_is_not_queued_again(valkey: PrivateValkey) -> None:
    redis = valkey.client()
    queue = Queue(DELIVERIES, connection=redis, job_class=PortalJob)
    taken = queue.intermediate_queue
    redis.rpush(queue.key, "other")
    for id_ in ("run", "left", "new"):
        redis.rpush(taken.key, id_)
        redis.set(taken.get_first_seen_key(id_), time.time() - (1 if id_ == "new" else 61))
    redis.zadd(queue.started_job_registry.key, {"run:1": time.time() + 600})
    put_back_untaken(queue)
    assert redis.lrange(queue.key, 0, -1) == [b"other", b"left"]
    assert not redis.exists(taken.get_first_seen_key("left"))
    assert redis.lrange(taken.key, 0, -1) == [b"run", b"new"]


def test_a_hanging_job_ends_its_worker_with_a_stack_trace(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    worker = start("-c", IMPATIENT, *COMMAND[2:])
    enqueue(valkey.client(), "hang")
    assert worker.wait() == 1
    assert " in hang" in worker.output.read_text()


def test_a_failed_job_is_logged_once_with_its_cause_and_the_worker_goes_on(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    worker = start()
    enqueue(valkey.client(), "fail")
    enqueue(valkey.client(), "note")
    assert until((tmp_path / "note").exists)
    worker.stop()
    assert worker.output.read_text().count("RuntimeError: the lamp is broken") == 1


def test_log_lines_of_a_job_carry_its_request_id(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    worker = start()
    enqueue(valkey.client(), "fail", request_id="4f2a")
    enqueue(valkey.client(), "note")
    assert until((tmp_path / "note").exists)
    worker.stop()
    lines = [json.loads(line) for line in worker.output.read_text().splitlines()]
    assert {line["process"] for line in lines} == {DELIVERIES}
    notified = [line for line in lines if line.get("request_id") == "4f2a"]
    assert [line["message"] for line in notified][:1] == ["Started fail"]
    assert any("the lamp is broken" in line.get("error", "") + line["message"] for line in notified)
    assert "Started note" not in {line["message"] for line in lines}


def test_a_worker_does_not_start_with_wrong_keys(start: Start, environ: dict[str, str]) -> None:
    """It couldn't sign any request, so every attempt would fail."""
    with create_base_app(load_settings(environ)).app_context():
        vault.check_keys()
        db.session.remove()
        db.engine.dispose()
    environ["ENCRYPTION_KEYS"] = base64.urlsafe_b64encode(
        b"another key of thirty-two bytes!"
    ).decode()
    worker = start()
    assert worker.wait() == 2
    assert "decrypt the secrets in the database" in worker.output.read_text()


def test_a_worker_started_before_redis_takes_jobs_once_redis_is_there(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    valkey.kill()
    worker = start()
    assert worker.says("Ready for deliveries.")
    valkey.start()
    enqueue(valkey.client(), "note")
    assert until((tmp_path / "note").exists)
    assert worker.stop() == 0


def test_a_worker_reconnects_to_a_redis_that_was_gone(
    start: Start, valkey: PrivateValkey, tmp_path: Path
) -> None:
    """In the same process and without a log line for each attempt."""
    worker = start()
    assert worker.says("Ready for deliveries.")
    valkey.kill()
    time.sleep(3)
    valkey.start()
    enqueue(valkey.client(), "note")
    assert until((tmp_path / "note").exists)
    assert worker.process.poll() is None
    assert worker.output.read_text().count("Redis is in trouble") == 1
    assert "Traceback" not in worker.output.read_text()
