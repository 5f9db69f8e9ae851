"""Send webhooks the plain way, for comparison, with one RQ job, `requests.post` and commit each.

Run as a program, it is the worker that empties the queue and ends.
"""

import os
import sys
from functools import cache

import requests
from redis import Redis
from rq import Queue, SimpleWorker, Worker
from sqlalchemy import Engine, create_engine, insert, select, update

from portal.database.engine import engine_options, prepare_engine
from portal.lib.clock import utcnow
from portal.models.deliveries import Attempt, AttemptOutcome, Delivery, DeliveryStatus, Event
from portal.models.webhooks import Webhook

QUEUE = "plain"


@cache
def engine() -> Engine:
    """Return an engine for the same database with the same connection settings."""
    url = os.environ["BENCH_DATABASE"]
    made = create_engine(url, **engine_options(url))
    prepare_engine(made)
    return made


def deliver(delivery_id: int) -> None:
    """Read, post, write and commit one delivery."""
    query = (
        select(Event.body, Webhook.url, Delivery.attempts)
        .select_from(Delivery)
        .join(Event, Event.id == Delivery.event_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.id == delivery_id)
    )
    with engine().connect().execution_options(writing=True) as connection, connection.begin():
        body, url, attempts = connection.execute(query).one()
        started_at = utcnow()
        answer = requests.post(
            url, data=body, headers={"Content-Type": "application/json"}, timeout=30
        )
        connection.execute(
            insert(Attempt).values(
                delivery_id=delivery_id,
                number=attempts + 1,
                kind="scheduled",
                url=url,
                outcome=AttemptOutcome.DELIVERED,
                code=answer.status_code,
                started_at=started_at,
                finished_at=utcnow(),
            )
        )
        done = {"status": DeliveryStatus.DELIVERED, "code": answer.status_code}
        mine = update(Delivery).where(Delivery.id == delivery_id)
        connection.execute(mine.values(**done, attempts=attempts + 1, finished_at=utcnow()))


def main() -> None:
    """Empty the queue. `fork` starts a process for each job, as RQ does by default, and `simple`
    none."""
    redis = Redis.from_url(os.environ["REDIS_URL"], protocol=2)
    kind = {"fork": Worker, "simple": SimpleWorker}[sys.argv[1]]
    worker = kind([Queue(QUEUE, connection=redis)], connection=redis, log_job_description=False)
    print("working", flush=True)
    worker.work(burst=True, logging_level="WARNING")


if __name__ == "__main__":
    main()
