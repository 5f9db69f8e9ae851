"""Problems: what needs attention by webhook and reason, the worst first, as the log shows it."""

from collections.abc import Iterator
from datetime import timedelta
from random import Random
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from portal.engine.reasons import alike, title
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import Webhook
from portal.services.core import queries as core_queries
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import problems as delivery_problems
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import dismiss
from portal.services.deliveries.problems import Problem
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.support.deliveries import change, lease, make_delivery
from tests.support.factories import Hook, make_user, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def told(*, webhook: UUID | None = None) -> list[tuple[str, str, int]]:
    """Webhook, reason with its code, and how many: of each problem, in their order."""
    return [
        (each.webhook_name, words(each), each.count)
        for each in delivery_problems.find_problems(webhook)
    ]


def words(problem: Problem) -> str:
    return title(problem.reason, problem.code) if problem.reason else "none"


def opened(problem: Problem) -> LogFilter:
    """What *Open* shows."""
    return LogFilter(
        status=StatusFilter.ATTENTION,
        webhook=problem.webhook_id,
        reasons=alike(problem.reason) if problem.reason else (),
        untried=problem.reason is None,
    )


def fail(hook: Hook, reason: str = "server", code: int | None = 500, **columns: object) -> UUID:
    return make_delivery(hook, **{"status": "failed", "reason": reason, "code": code, **columns})


def test_what_failed_is_one_problem_for_each_webhook_and_reason() -> None:
    finance, desk = make_webhook(name="Finance"), make_webhook(name="Desk")
    for _ in range(3):
        fail(finance)
    fail(finance, "auth", 401)
    for code in (502, 503):
        fail(desk, "unavailable", code)
    assert told() == [
        ("Finance", "Server error (500)", 3),
        ("Desk", "Down or restarting", 2),
        ("Finance", "Authentication rejected (401)", 1),
    ]
    assert told(webhook=desk.public_id) == [("Desk", "Down or restarting", 2)]


def test_reasons_that_read_the_same_are_one_problem() -> None:
    desk = make_webhook(name="Desk")
    fail(desk, "reset", None)
    fail(desk, "no_reply", None)
    assert told() == [("Desk", "Connection closed early", 2)]


@pytest.mark.parametrize("later", ["reset", "no_reply"])
def test_it_failed_last_when_either_of_them_did(later: str) -> None:
    hook, now = make_webhook(), utcnow()
    for reason in ("reset", "no_reply"):
        fail(hook, reason, None, finished_at=now - timedelta(minutes=1 if reason == later else 9))
    (problem,) = delivery_problems.find_problems()
    assert problem.failed_at == now - timedelta(minutes=1)


def test_tests_drafts_and_what_is_all_right_are_none() -> None:
    hook = make_webhook()
    fail(hook, priority=Priority.TEST)
    make_delivery(hook, status="delivered")
    make_delivery(hook, status="retrying", reason="server", code=500, tries=2)
    make_delivery(hook, status="dismissed", reason="server", code=500)
    make_delivery(make_webhook(state="draft"), status="failed", priority=Priority.TEST)
    assert told() == []


def test_it_resolves_when_what_failed_has_arrived() -> None:
    made = fail(make_webhook())
    assert delivery_problems.count() == 1
    change(made, status="delivered", reason=None, code=200)
    assert (told(), delivery_problems.count()) == ([], 0)


def test_what_is_tried_again_and_again_counts_from_the_third_attempt_until_it_is_sent() -> None:
    hook = make_webhook(name="Desk")
    made = make_delivery(hook, status="retrying", reason="refused", tries=3)
    (problem,) = delivery_problems.find_problems()
    assert (problem.count, problem.failed, problem.retryable) == (1, 0, 1)
    lease(made)
    assert told() == []


def test_what_waits_for_a_receiver_that_is_left_alone_is_a_problem_with_its_time() -> None:
    until = utcnow() + timedelta(minutes=10)
    door = make_webhook(name="Door", throttled=True, backoff_until=until, failures_in_row=6)
    make_delivery(door, status="retrying", reason="refused", tries=1)
    # Its own time comes later: it is why the others wait.
    make_delivery(
        door, status="retrying", reason="refused", tries=2, due_at=until + timedelta(minutes=9)
    )
    for _ in range(3):
        make_delivery(door)
    make_delivery(make_webhook())
    first, second = delivery_problems.find_problems()
    assert (words(first), first.count, first.retryable) == ("none", 3, 0)
    assert (words(second), second.count, second.retryable) == ("Connection refused", 2, 2)
    assert first.next_retry_at == second.next_retry_at == until
    assert first.is_failing
    gate = make_webhook(name="Gate", throttled=True, backoff_until=until)
    make_delivery(gate)
    assert told(webhook=gate.public_id) == [("Gate", "none", 1)]


def test_what_failed_for_good_and_goes_on_is_worst_and_what_is_still_retried_comes_last() -> None:
    well, ill = make_webhook(name="Well"), make_webhook(name="Ill", failures_in_row=2)
    for _ in range(3):
        fail(well)
        make_delivery(ill, status="retrying", reason="dns", tries=5)
    fail(ill)
    assert [(name, reason) for name, reason, _ in told()] == [
        ("Ill", "Server error (500)"),
        ("Well", "Server error (500)"),
        ("Ill", "Server not found"),
    ]


def test_those_that_are_as_bad_stand_in_the_same_order_each_time() -> None:
    finance, desk = make_webhook(name="finance"), make_webhook(name="Desk")
    for hook, reason in (
        (finance, "redirect"),
        (desk, "server"),
        (finance, "auth"),
        (finance, "dns"),
    ):
        fail(hook, reason, None)
    found = [(each.webhook_name, each.reason) for each in delivery_problems.find_problems()]
    assert found == [
        ("Desk", "server"),
        ("finance", "auth"),
        ("finance", "dns"),
        ("finance", "redirect"),
    ]


def test_nobody_can_retry_what_goes_to_a_webhook_that_is_off_or_deleted() -> None:
    fail(make_webhook(name="Off", state="off"))
    fail(make_webhook(name="Deleted", deleted_at=utcnow()))
    found = {each.webhook_name: each for each in delivery_problems.find_problems()}
    assert {name: each.retryable for name, each in found.items()} == {"Off": 0, "Deleted": 0}
    assert found["Deleted"].is_deleted


def test_a_count_that_stops_is_one_more_than_is_told_as_a_number() -> None:
    assert delivery_problems.MOST == core_queries.COUNT_LIMIT + 1


@pytest.fixture
def three_at_most(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Counts stop at three: the statements that are kept are built anew."""
    kept = delivery_problems._failures, delivery_problems._retrying, delivery_problems._waiting
    monkeypatch.setattr(delivery_problems, "MOST", 3)
    for each in kept:
        each.cache_clear()
    yield
    for each in kept:
        each.cache_clear()


@pytest.mark.usefixtures("three_at_most")
def test_a_count_stops_at_its_limit_and_says_so() -> None:
    hook = make_webhook()
    for _ in range(5):
        fail(hook)
    (problem,) = delivery_problems.find_problems()
    assert (problem.count, problem.failed, problem.first_at) == (3, 3, None)


@pytest.mark.usefixtures("three_at_most")
def test_of_more_than_can_be_counted_the_newest_are() -> None:
    now, minute = utcnow(), timedelta(minutes=1)
    old, away = make_webhook(), make_webhook(throttled=True, backoff_until=now + minute)
    for number, code in enumerate((502, 502, 500, 500, 500)):
        at = now + (number - 9) * minute
        fail(old, code=code, finished_at=at)
        retried = {"status": "retrying", "reason": "server", "code": code, "created_at": at}
        make_delivery(away, **retried)
        make_delivery(away, created_at=at + minute)
    # Stored last, and the first that failed.
    fail(old, code=502, finished_at=now - 10 * minute)
    found = [
        *delivery_problems.find_problems(old.public_id),
        *delivery_problems.find_problems(away.public_id),
    ]
    assert {(each.count, each.reason, each.code) for each in found[1:]} == {
        (3, "server", 500),
        (3, None, None),
    }
    assert (found[0].code, found[0].failed_at) == (500, now - 5 * minute)
    assert {each.last_at for each in found[1:]} == {now - 5 * minute, now - 4 * minute}


@pytest.mark.usefixtures("three_at_most")
def test_many_retries_of_one_webhook_hide_no_other() -> None:
    quiet, busy = make_webhook(name="Quiet"), make_webhook(name="Busy")
    make_delivery(quiet, status="retrying", reason="refused", tries=3)
    for _ in range(3):
        make_delivery(busy, status="retrying", reason="dns", tries=3)
    assert told() == [("Busy", "Server not found", 3), ("Quiet", "Connection refused", 1)]


@pytest.mark.parametrize("seed", range(2))
def test_the_figures_are_what_the_log_shows_when_one_follows_them(app: Flask, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - picks examples
    support, now = make_user("support").actor, utcnow()
    away = {"throttled": True, "backoff_until": now + timedelta(hours=1), "failures_in_row": 5}
    hooks = [make_webhook(), make_webhook(**away), make_webhook(in_order=True, **away)]
    hooks += [make_webhook(state="off"), make_webhook(deleted_at=now)]
    for number in range(60):
        made = make_delivery(
            chance.choice(hooks),
            status=chance.choice(["failed", "failed", "retrying", "queued", "delivered"]),
            reason=chance.choice([None, "server", "reset", "no_reply", "gone"]),
            code=chance.choice([None, 500, 503]),
            priority=chance.choice([Priority.NORMAL, Priority.BULK, Priority.TEST]),
            tries=chance.choice([1, 3, 7]),
            created_at=now - timedelta(minutes=number),
        )
        if not number % 9:
            lease(made)
    some = log_pages.latest(LogFilter(status=StatusFilter.ATTENTION), 50)[::3]
    assert dismiss(support, Selection(ticked=tuple(row.public_id for row in some))).changed > 1
    found = delivery_problems.find_problems()
    assert len(found) > 5
    for each in found:
        rows = list(log_pages.every(opened(each)))
        assert len(rows) == each.count, each
        assert sum(row.status == "failed" for row in rows) == each.failed, each
        assert rows[0].created_at == each.last_at, each
        assert rows[-1].created_at == each.first_at, each
        if each.code:
            assert {row.code for row in rows} == {each.code}
    every = list(log_pages.every(LogFilter(status=StatusFilter.ATTENTION)))
    assert len(every) == delivery_problems.count() == log_pages.count(StatusFilter.ATTENTION)
    assert {row.id for row in every} == {
        row.id for each in found for row in log_pages.every(opened(each))
    }
    assert delivery_problems.count() < core_queries.COUNT_LIMIT
    assert session().scalars(select(Webhook.id)).all()
