"""Each action queues a job that delivers, both with a running sender and with RQ's own worker."""

import time
from collections.abc import Iterator

import pytest
from flask import Flask
from redis import Redis
from rq import Queue
from rq.registry import FinishedJobRegistry

from portal.base_app import create_base_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.queue import names, notifier
from portal.queue.portal_job import PortalJob
from tests.jobs.worker.conftest import Start
from tests.support.factories import make_webhook, publish
from tests.support.processes import Process, until
from tests.support.receiver import Receiver
from tests.support.valkey import PrivateValkey

RQ_WORKER = (
    *("-m", "rq.cli", "worker", names.DELIVERIES),
    *("--job-class", "portal.queue.portal_job.PortalJob"),
)


@pytest.fixture
def redis(valkey: PrivateValkey) -> Redis:
    return valkey.client()


@pytest.fixture
def app(environ: dict[str, str]) -> Iterator[Flask]:
    """Yield an application on the worker's database and Redis."""
    app = create_base_app(load_settings(environ))
    notifier.init_app(app)
    with app.app_context():
        yield app
        notifier.notifier().close()
        db.session.remove()
        db.engine.dispose()


def finished(redis: Redis) -> list[str | None]:
    """Return the names of the jobs that finished according to RQ."""
    queue = Queue(names.DELIVERIES, connection=redis, job_class=PortalJob)
    ids = FinishedJobRegistry(queue=queue, job_class=PortalJob).get_job_ids()
    jobs = PortalJob.fetch_many(ids, connection=redis)
    return [job.func_name for job in jobs if job is not None]


def rq_worker(start: Start, valkey: PrivateValkey) -> Process:
    return start(*RQ_WORKER, "--url", valkey.url)


def test_five_saves_queue_five_jobs_while_a_sender_runs(
    app: Flask, start: Start, redis: Redis, receiver: Receiver
) -> None:
    worker = start()
    assert worker.says("Ready for deliveries.")
    make_webhook(receiver.url)
    before = len(finished(redis))
    for count in range(1, 6):
        publish()
        receiver.wait_for(count, 10)
        time.sleep(2)
    assert until(lambda: len(finished(redis)) >= before + 5), worker.output.read_text()
    assert finished(redis) == [names.DELIVER_DUE] * (before + 5)
    assert worker.stop() == 0


def test_a_plain_rq_worker_delivers_alone(
    app: Flask, start: Start, valkey: PrivateValkey, redis: Redis, receiver: Receiver
) -> None:
    """Including events saved in a second in which no other job is queued."""
    worker = rq_worker(start, valkey)
    make_webhook(receiver.url)
    for _ in range(5):
        publish()
        time.sleep(0.3)
    receiver.wait_for(5, 30)
    assert until(lambda: len(finished(redis)) >= 2), worker.output.read_text()
    assert {*finished(redis)} == {names.DELIVER_DUE}
    assert len(finished(redis)) < 5


def test_a_plain_rq_worker_refuses_foreign_jobs_and_delivers(
    app: Flask, start: Start, valkey: PrivateValkey, redis: Redis, receiver: Receiver
) -> None:
    theirs = Queue(names.DELIVERIES, connection=redis)
    ids = [theirs.enqueue(name).id for name in ("jobs.pump.deliver", "os.getpid")]
    make_webhook(receiver.url)
    publish()
    worker = rq_worker(start, valkey)
    receiver.wait_for(1, 30)
    assert until(lambda: all(id_ in worker.output.read_text() for id_ in ids))
    words = worker.output.read_text()
    assert [words.count(f"Skipped job {id_!r}") for id_ in ids] == [1, 1]
    assert finished(redis) == [names.DELIVER_DUE]
