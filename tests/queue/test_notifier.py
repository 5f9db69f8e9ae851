"""The notifier: after the commit, once, never in the way of a Save."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from redis import Redis
from rq import Queue
from rq.utils import import_attribute
from sqlalchemy import text

from jobs.context import job
from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib import request_id
from portal.queue import names, notifier, redis_state, task_notifier
from portal.queue.portal_job import PortalJob
from tests.conftest import ENVIRONMENT
from tests.support.database.rivals import at_once
from tests.support.processes import until
from tests.support.valkey import PrivateValkey


def app_for(redis_url: str, folder: Path) -> Flask:
    settings = load_settings(ENVIRONMENT | {"INSTANCE_DIR": str(folder), "REDIS_URL": redis_url})
    app = create_base_app(settings)
    notifier.init_app(app)
    return app


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[PrivateValkey]:
    server = PrivateValkey(tmp_path / "valkey")
    server.start()
    yield server
    server.close()


@pytest.fixture
def redis(valkey: PrivateValkey) -> Redis:
    return valkey.client()


@pytest.fixture
def app(valkey: PrivateValkey, tmp_path: Path) -> Iterator[Flask]:
    app = app_for(valkey.url, tmp_path / "instance")
    with app.app_context():
        yield app
        db.session.remove()
        db.engine.dispose()


def queued(redis: Redis) -> list[str]:
    return Queue(names.DELIVERIES, connection=redis).get_job_ids()


def touch() -> None:
    db.session.execute(text("SELECT 1"))


@pytest.mark.parametrize("name", names.JOB_NAMES)
def test_every_job_name_imports_what_opens_a_context_where_there_is_none(name: str) -> None:
    assert import_attribute(name).__code__ is job(lambda: None).__code__


def test_it_queues_a_dispatcher_at_the_front_with_the_agreed_life(app: Flask, redis: Redis) -> None:
    redis.rpush("rq:queue:deliveries", "something-else")
    made = request_id.begin()
    try:
        notifier.notify()
    finally:
        request_id.carry_on("")
    job = PortalJob.fetch(queued(redis)[0], connection=redis)
    assert job.meta == {"request_id": made}
    assert (job.func_name, job.args, job.kwargs) == (names.DELIVER_DUE, (), {})
    assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (86_400, 0, 86_400, 900)
    assert 800 < redis.ttl(job.key) <= 900


def test_long_work_is_queued_behind_all_others_with_the_agreed_life(
    app: Flask, redis: Redis
) -> None:
    redis.rpush("rq:queue:background", "other")
    asked = request_id.begin()
    task_notifier.notify()
    request_id.carry_on("")
    other, own = Queue(names.BACKGROUND, connection=redis).get_job_ids()
    job = PortalJob.fetch(own, connection=redis)
    assert (other, job.func_name, job.meta) == ("other", names.RUN_TASKS, {"request_id": asked})
    assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (3600, 0, 86_400, 900)
    assert 800 < redis.ttl(job.key) <= 900


def test_a_burst_of_a_thousand_notifies_leaves_one_job(app: Flask, redis: Redis) -> None:
    for _ in range(1000):
        notifier.notify()
    assert len(queued(redis)) == 1
    assert notifier.notifier().count() == 1000
    assert 0 < redis.ttl(notifier.QUEUED) <= 5


def test_a_notification_is_queued_again_once_a_dispatcher_has_answered(
    app: Flask, redis: Redis
) -> None:
    notifier.notify()
    notifier.notifier().answer()
    notifier.notify()
    assert len(queued(redis)) == 2


def test_no_job_is_queued_while_a_dispatcher_is_awake_but_the_notifier_counts(
    app: Flask, redis: Redis
) -> None:
    notifier.notifier().stay_awake()
    before = notifier.notifier().count()
    notifier.notify()
    assert queued(redis) == []
    assert notifier.notifier().count() == (before or 0) + 1
    assert not redis.exists(notifier.QUEUED)
    assert 0 < redis.ttl(notifier.AWAKE) <= 2


def test_no_wake_up_is_lost_when_the_dispatcher_falls_asleep_between_two_notifications(
    app: Flask, redis: Redis
) -> None:
    notifier.notifier().stay_awake()
    notifier.notify()
    notifier.notifier().fall_asleep()
    notifier.notify()
    assert len(queued(redis)) == 1


def test_a_full_dispatcher_calls_for_another_one_only_once(app: Flask, redis: Redis) -> None:
    notifier.notifier().stay_awake()
    notifier.notifier().requeue()
    notifier.notifier().requeue()
    notifier.notify()
    assert len(queued(redis)) == 1
    assert not redis.exists(notifier.AWAKE)
    assert 0 < redis.ttl(notifier.QUEUED) <= 5


def test_many_processes_ringing_and_falling_asleep_never_leave_a_latch_without_a_job(
    app: Flask, redis: Redis
) -> None:
    def ring_and_sleep(number: int) -> None:
        for _ in range(100):
            (notifier.notify if number % 2 else notifier.notifier().stay_awake)()
            (notifier.notify if number % 2 else notifier.notifier().fall_asleep)()

    at_once(app, [partial(ring_and_sleep, number) for number in range(4)])
    assert bool(redis.exists(notifier.QUEUED)) <= bool(queued(redis))
    assert len(queued(redis)) == 1


def test_one_that_can_only_be_read_does_not_answer_again(
    app: Flask, redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica tells the notifier's number and lets us subscribe: nobody is woken by that."""
    monkeypatch.setattr(notifier, "QUIET_SECONDS", 0.0)
    redis.replicaof("127.0.0.1", 9)
    notifier.notify()
    for _ in range(3):
        assert notifier.notifier().count() is None
        assert notifier.notifier().watch() is None
    assert ["Redis answers again." in line for line in caplog.messages] == [False]
    assert "read only replica" in caplog.text
    redis.replicaof("NO", "ONE")
    for _ in range(2):
        assert notifier.notifier().count() == 0
    assert caplog.messages[1:] == ["Redis answers again."]
    redis.replicaof("127.0.0.1", 9)
    notifier.notify()
    assert "read only replica" in caplog.messages[-1]


def test_one_that_is_closed_has_no_connection_until_it_is_asked_again(
    app: Flask, redis: Redis
) -> None:
    del app
    alone = len(redis.client_list())
    for _ in range(2):
        assert notifier.notifier().count() == 0
        assert len(redis.client_list()) == alone + 1
        notifier.notifier().close()
        assert until(lambda: len(redis.client_list()) == alone)


def test_sweeps_that_queued_up_are_dropped_and_nothing_else(app: Flask, redis: Redis) -> None:
    redis.rpush("rq:queue:deliveries", "sweep", "other", "sweep")
    notifier.notifier().drop_queued_sweeps()
    assert queued(redis) == ["other"]


def test_it_notifies_once_after_the_commit_and_not_before(app: Flask, redis: Redis) -> None:
    touch()
    notifier.notify_after_commit(db.session)
    notifier.notify_after_commit(db.session)
    assert notifier.notifier().count() == 0
    db.session.commit()
    assert notifier.notifier().count() == 1
    touch()
    db.session.commit()
    assert notifier.notifier().count() == 1


def test_a_released_savepoint_does_not_ring(app: Flask) -> None:
    touch()
    with db.session.begin_nested():
        touch()
        notifier.notify_after_commit(db.session)
    assert notifier.notifier().count() == 0
    db.session.commit()
    assert notifier.notifier().count() == 1


def test_a_rolled_back_savepoint_does_not_silence_what_was_asked_outside_it(app: Flask) -> None:
    touch()
    notifier.notify_after_commit(db.session)
    savepoint = db.session.begin_nested()
    touch()
    savepoint.rollback()
    db.session.commit()
    assert notifier.notifier().count() == 1


@pytest.mark.parametrize("end", ["rollback", "close", "remove"])
def test_whatever_is_not_committed_does_not_ring(app: Flask, end: str) -> None:
    touch()
    notifier.notify_after_commit(db.session)
    getattr(db.session, end)()
    touch()
    db.session.commit()
    assert notifier.notifier().count() == 0


def test_two_applications_in_one_process_notification_their_own_notifier_once(
    app: Flask, valkey: PrivateValkey, tmp_path: Path
) -> None:
    app_for(valkey.url, tmp_path / "other")
    touch()
    notifier.notify_after_commit(db.session)
    db.session.commit()
    assert notifier.notifier().count() == 1


@contextmanager
def hanging_server(path: Path) -> Iterator[list[float]]:
    """A Redis that accepts and never answers; yields when it was connected to."""
    connected: list[float] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen(64)
        server.settimeout(0.05)
        stop = threading.Event()

        def accept() -> None:
            held = []
            while not stop.is_set():
                try:
                    held.append(server.accept()[0])
                except TimeoutError:
                    continue
                connected.append(time.monotonic())
            for connection in held:
                connection.close()

        thread = threading.Thread(target=accept)
        thread.start()
        yield connected
        stop.set()
        thread.join(timeout=5)


def test_a_hanging_redis_holds_one_notification_for_less_than_a_second_and_then_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hanging_server(tmp_path / "redis.sock") as connected:
        app = app_for(f"unix://{tmp_path}/redis.sock", tmp_path / "instance")
        with app.app_context():
            started = time.monotonic()
            notifier.notify()
            first = time.monotonic() - started
            for _ in range(100):
                notifier.notify()
            others = time.monotonic() - started - first
            assert notifier.notifier().count() is None
    assert redis_state.CONNECT_TIMEOUT + redis_state.ANSWER_TIMEOUT < 1
    assert 0.3 < first < 5
    assert others < 5
    assert len(connected) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_redis_that_is_down_lets_the_commit_through(app: Flask, valkey: PrivateValkey) -> None:
    valkey.kill()
    touch()
    notifier.notify_after_commit(db.session)
    started = time.monotonic()
    db.session.commit()
    assert time.monotonic() - started < 5
    assert notifier.notifier().count() is None


def test_the_notifier_works_again_after_its_rest(
    app: Flask, valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 100
    monkeypatch.setattr(notifier, "monotonic", lambda: seconds)
    valkey.kill()
    notifier.notify()
    valkey.start()
    seconds += notifier.QUIET_SECONDS - 1
    notifier.notify()
    assert queued(valkey.client()) == []
    seconds += 1
    notifier.notify()
    assert len(queued(valkey.client())) == 1
