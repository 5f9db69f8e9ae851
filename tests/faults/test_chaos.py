"""Minutes of random kills under load. In the end, every delivery is accounted for.

`make chaos` runs it for five minutes on each database. `CHAOS_SEED=…` repeats the same faults.
"""

import logging
import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import func, select

from portal.extensions import db
from portal.models.assets import Asset
from portal.models.deliveries import Attempt, Event
from portal.models.webhooks import Webhook
from portal.services.core.refusals import Refusal
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.faults.support.background_load import Crew
from tests.faults.support.chaos import Chaos
from tests.faults.support.delivery_ledger import (
    Excuses,
    assert_ledger,
    deliveries_to,
    lease_of,
    settled,
)
from tests.faults.support.durations import CHAOS
from tests.faults.support.load import look_again
from tests.faults.support.running_portal import RunningPortal
from tests.faults.support.visitor import Visitor
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.processes import until
from tests.support.receiver import Receiver

log = logging.getLogger(__name__)

pytestmark = pytest.mark.timeout(CHAOS + 200)


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    log.warning("CHAOS_SEED=%s", chosen)
    return chosen


@pytest.fixture
def chaos(
    portal: RunningPortal, seed: int, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Chaos]:
    is_postgres = "DATABASE_URL" in portal.environment
    postgres = request.getfixturevalue("postgres_server") if is_postgres else None
    running = Chaos(portal, tmp_path, seed, postgres)
    yield running
    running.close()


def test_random_kills_lose_no_delivery_and_no_save(
    portal: RunningPortal, receiver: Receiver, chaos: Chaos, seed: int
) -> None:
    receiver.answer(delay=0.05)
    before = how_many_events()
    hooks = [make_webhook(f"{receiver.url}{n}", in_order=n == 0) for n in range(4)]
    admin, visitor = make_user(), Visitor(portal)
    crew = Crew(portal.app, admin, hooks, visitor, receiver, seed)
    crew.start()
    try:
        chaos.go_on(CHAOS)
    finally:
        crew.go_home()
        visitor.close()
    log.warning("%s events, %s Saves, %s", len(crew.published), len(crew.saved), dict(chaos.done))
    receiver.calm()
    for hook in hooks:
        with suppress(Refusal):
            turn_on_off.turn_on(admin.actor, hook.public_id, HeldChoice.SEND)
    assert settled(90)
    assert until(portal.is_whole, 20)
    assert_everything_answered_is_stored(crew)
    excuses = Excuses(stands_still=lease_of(portal), crashes=chaos.crashes)
    assert_ledger(receiver, (how_many_events() - before) * len(hooks), excuses)
    assert_in_order(receiver, hooks[0])


def how_many_events() -> int:
    look_again()
    return db.session.execute(select(func.count(Event.id))).scalar_one()


def assert_everything_answered_is_stored(crew: Crew) -> None:
    look_again()
    assert crew.published
    assert set(crew.published) <= set(db.session.scalars(select(Event.id)))
    assert crew.saved
    counts = Counter(db.session.scalars(select(Asset.name)))
    assert {name: counts[name] for name in crew.saved} == dict.fromkeys(crew.saved, 1)


def assert_in_order(receiver: Receiver, hook: Hook) -> None:
    """Assert that deliveries without a manual retry arrived oldest first.

    A delivery that a person stopped or that failed for good lets later ones pass. A worker that
    paused while holding a delivery can send it late.
    """
    look_again()
    by_people = set(db.session.scalars(select(Attempt.delivery_id).where(Attempt.kind == "manual")))
    assert db.session.get_one(Webhook, hook.id).in_order
    ids = {
        each.public_id: each.id
        for each in deliveries_to(receiver)
        if each.webhook_id == hook.id and each.id not in by_people and each.status == "delivered"
    }
    first: dict[UUID, None] = {}
    for received, code in receiver.answered:
        if 200 <= code <= 299:
            first.setdefault(UUID(received.header("X-Asset-Webhook-Id")))
    order = [ids[public_id] for public_id in first if public_id in ids]
    overtaken = [(earlier, later) for earlier, later in pairwise(order) if earlier > later]
    assert not overtaken, "\n".join(attempts_of({each for pair in overtaken for each in pair}))


def attempts_of(deliveries: set[int]) -> list[str]:
    columns = (Attempt.delivery_id, Attempt.outcome, Attempt.reason, Attempt.started_at)
    query = select(*columns, Attempt.finished_at).where(Attempt.delivery_id.in_(deliveries))
    return [str(row) for row in db.session.execute(query.order_by(Attempt.id))]
