"""Which one goes first when a receiver is no longer left alone, and how many wait behind it."""

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
    """Until when a receiver is left alone."""
    return database_time(session()) + 5 * MINUTE


@pytest.fixture
def left_alone(pause: datetime) -> Hook:
    return make_webhook(throttled=True, backoff_until=pause)


def stored_in_turn(hook: Hook, *columns: dict[str, Any]) -> list[int]:
    """Deliveries of a webhook, by their row ids."""
    made = [make_delivery(hook, **each) for each in columns]
    found = {row.public_id: row.id for row in session().execute(select(Delivery.__table__))}
    return [found[each] for each in made]


def test_what_was_due_first_goes_first_before_all_that_is_sent_again_in_bulk(
    left_alone: Hook, pause: datetime
) -> None:
    bulk = {"priority": Priority.BULK, "due_at": pause - 9 * MINUTE, **RETRIED}
    waiting = [{"due_at": pause - number * MINUTE} for number in (1, 3, 3, 2)]
    ids = stored_in_turn(left_alone, bulk, *waiting)
    assert probe_of(session(), left_alone.id, pause) == ids[2]


def test_nobody_waits_for_a_test_or_a_persons_retry_nor_for_what_is_due_later(
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


def test_behind_the_head_waits_what_is_to_go_in_order() -> None:
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


def test_what_is_sent_again_in_bulk_waits_while_the_circuit_is_open(
    left_alone: Hook,
) -> None:
    make_delivery(left_alone, priority=Priority.BULK, **RETRIED)
    assert find_due(session().connection()).claimable == []
    make_delivery(left_alone, priority=Priority.INTERACTIVE, **RETRIED)
    (wanted,) = find_due(session().connection()).claimable
    assert wanted.priorities == (Priority.INTERACTIVE,)


def test_at_a_chat_it_could_go_since_that_took_one() -> None:
    now = database_time(session())
    hook = make_webhook(format="slack", next_at=now - MINUTE)
    make_delivery(hook, due_at=now - 9 * MINUTE)
    (wanted,) = find_due(session().connection()).claimable
    assert due_since(session().connection(), wanted) == now - MINUTE


def test_of_each_webhook_with_something_due_it_is_told_what_it_may_take_and_how_it_stands() -> None:
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
