"""A change to or from daylight saving time moves no due time."""

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from rq_scheduler import Scheduler

from jobs.deliver import deliver_due
from portal.extensions import settings
from portal.queue.names import MAINTENANCE_ID
from portal.queue.portal_job import PortalJob
from portal.queue.schedule import ENTRIES, reconcile, table
from tests.jobs.dispatcher.delivery_clock import only_delivery
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver
from tests.support.servers import ValkeyServer

IN = 1.5  # seconds from now
A_WHILE = 60.0  # seconds, with slack for a busy machine, because a fault would cost an hour
# POSIX notation for one hour east and west of Greenwich.
JUMPS = {"forward": ("BBB-1", 3600), "back": ("BBB1", -3600)}


@pytest.fixture
def _own_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Restore the time zone after the test."""
    monkeypatch.setenv("TZ", "UTC")
    yield
    monkeypatch.undo()
    time.tzset()


def let_clocks_jump(zone: str) -> None:
    """Set a time zone whose clocks change in a moment."""
    at = datetime.now(UTC) + timedelta(seconds=IN)
    day, half_a_year_later = at.timetuple().tm_yday - 1, (at.timetuple().tm_yday + 181) % 365
    os.environ["TZ"] = f"AAA0{zone},{day}/{at:%H:%M:%S},{half_a_year_later}/0"
    time.tzset()


def has_jumped(seconds: int) -> bool:
    return time.localtime().tm_gmtoff == seconds


@pytest.mark.usefixtures("_own_zone")
@pytest.mark.parametrize(("zone", "jump"), JUMPS.values(), ids=JUMPS.keys())
def test_a_clock_change_delays_neither_retries_nor_the_schedule(
    app: Flask, valkey_server: ValkeyServer, receiver: Receiver, zone: str, jump: int
) -> None:
    app.extensions["settings"] = replace(usual := settings(), webhook_retry_schedule=(0, 2))
    redis = valkey_server.client()
    receiver.answer_next(500)
    make_webhook(receiver.url)
    publish()
    let_clocks_jump(zone)
    try:
        assert not has_jumped(jump)
        reconcile(redis, table(settings()))
        deliver_due()
        assert until(lambda: has_jumped(jump), A_WHILE)
        assert until(lambda: bool(deliver_due() or only_delivery().status == "delivered"), A_WHILE)
        first, second = receiver.received
        assert 1.7 <= second.at - first.at < A_WHILE
        Scheduler(connection=redis, job_class=PortalJob).enqueue_jobs()
        assert MAINTENANCE_ID.encode() in redis.lrange("rq:queue:deliveries", 0, -1)
        assert abs(redis.zscore(ENTRIES, MAINTENANCE_ID) - time.time()) < A_WHILE
        assert reconcile(redis, table(settings())) == []
    finally:
        app.extensions["settings"] = usual
