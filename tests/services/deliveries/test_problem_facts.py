"""What a problem says beside its number."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.tasks import Task, TaskState
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry, retry
from portal.services.deliveries import problems as delivery_problems
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss
from portal.services.deliveries.problems import Problem
from portal.services.deliveries.retry import Queued
from tests.services.bulk_retry.test_bulk_retry import work
from tests.services.deliveries.test_problems import fail, told
from tests.support.deliveries import make_attempt, make_delivery, stored
from tests.support.factories import Hook, make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")
MINUTE = timedelta(minutes=1)


@pytest.fixture
def sam(app: Flask) -> Actor:
    return make_user("support", name="Sam").actor


def retried(hook: Hook, reason: str, code: int | None = None, **columns: object) -> None:
    make_delivery(
        hook, **{"status": "retrying", "reason": reason, "code": code, "tries": 3, **columns}
    )


def problem(hook: Hook) -> Problem:
    (found,) = delivery_problems.find_problems(hook.public_id)
    return found


@pytest.mark.parametrize("reasons", [("reset", "no_reply"), ("no_reply", "reset")])
def test_reasons_that_read_the_same_tell_the_earliest_retry_and_the_last_failure(
    reasons: tuple[str, str],
) -> None:
    now, until = utcnow(), utcnow() + 2 * MINUTE
    hook = make_webhook(throttled=True, backoff_until=until)
    for reason, minutes in zip(reasons, (9, 5), strict=True):
        retried(hook, reason, due_at=now + minutes * MINUTE)
    fail(hook, "no_reply", None, finished_at=now - 9 * MINUTE)
    fail(hook, "reset", None, finished_at=now - 3 * MINUTE)
    fail(hook, "no_reply", None, finished_at=now - 5 * MINUTE)
    found = problem(hook)
    assert (found.count, found.failed) == (5, 3)
    assert found.next_retry_at == now + 5 * MINUTE
    assert found.failed_at == now - 3 * MINUTE


@pytest.mark.parametrize(
    ("codes", "code"),
    [((500, 500), 500), ((500, 502), None), ((502, 500), None), ((None, 500), None)],
)
def test_a_code_is_told_only_where_all_have_the_same(
    codes: tuple[int | None, int | None], code: int | None
) -> None:
    hook, other = make_webhook(), make_webhook()
    fail(hook, "server", codes[0])
    retried(hook, "server", codes[1])
    for each in codes:
        fail(other, "server", each)
    assert problem(hook).code == problem(other).code == code


@pytest.mark.parametrize("in_order", [False, True])
def test_in_order_the_head_goes_at_its_own_time_else_no_sooner_than_the_pause_ends(
    in_order: bool,
) -> None:
    now = utcnow()
    hook = make_webhook(in_order=in_order, throttled=True, backoff_until=now + 9 * MINUTE)
    retried(hook, "refused", due_at=now + 5 * MINUTE)
    found = problem(hook)
    assert found.next_retry_at == now + (5 if in_order else 9) * MINUTE
    assert found.is_paused


def test_only_what_is_still_to_go_holds_others_up() -> None:
    hook, other = make_webhook(in_order=True), make_webhook(in_order=True)
    fail(hook)
    for _ in range(2):
        make_delivery(hook)
    assert problem(hook).waits_behind == 0
    retried(other, "refused")
    make_delivery(other)
    assert problem(other).waits_behind == 1


def test_it_has_recovered_once_something_arrived_later_and_nothing_failed_since() -> None:
    now = utcnow()
    cases: tuple[tuple[dict[str, Any], bool], ...] = (
        ({"last_delivered_at": now}, True),
        ({"last_delivered_at": now - 9 * MINUTE}, False),
        ({"last_delivered_at": now, "failing_since": now}, False),
        ({}, False),
    )
    for columns, has_recovered in cases:
        hook = make_webhook(**columns)
        fail(hook, finished_at=now - 5 * MINUTE)
        assert problem(hook).has_recovered is has_recovered


@pytest.mark.parametrize(
    ("oldest", "youngest", "told"),
    [
        ("server", "server", ("Server error", False)),
        ("server", "refused", (None, False)),
        ("server", None, ("Server error", True)),
        (None, "server", ("Server error", True)),
        (None, None, (None, False)),
    ],
)
def test_why_it_failed_before_is_told_of_all_where_the_oldest_and_the_youngest_say_the_same(
    oldest: str | None, youngest: str | None, told: tuple[str | None, bool]
) -> None:
    hook = make_webhook()
    for reason in (oldest, "dns", youngest):
        made = fail(hook, "auth", 401)
        if reason:
            make_attempt(made, reason=reason)
        make_attempt(made, reason="auth", code=401, kind="manual")
    found = problem(hook)
    assert (found.earlier and found.earlier.words, found.is_earlier_of_some) == told


def test_of_two_that_are_alike_the_first_by_name_stands_first() -> None:
    for name in ("Desk", "cargo", "Auction"):
        fail(make_webhook(name=name))
    assert [name for name, *_ in told()] == ["Auction", "cargo", "Desk"]


def test_what_was_sent_as_a_test_or_arrived_is_no_part_of_a_number() -> None:
    hook = make_webhook()
    fail(hook)
    fail(hook, priority=Priority.TEST)
    assert (
        problem(hook).count
        == delivery_problems.count()
        == delivery_problems.count(hook.public_id)
        == 1
    )


def waiting() -> int:
    """How many problems' deliveries are about to go out in bulk retries."""
    found = retry.queued(session())
    return sum(each.waiting for of_one in found.values() for each in of_one.values())


def test_of_two_bulk_retries_what_waits_and_what_is_handed_over_are_added_each_by_itself() -> None:
    both = Queued(waiting=1, handed_over=2).with_more(Queued(waiting=3, handed_over=4))
    assert (both, both.all) == (Queued(waiting=4, handed_over=6), 10)


def test_of_what_waits_in_a_bulk_retry_only_what_is_listed_counts(
    sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    hook = make_webhook()
    made = [fail(hook) for _ in range(4)]
    bulk_retry.start(sam, Selection(ticked=tuple(made)))
    work()

    assert waiting() == 3
    with monkeypatch.context() as few:
        few.setattr(retry, "MOST_QUEUED", 2)
        assert waiting() < 3
    dismiss(sam, Selection(ticked=(made[1],)))
    assert waiting() == 2


def test_what_a_bulk_retry_left_when_it_was_given_up_is_not_about_to_go_out(
    sam: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    for is_over in (True, False):
        made = [fail(make_webhook()) for _ in range(3)]
        batch = bulk_retry.start(sam, Selection(ticked=tuple(made)))
        work()
        with writing() as current:
            mine = update(Task).where(Task.public_id == batch)
            current.execute(mine.values(state=TaskState.FAILED)) if is_over else None
        ids = [stored(each)["id"] for each in made]
        assert sorted(retry.taken(session(), ids)) == ([] if is_over else ids)
    assert waiting() == 2
