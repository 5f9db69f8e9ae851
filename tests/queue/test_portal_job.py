"""The stored form of a job: a name of ours, a request's id, an interval."""

import json
import logging
import time
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import JobStatus

from portal.queue.names import DELIVER_DUE, DELIVERIES, JOB_NAMES, SWEEP
from portal.queue.portal_job import (
    MOST_BYTES,
    PortalJob,
    PortalSerializer,
    put_back_untaken,
    remove_odd_ids,
)
from tests.support.valkey import PrivateValkey


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = PrivateValkey(tmp_path / "valkey")
    server.start()
    yield server.client()
    server.close()


def stored(redis: Redis, **fields: Any) -> str:
    job = PortalJob.create(SWEEP, connection=redis, origin=DELIVERIES, id="one")
    job.save()
    redis.hset(job.key, mapping=fields) if fields else None
    return job.id


@pytest.mark.parametrize("name", JOB_NAMES)
def test_a_job_of_ours_comes_back_as_it_was(redis: Redis, name: str) -> None:
    meta = {"request_id": "4f2a" * 8, "interval": 2}
    PortalJob.create(name, connection=redis, origin=DELIVERIES, id="one", meta=meta).save()
    assert zlib.decompress(redis.hget("rq:job:one", "data") or b"") == name.encode()
    job = PortalJob.fetch("one", connection=redis)
    assert (job.func_name, job.args, job.kwargs, job.instance) == (name, (), {}, None)
    assert (job.meta, job.left_out) == (meta, ())


def test_what_rq_writes_into_a_job_of_ours_is_kept(redis: Redis) -> None:
    job = PortalJob.create(SWEEP, connection=redis, origin=DELIVERIES, id="one", description="why")
    job.timeout, job.ttl, job.result_ttl, job.failure_ttl = 1, 2, 3, 4
    job.enqueue_at_front, job.worker_name, job.status = True, "w1", JobStatus.STARTED
    moments = ("created_at", "enqueued_at", "started_at", "ended_at", "last_heartbeat")
    for hour, name in enumerate(moments):
        setattr(job, name, datetime(2026, 3, 1, hour, tzinfo=UTC))
    job.save()
    job.heartbeat(job.last_heartbeat, 60)
    seen, gone = PortalJob.fetch_many(["one", "two"], connection=redis)
    assert (gone, seen is None) == (None, False)
    kept = ("timeout", "ttl", "result_ttl", "failure_ttl", "enqueue_at_front", "worker_name")
    for name in (*kept, *moments, "_status", "origin", "description"):
        assert getattr(seen, name) == getattr(job, name), name
    assert PortalJob.fetch("one", connection=redis).left_out == ()


def test_what_is_run_is_what_was_looked_at(redis: Redis) -> None:
    """RQ unpacks nothing that has lost its end, and would take it for a name as it stands."""
    stored(redis, data=zlib.compress(SWEEP.encode())[:-2])
    job = PortalJob.fetch("one", connection=redis)
    assert (job.data, job.func_name) == (SWEEP.encode(), SWEEP)


STRANGE = {
    "another function": {"data": b"os.system"},
    "no data": {"data": b""},
    "JSON": {"data": json.dumps([SWEEP, None, [], {}])},
    "bytes that are no text": {"data": b"\xff\xfe"},
    "longer than ours": {"description": "x" * MOST_BYTES},
    "what unfolds": {"data": zlib.compress(b"x" * 1_000_000)},
    "another queue": {"origin": "theirs"},
    "a status that there is not": {"status": "nonsense"},
    "words without an end": {"status": "no\nnsense" * 300},
    "a date that is none": {"created_at": "yesterday"},
    "a time limit that is none": {"timeout": "soon"},
}


@pytest.mark.parametrize("fields", STRANGE.values(), ids=STRANGE.keys())
def test_what_is_not_one_of_ours_is_no_job_and_one_line_in_the_log(
    redis: Redis, fields: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    stored(redis, **fields)
    with caplog.at_level(logging.WARNING), pytest.raises(NoSuchJobError):
        PortalJob.fetch("one", connection=redis)
    (line,) = caplog.messages
    assert line.startswith("Left out job one")
    assert (len(line) < 150, line.splitlines()) == (True, [line])
    assert PortalJob.fetch_many(["one", "two"], connection=redis) == [None, None]


def test_what_unfolds_is_not_unfolded_to_its_end(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    stored(redis, data=zlib.compress(b"{}" + b" " * 1_000_000))
    with pytest.raises(NoSuchJobError):
        PortalJob.fetch("one", connection=redis)
    assert "it is too long" in caplog.text


def test_what_stands_in_the_place_of_a_job_is_none(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    redis.rpush("rq:job:one", "a list")
    with pytest.raises(NoSuchJobError):
        PortalJob.fetch("one", connection=redis)
    (line,) = caplog.messages
    assert line.startswith("Left out job one, none of this portal's: ")
    assert "WRONGTYPE" in line.upper() or "wrong kind of value" in line


def test_an_id_that_no_job_has_is_no_job(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NoSuchJobError):
        PortalJob.fetch("a b\n" * 300, connection=redis)
    shown = "a b\n" * 20
    assert caplog.messages == [f"Left out a job with an odd id: {shown!r}."]


def test_ids_that_are_no_text_are_taken_out_of_a_queue_and_the_others_stay(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(DELIVERIES, connection=redis, job_class=PortalJob)
    kept = {queue.key: [b"one", b"two"], queue.intermediate_queue_key: [b"three"]}
    for key, ids in kept.items():
        redis.rpush(key, b"\xff", *ids, b"\xff", b"x" * 300 + b"\xff")
    remove_odd_ids(queue)
    assert {key: redis.lrange(key, 0, -1) for key in kept} == kept
    odd = [r"b'\xff'", r"b'\xff'", f"b'{'x' * 80}'"]
    assert caplog.messages == [f"Left out a job with an odd id: {each}." for each in odd * 2]


def test_what_was_taken_and_is_being_run_is_not_queued_again(redis: Redis) -> None:
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


def test_what_else_is_stored_with_one_of_ours_is_told_of_in_a_short_line(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    stored(redis, **{"a\nb": "1", "x" * 3000: "2", "exc_info": "3", "empty": ""})
    job = PortalJob.fetch("one", connection=redis)
    assert job.left_out == ("a\nb", "x" * 3000)
    told = f"a b, {'x' * 75}"
    assert caplog.messages == [f"Job one carries what no job of this portal has: {told}"]
    redis.delete(job.key)
    stored(redis, success_callback_name="os.abort", ape="2")
    job = PortalJob.fetch("one", connection=redis)
    assert (job.left_out, job._success_callback_name) == (("ape", "success_callback_name"), None)


@pytest.mark.parametrize(
    "meta",
    [
        {"queue_class_name": "os.system"},
        {"request_id": "a line\nof my own"},
        {"request_id": "a" * 33},
        {"request_id": ""},
        {"request_id": 7},
        {"interval": 0},
        {"interval": "2"},
        {"interval": True},
        {"interval": -1},
        {"repeat": 3, "cron_string": "* * * * *"},
        ["interval"],
    ],
)
def test_of_its_meta_only_what_we_write_is_taken_over(
    redis: Redis, meta: object, caplog: pytest.LogCaptureFixture
) -> None:
    stored(redis, meta=json.dumps(meta))
    job = PortalJob.fetch("one", connection=redis)
    assert (job.meta, job.left_out) == ({}, ("meta",))
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("meta", [b"{" * 3000, b'{"a":' + b"[" * 3000, b"\x80\x04N.", b"{}x"])
def test_meta_that_cannot_be_read_is_none(redis: Redis, meta: bytes) -> None:
    stored(redis, meta=meta)
    assert PortalJob.fetch("one", connection=redis).meta == {}


def test_nothing_else_can_be_written() -> None:
    for value in (
        ("os.system", None, (), {}),
        (SWEEP, "an instance", (), {}),
        (SWEEP, None, ("an argument",), {}),
        (SWEEP, None, (), {"by": "name"}),
    ):
        with pytest.raises(ValueError, match="not a job of ours"):
            PortalSerializer.dumps(value)
    with pytest.raises(ValueError, match="no such meta"):
        PortalSerializer.dumps({"secret": "in a queue"})
    assert PortalSerializer.dumps("a result") == b""
    assert PortalSerializer.loads(DELIVER_DUE.encode()) == (DELIVER_DUE, None, (), {})
