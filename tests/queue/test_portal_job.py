"""The stored form of a job: one of the portal's names, a request ID, and an interval."""

import json
import logging
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rq.exceptions import NoSuchJobError
from rq.job import JobStatus

from portal.queue.names import DELIVERIES, JOB_NAMES, MAINTAIN
from portal.queue.portal_job import (
    MOST_BYTES,
    PortalJob,
)
from tests.support.valkey import PrivateValkey


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Redis]:
    server = PrivateValkey(tmp_path / "valkey")
    server.start()
    yield server.client()
    server.close()


def stored(redis: Redis, **fields: Any) -> str:
    """Store one of the portal's jobs with these fields in an empty Redis. Return its ID."""
    redis.flushall()
    job = PortalJob.create(MAINTAIN, connection=redis, origin=DELIVERIES, id="one")
    job.save()
    redis.hset(job.key, mapping=fields) if fields else None
    return job.id


def test_a_portal_job_survives_its_stored_form(redis: Redis) -> None:
    for name in JOB_NAMES:
        meta = {"request_id": "4f2a" * 8, "interval": 2}
        PortalJob.create(name, connection=redis, origin=DELIVERIES, id="one", meta=meta).save()
        assert zlib.decompress(redis.hget("rq:job:one", "data") or b"") == name.encode(), name
        job = PortalJob.fetch("one", connection=redis)
        assert (job.func_name, job.args, job.kwargs, job.instance) == (name, (), {}, None), name
        assert job.meta == meta, name


def test_fields_written_by_rq_are_kept(redis: Redis) -> None:
    job = PortalJob.create(
        MAINTAIN, connection=redis, origin=DELIVERIES, id="one", description="why"
    )
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


STRANGE = {
    "another function": {"data": b"os.system"},
    "no data": {"data": b""},
    "JSON": {"data": json.dumps([MAINTAIN, None, [], {}])},
    "bytes that are no text": {"data": b"\xff\xfe"},
    "longer than ours": {"description": "x" * MOST_BYTES},
    "what unfolds": {"data": zlib.compress(b"x" * 1_000_000)},
    "another queue": {"origin": "theirs"},
    "a status that there is not": {"status": "nonsense"},
    "words without an end": {"status": "no\nnsense" * 300},
    "a date that is none": {"created_at": "yesterday"},
    "a time limit that is none": {"timeout": "soon"},
}


def test_a_foreign_job_is_refused_with_one_log_line(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for name, fields in STRANGE.items():
        caplog.clear()
        stored(redis, **fields)
        with caplog.at_level(logging.WARNING), pytest.raises(NoSuchJobError):
            PortalJob.fetch("one", connection=redis)
        (line,) = caplog.messages
        assert line.startswith("Skipped job 'one'"), name
        assert (len(line) < 150, line.splitlines()) == (True, [line]), name
        assert PortalJob.fetch_many(["one", "two"], connection=redis) == [None, None], name


def test_a_key_of_another_type_is_no_job(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    redis.rpush("rq:job:one", "a list")
    with pytest.raises(NoSuchJobError):
        PortalJob.fetch("one", connection=redis)
    (line,) = caplog.messages
    assert line.startswith("Skipped job 'one', which is not this portal's: ")
    assert "WRONGTYPE" in line.upper() or "wrong kind of value" in line


def test_an_invalid_id_is_no_job(redis: Redis, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NoSuchJobError):
        PortalJob.fetch("a b\n" * 300, connection=redis)
    (line,) = caplog.messages
    shown = "a b\n" * 20
    assert line.startswith(f"Skipped job {shown!r}, which is not this portal's: ")


def test_a_job_with_a_foreign_field_is_refused(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a\nb", "x" * 3000, "success_callback_name", "webhooks"):
        caplog.clear()
        stored(redis, **{name: "os.abort"})
        with pytest.raises(NoSuchJobError):
            PortalJob.fetch("one", connection=redis)
        words = f"it carries {name}".replace("\n", " ")[:80]
        assert caplog.messages == [f"Skipped job 'one', which is not this portal's: {words}"], name


def test_fields_of_a_failed_job_are_ignored(redis: Redis) -> None:
    stored(redis, exc_info="x" * 5000, group_id="")
    assert PortalJob.fetch("one", connection=redis).func_name == MAINTAIN


def test_a_job_with_foreign_or_unreadable_meta_is_refused(redis: Redis) -> None:
    foreign: tuple[object, ...] = (
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
    )
    unreadable = (b"{" * 3000, b'{"a":' + b"[" * 3000, b"\x80\x04N.", b"{}x")
    for meta in (*(json.dumps(meta, separators=(",", ":")) for meta in foreign), *unreadable):
        stored(redis, meta=meta)
        with pytest.raises(NoSuchJobError):
            PortalJob.fetch("one", connection=redis)
