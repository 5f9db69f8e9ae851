"""Many dispatchers at once: each delivery is sent by one of them, and the caps hold over all."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from sqlalchemy import select

from jobs.dispatcher.database import DatabaseExecutor
from portal.database.engine import impatient_engine
from portal.engine.events.catalogue import EventName
from portal.extensions import db, settings
from portal.models.deliveries import Lease
from portal.services.dispatch import claim as dispatch_claim
from portal.services.dispatch.claim import Claim
from tests.support.factories import make_webhook, publish
from tests.support.processes import until

pytestmark = pytest.mark.both_databases


def claim_on_its_own_connection(app: Flask, places: int, start: threading.Barrier) -> list[Claim]:
    """What one dispatcher claims when all begin at the same moment."""
    with app.app_context():
        engine = impatient_engine(settings().database_url)
        writer = DatabaseExecutor(engine)
        start.wait(timeout=5)
        claims: list[list[Claim]] = []

        def try_once() -> bool:
            claimed = writer.write(lambda connection: dispatch_claim.claim(connection, places))
            if claimed is not None:
                claims.append(claimed)
            return claimed is not None

        assert until(try_once, 5)
        engine.dispose()
        return claims[0]


def claim_together(app: Flask, dispatchers: int) -> list[Claim]:
    start = threading.Barrier(dispatchers)
    with ThreadPoolExecutor(dispatchers) as pool:
        runs = [
            pool.submit(claim_on_its_own_connection, app, 100, start) for _ in range(dispatchers)
        ]
        return [claim for run in runs for claim in run.result(timeout=15)]


def test_no_delivery_is_claimed_twice(app: Flask) -> None:
    for _ in range(6):
        make_webhook()
    for number in range(5):
        publish(asset_id=number + 1)
    claims = claim_together(app, 4)
    assert max(Counter(claim.delivery_id for claim in claims).values()) == 1
    db.session.rollback()
    leased = db.session.execute(select(Lease.delivery_id)).scalars().all()
    assert sorted(leased) == sorted(claim.delivery_id for claim in claims)


def test_the_cap_of_a_webhook_holds_over_all_dispatchers(app: Flask) -> None:
    make_webhook()
    for number in range(30):
        publish(asset_id=number + 1)
    claims = claim_together(app, 4)
    assert len(claims) == settings().webhook_max_in_flight


@pytest.mark.usefixtures("app")
def test_receivers_that_hang_leave_the_last_places_to_others() -> None:
    for _ in range(4):
        make_webhook()
    for number in range(9):
        publish(asset_id=number + 1)
    engine = impatient_engine(settings().database_url)
    writer = DatabaseExecutor(engine)
    # Of 16 places the four take 14 at most; none of these is ever answered.
    hanging = writer.write(lambda connection: dispatch_claim.claim(connection, 16, 2))
    again = writer.write(lambda connection: dispatch_claim.claim(connection, 2, 2))
    healthy = make_webhook(events=[EventName.LOST])
    for _ in range(2):
        publish(EventName.LOST)
    claims = writer.write(lambda connection: dispatch_claim.claim(connection, 2, 2))
    engine.dispose()
    assert hanging is not None
    assert (len(hanging), len(Counter(each.webhook.id for each in hanging))) == (14, 4)
    assert again == []
    assert [each.webhook.id for each in claims or ()] == [healthy.id]
