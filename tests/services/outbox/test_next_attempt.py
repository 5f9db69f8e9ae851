"""The first delivery after the pause of a receiver, and the number that waits behind a head."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from portal.extensions import settings
from portal.models.deliveries import Delivery, Priority
from portal.services.core.unit_of_work import database_time, session
from portal.services.outbox.claimable import Claimable, count_behind, due_since, find_due, probe_of
from tests.support.deliveries import lease, make_delivery
from tests.support.factories import Hook, make_webhook

pytestmark = pytest.mark.usefixtures("app")

MINUTE = timedelta(minutes=1)
RETRIED: dict[str, Any] = {"prior_status": "failed", "requested_by": "Ana"}


@pytest.fixture
def pause() -> datetime:
    """Return the end of a receiver's pause."""
    return database_time(session()) + 5 * MINUTE


@pytest.fixture
def left_alone(pause: datetime) -> Hook:
    return make_webhook(throttled=True, backoff_until=pause)


def stored_in_turn(hook: Hook, *columns: dict[str, Any]) -> list[int]:
    """Store deliveries of a webhook, and return their row ids."""
    made = [make_delivery(hook, **each) for each in columns]
    row_ids = {row.public_id: row.id for row in session().execute(select(Delivery.__table__))}
    return [row_ids[each] for each in made]


def test_the_probe_is_the_first_due_delivery_before_any_bulk_retry(
    left_alone: Hook, pause: datetime
) -> None:
    bulk = {"priority": Priority.BULK, "due_at": pause - 9 * MINUTE, **RETRIED}
    waiting = [{"due_at": pause - number * MINUTE} for number in (1, 3, 3, 2)]
    ids = stored_in_turn(left_alone, bulk, *waiting)
    assert probe_of(session(), left_alone.id, pause) == ids[2]


def test_tests_manual_retries_and_later_deliveries_are_no_probe(
    left_alone: Hook, pause: datetime
) -> None:
    early = pause - 9 * MINUTE
    others: list[dict[str, Any]] = [
        {"priority": Priority.TEST, "due_at": early},
        {"priority": Priority.INTERACTIVE, "due_at": early, **RETRIED},
        {"due_at": pause + timedelta(seconds=1)},
        {"due_at": early, "status": "on_hold"},
    ]
    assert stored_in_turn(left_alone, *others)
    assert probe_of(session(), left_alone.id, pause) is None
    (last,) = stored_in_turn(left_alone, {"due_at": pause})
    assert probe_of(session(), left_alone.id, pause) == last


def test_only_open_normal_deliveries_wait_behind_the_head() -> None:
    hook, other = make_webhook(in_order=True), make_webhook(in_order=True)
    assert count_behind(session(), hook.id) == 0
    asked = {"priority": Priority.INTERACTIVE, **RETRIED}
    rows: list[dict[str, Any]] = [
        {"priority": Priority.TEST},
        {},
        {},
        {"status": "retrying"},
        {"priority": Priority.TEST},
        asked,
        {"status": "on_hold"},
        {"status": "failed"},
    ]
    assert stored_in_turn(hook, *rows)
    assert stored_in_turn(other, {}, {})
    assert count_behind(session(), hook.id) == 2


def test_a_bulk_retry_waits_while_the_circuit_is_open(left_alone: Hook) -> None:
    make_delivery(left_alone, priority=Priority.BULK, **RETRIED)
    assert find_due(session().connection()).claimable == []
    make_delivery(left_alone, priority=Priority.INTERACTIVE, **RETRIED)
    (claimable,) = find_due(session().connection()).claimable
    assert claimable.priorities == (Priority.INTERACTIVE,)


def test_a_chat_delivery_is_due_no_earlier_than_the_pace_allows() -> None:
    now = database_time(session())
    hook = make_webhook(format="slack", next_at=now - MINUTE)
    make_delivery(hook, due_at=now - 9 * MINUTE)
    (claimable,) = find_due(session().connection()).claimable
    assert due_since(session().connection(), claimable) == now - MINUTE


def test_each_webhook_with_due_deliveries_gets_its_places_and_state() -> None:
    usual, in_trouble = make_webhook(), make_webhook(throttled=True)
    lease(make_delivery(usual))
    lease(make_delivery(usual), -1)
    for priority in (Priority.TEST, Priority.INTERACTIVE, Priority.NORMAL):
        make_delivery(usual, priority=priority)
    make_delivery(in_trouble)
    most = settings().webhook_max_in_flight
    both = (Priority.INTERACTIVE, Priority.NORMAL)
    assert sorted(find_due(session().connection()).claimable) == [
        Claimable(usual.id, 1, most - 1, both, leased=1, ended=1, throttled=False),
        Claimable(in_trouble.id, 0, 1, (Priority.NORMAL,), leased=0, ended=0, throttled=True),
    ]
