"""Measure the deliveries per second and the processor time of one and of two worker processes.

Compare them with plain RQ jobs and with libcurl alone.
"""

from collections.abc import Iterator
from typing import NamedTuple

from redis import Redis
from rq import Queue
from sqlalchemy import select

from bench.support.bare_libcurl import Post, post_all
from bench.support.plain_rq import QUEUE, deliver
from bench.support.report import Line
from bench.support.world import (
    DATABASES,
    World,
    is_done,
    let_go,
    publish_at_once,
    seconds_from_first_to_last,
    seconds_since,
    settle,
    store_backlog,
    wait_until,
    webhooks,
    world,
)
from portal.engine.http.transport import header_lines
from portal.extensions import db
from portal.models.deliveries import Delivery
from portal.services.core.heartbeats import HEARTBEAT_EVERY
from portal.services.core.unit_of_work import writing
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.request import Composer

WEBHOOKS = 50
EVENTS = 800
BARE_EVENTS = 1200  # long enough that one hiccup of the machine is less than a tenth
POSTS_AT_ONCE = 400  # as many as a worker has in flight, eight per webhook
PLAIN_JOBS = {"fork": 60, "simple": 400}


class Measured(NamedTuple):
    """Deliveries per second, and microseconds of processor time for each, without receivers."""

    rate: float
    cost: float


def run() -> Iterator[Line]:
    """Measure each database in turn, always against the same receiver."""
    for database in DATABASES:
        ours, cost = measure(database)
        plain = {kind: _plain(database, kind) for kind in PLAIN_JOBS}
        bare = _bare()
        where = f"deliveries/s, {database}"
        note = f"{WEBHOOKS} webhooks, 1 KB; {cost:.0f} µs of all processors each"
        yield Line(f"One worker process, {where}", f"{ours:.0f}", note)
        if database == "postgres":
            two, cost = measure(database, workers=2)
            note = f"{two / ours:.2f} times one; {cost:.0f} µs each"
            yield Line(f"Two worker processes, {where}", f"{two:.0f}", note)
        for kind, rate in plain.items():
            name = "forking worker" if kind == "fork" else "SimpleWorker"
            yield Line(
                f"RQ job each, {name}, {where}", f"{rate:.1f}", f"ours: {ours / rate:.0f} times"
            )
        yield Line(
            f"libcurl alone, requests/s, beside {database}",
            f"{bare:.0f}",
            f"ours: {ours / bare:.0%}",
        )


def measure(database: str, workers: int = 1) -> Measured:
    """Measure one round."""
    with world(database) as here:
        _, url = here.receiver()
        webhooks(url, WEBHOOKS)
        count = store_backlog(EVENTS)
        for _ in range(workers):
            here.worker()
        # Each learns of the others with its next heartbeat.
        settle(1.0 if workers == 1 else HEARTBEAT_EVERY + 1.0)
        used = here.processor_seconds()
        committed_at = let_go()
        wait_until(is_done, 120, "everything delivered")
        cost = (here.processor_seconds() - used) / count
        return Measured(count / seconds_since(committed_at), cost * 1e6)


def _plain(database: str, kind: str) -> float:
    jobs = PLAIN_JOBS[kind]
    with world(database) as here:
        _, url = here.receiver()
        webhooks(url, WEBHOOKS)
        publish_at_once(-(-jobs // WEBHOOKS))
        _enqueue(here, jobs)
        here.environment["BENCH_DATABASE"] = here.settings.database_url
        worker = here.start("-m", "bench.support.plain_rq", kind)
        assert worker.wait(120) == 0
        return jobs / seconds_from_first_to_last()


def _enqueue(here: World, jobs: int) -> None:
    plain = Queue(QUEUE, connection=Redis.from_url(here.settings.redis_url, protocol=2))
    for delivery_id in db.session.scalars(select(Delivery.id).order_by(Delivery.id).limit(jobs)):
        plain.enqueue(deliver, delivery_id, result_ttl=0)
    db.session.rollback()


def _bare() -> float:
    """Replay precomposed requests in a loop."""
    with world("sqlite") as here:
        _, url = here.receiver()
        webhooks(url, WEBHOOKS)
        publish_at_once(1)
        with writing() as current:
            claims = dispatch_claim.claim(current.connection(), WEBHOOKS)
        composer = Composer(here.settings.version)
        requests = [composer.compose(claim) for claim in claims]
        posts = [Post(r.url, header_lines(r.headers), r.body) for r in requests]
        return BARE_EVENTS * WEBHOOKS / post_all(posts * BARE_EVENTS, at_once=POSTS_AT_ONCE)
