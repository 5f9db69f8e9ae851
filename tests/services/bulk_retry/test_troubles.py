"""The webhooks that a bulk retry waits for, and the counts of a selection."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.engine.circuit_breaker import LONGEST_PAUSE
from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.tasks import TaskState
from portal.services.core.permissions import Actor
from portal.services.deliveries import (
    bulk_retry,
    bulk_retry_report,
    bulk_retry_selection,
    log_query,
)
from portal.services.deliveries.bulk_retry_selection import Selection, Skip
from portal.services.deliveries.statuses import LogFilter
from tests.services.bulk_retry.test_bulk_retry import (
    FAILED,
    all_that,
    finish,
    fresh,
    handed,
    some,
    work,
)
from tests.support.deliveries import lease, make_attempt, make_delivery
from tests.support.factories import make_user, make_webhook

pytestmark = pytest.mark.usefixtures("app")
SOON, LATE = timedelta(minutes=4), timedelta(seconds=LONGEST_PAUSE + 600)


@pytest.fixture
def ana(app: Flask) -> Actor:
    return make_user("support", name="Ana").actor


def told(batch: UUID) -> list[tuple[str, int, bool, datetime | None, bool]]:
    return [
        (trouble.webhook_name, trouble.left, trouble.is_halted, trouble.until, trouble.has_asked)
        for trouble in bulk_retry_report.troubles(fresh(batch))
    ]


def test_webhooks_in_trouble_are_listed_with_their_number_and_pause_end(ana: Actor) -> None:
    now = utcnow()
    soon, late = now + SOON, now + LATE
    away: dict[str, dict[str, Any]] = {
        "Sync": {"throttled": True, "backoff_until": soon},
        "Gate": {"throttled": True, "backoff_until": late},
        "Door": {"throttled": True, "backoff_until": now - timedelta(minutes=1)},
        "Desk": {"backoff_until": soon},
        "Well": {},
    }
    hooks = {name: make_webhook(name=name, **columns) for name, columns in away.items()}
    made = {name: some(2, hook) for name, hook in hooks.items()}
    ticked = tuple(delivery for of_one in made.values() for delivery in of_one)
    batch = bulk_retry.start(ana, Selection(ticked=ticked))
    work()
    assert told(batch) == [
        ("Desk", 2, False, soon, False),
        ("Door", 2, False, None, False),
        ("Gate", 2, False, late, True),
        ("Sync", 2, False, soon, False),
    ]


def test_a_bulk_retry_waits_for_attempts_in_progress_before_it_pauses(
    ana: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_FAILURES", 2)
    made = some(6, make_webhook(name="Sync"))
    batch = bulk_retry.start(ana, all_that(FAILED))
    work()
    finish(made[0], "delivered")
    work()
    assert handed(made) == made[1:]
    lease(made[5])
    for delivery in made[1:3]:
        finish(delivery, "failed")
    work()
    assert fresh(batch).state == TaskState.RUNNING
    assert told(batch) == [("Sync", 3, True, None, False)]
    finish(made[5], "failed")
    work()
    assert fresh(batch).state == TaskState.PAUSED
    assert told(batch) == [("Sync", 2, True, None, False)]


def test_delivered_deliveries_count_only_where_they_can_be_resent(app: Flask) -> None:
    hook, off = make_webhook(name="Sync", in_order=True), make_webhook(state="off")
    make_delivery(hook, status="delivered")
    make_delivery(hook, status="delivered", priority=Priority.TEST)
    make_delivery(off, status="delivered")
    make_delivery(make_webhook(deleted_at=utcnow()), status="delivered")
    counted = bulk_retry_selection.count(all_that(LogFilter()))
    assert (counted.arrived, counted.total, counted.in_order) == (1, 0, set())
    assert counted.skipped == {Skip.ARRIVED: 1, Skip.TEST: 1, Skip.OFF: 2}
    counted = bulk_retry_selection.count(all_that(LogFilter(), again=True))
    assert (counted.total, counted.in_order) == (1, {"Sync"})
    make_delivery(make_webhook(name="Door"), status="failed")
    counted = bulk_retry_selection.count(all_that(LogFilter(), again=True))
    assert (counted.total, counted.in_order) == (2, {"Sync"})


def test_a_paused_delivery_is_selected_by_its_status_without_the_pause(app: Flask) -> None:
    hook = make_webhook(throttled=True, backoff_until=utcnow() + SOON)
    make_delivery(hook)
    make_delivery(hook, status="retrying", tries=1)
    counted = bulk_retry_selection.count(all_that(LogFilter()))
    assert (counted.total, counted.skipped) == (1, {Skip.QUEUED: 1})


def test_a_search_that_ends_early_continues_where_it_stopped(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 2)
    hook = make_webhook()
    matches = []
    for event in ("asset.lost", *["asset.created"] * 3, "asset.lost", *["asset.created"] * 3):
        made = make_delivery(hook, event=event, status="failed")
        matches += [made] if event == "asset.lost" else []
    log_filter = LogFilter(webhook=hook.public_id, event=EventName.LOST)
    pages = bulk_retry_selection.pages(all_that(log_filter))
    chosen = [row.public_id for rows in pages for row in rows]
    assert chosen == matches[::-1]


def test_the_report_shows_the_attempt_of_this_bulk_retry(ana: Actor) -> None:
    (made,) = some(1, make_webhook(), reason="server", code=500)
    make_attempt(made, kind="manual", outcome="failed", reason="dns")
    batch = bulk_retry.start(ana, Selection(ticked=(made,)))
    work()
    for reason, outcome, kind in (
        ("auth", "failed", "scheduled"),
        ("bad_request", "failed", "manual"),
        ("gone", "failed", "manual"),
    ):
        make_attempt(made, kind=kind, outcome=outcome, reason=reason, code=422)
    work()
    (row,) = bulk_retry_report.report_rows(fresh(batch))
    assert (row.reason, row.code) == ("bad_request", 422)
    assert bulk_retry_report.not_arrived(fresh(batch))[1] == 1
