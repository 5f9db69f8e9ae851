"""The notifier wakes workers once after a commit and never delays a Save."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
from portal.queue import connection, names, notifier
from portal.queue.connection import patient_client, quick_client
from portal.queue.portal_job import PortalJob
from tests.conftest import ENVIRONMENT
from tests.support.notifications import notifications
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


def test_every_job_name_imports_a_function_decorated_with_job() -> None:
    for name in names.JOB_NAMES:
        assert import_attribute(name).__code__ is job(lambda: None).__code__, name


def test_the_delivering_job_is_queued_at_the_front_with_its_timeouts(
    app: Flask, redis: Redis
) -> None:
    redis.rpush("rq:queue:deliveries", "something-else")
    made = request_id.begin()
    try:
        notifier.notify()
    finally:
        request_id.carry_on("")
    job = PortalJob.fetch(queued(redis)[0], connection=redis)
    assert job.meta == {"request_id": made}
    assert (job.func_name, job.args, job.kwargs) == (names.DELIVER_DUE, (), {})
    assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (86_400, 600, 86_400, 900)
    assert 800 < redis.ttl(job.key) <= 900


def test_the_task_job_is_queued_at_the_end_with_its_timeouts(app: Flask, redis: Redis) -> None:
    redis.rpush("rq:queue:background", "other")
    made = request_id.begin()
    notifier.notify_tasks()
    request_id.carry_on("")
    other, own = Queue(names.BACKGROUND, connection=redis).get_job_ids()
    job = PortalJob.fetch(own, connection=redis)
    assert (other, job.func_name, job.meta) == ("other", names.RUN_TASKS, {"request_id": made})
    assert (job.timeout, job.result_ttl, job.failure_ttl, job.ttl) == (3600, 600, 86_400, 900)
    assert 800 < redis.ttl(job.key) <= 900


def test_a_thousand_notifications_queue_one_job_a_second(app: Flask, redis: Redis) -> None:
    began, before = time.monotonic(), notifications()
    for _ in range(1000):
        notifier.notify()
    assert notifications() == before + 1000
    assert 1 <= len(queued(redis)) <= 1 + (time.monotonic() - began) / notifier.QUEUED_SECONDS


def test_the_limit_of_one_job_a_second_expires_by_itself(app: Flask, redis: Redis) -> None:
    notifier.notify()
    redis.delete("rq:queue:deliveries")  # a worker has taken and finished it
    notifier.notify()
    assert queued(redis) == []
    assert 0 < redis.pttl(notifier.QUEUED) <= 1000
    assert until(lambda: not redis.exists(notifier.QUEUED))
    notifier.notify()
    assert len(queued(redis)) == 1


def test_without_the_right_to_publish_the_job_is_queued(app: Flask, redis: Redis) -> None:
    redis.execute_command("ACL", "SETUSER", "default", "resetchannels")
    notifier.notify()
    assert len(queued(redis)) == 1


def test_a_read_only_redis_does_not_count_as_back(
    app: Flask, redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A replica accepts subscriptions, but these wake no worker."""
    monkeypatch.setattr(notifier, "BACKOFF_SECONDS", 0.0)
    redis.replicaof("127.0.0.1", 9)
    notifier.notify()
    for _ in range(3):
        assert notifier.notifier().subscribe() is None
    assert ["Redis responds again." in line for line in caplog.messages] == [False]
    assert "read only replica" in caplog.text
    redis.replicaof("NO", "ONE")
    for _ in range(2):
        assert notifier.notifier().ask(Redis.ping)
    assert caplog.messages[1:] == ["Redis responds again."]
    redis.replicaof("127.0.0.1", 9)
    notifier.notify()
    assert "read only replica" in caplog.messages[-1]


def test_a_closed_notifier_has_no_connection_until_its_next_use(app: Flask, redis: Redis) -> None:
    del app
    alone = len(redis.client_list())
    for _ in range(2):
        assert notifier.notifier().ask(Redis.ping)
        assert len(redis.client_list()) == alone + 1
        notifier.notifier().close()
        assert until(lambda: len(redis.client_list()) == alone)


def test_a_notification_comes_once_after_the_commit(app: Flask, redis: Redis) -> None:
    before = notifications()
    touch()
    notifier.notify_after_commit(db.session)
    notifier.notify_after_commit(db.session)
    assert notifications() == before
    db.session.commit()
    assert notifications() == before + 1
    touch()
    db.session.commit()
    assert notifications() == before + 1


def test_a_released_savepoint_does_not_notify(app: Flask) -> None:
    before = notifications()
    touch()
    with db.session.begin_nested():
        touch()
        notifier.notify_after_commit(db.session)
    assert notifications() == before
    db.session.commit()
    assert notifications() == before + 1


def test_a_rolled_back_savepoint_keeps_notifications_from_outside(app: Flask) -> None:
    before = notifications()
    touch()
    notifier.notify_after_commit(db.session)
    savepoint = db.session.begin_nested()
    touch()
    savepoint.rollback()
    db.session.commit()
    assert notifications() == before + 1


def test_an_uncommitted_transaction_does_not_notify(app: Flask) -> None:
    for end in ("rollback", "close", "remove"):
        before = notifications()
        touch()
        notifier.notify_after_commit(db.session)
        getattr(db.session, end)()
        touch()
        db.session.commit()
        assert notifications() == before, end


def test_two_applications_in_one_process_notify_once(
    app: Flask, valkey: PrivateValkey, tmp_path: Path
) -> None:
    before = notifications()
    app_for(valkey.url, tmp_path / "other")
    touch()
    notifier.notify_after_commit(db.session)
    db.session.commit()
    assert notifications() == before + 1


@contextmanager
def hanging_server(path: Path) -> Iterator[list[float]]:
    """Run a Redis that accepts connections and never answers. Yields the times of the
    connections."""
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


def test_a_hanging_redis_delays_only_the_first_notification(
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
            assert notifier.notifier().ask(Redis.ping) is None
    assert connection.CONNECT_TIMEOUT + connection.ANSWER_TIMEOUT < 1
    assert 0.3 < first < 5
    assert others < 5
    assert len(connected) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_commit_succeeds_while_redis_is_down(app: Flask, valkey: PrivateValkey) -> None:
    valkey.kill()
    touch()
    notifier.notify_after_commit(db.session)
    started = time.monotonic()
    db.session.commit()
    assert time.monotonic() - started < 5
    assert notifier.notifier().ask(Redis.ping) is None


def test_the_notifier_works_again_after_its_backoff(
    app: Flask, valkey: PrivateValkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 100
    monkeypatch.setattr(notifier, "monotonic", lambda: seconds)
    valkey.kill()
    notifier.notify()
    valkey.start()
    seconds += notifier.BACKOFF_SECONDS - 1
    notifier.notify()
    assert queued(valkey.client()) == []
    seconds += 1
    notifier.notify()
    assert len(queued(valkey.client())) == 1


def test_each_client_has_its_timeouts_and_does_not_retry() -> None:
    for client, connect, answer in ((quick_client, 0.25, 0.5), (patient_client, 5, 5)):
        made = client("redis://127.0.0.1:9/0")
        arguments = made.get_connection_kwargs()
        assert (arguments["socket_connect_timeout"], arguments["socket_timeout"]) == (
            connect,
            answer,
        ), client
        assert (arguments["retry"].get_retries(), arguments["protocol"]) == (0, 2), client
