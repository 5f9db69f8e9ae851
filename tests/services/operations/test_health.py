"""Facts about the portal, read from real databases and a real Valkey."""

import os
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text, update

from jobs.worker import keep_going
from portal.database.trouble import Kind, Trouble, observed
from portal.extensions import settings
from portal.models.deliveries import Priority
from portal.models.operations import Process
from portal.models.webhooks import WebhookState
from portal.queue.connection import RedisFault
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.operations import findings, health
from portal.services.operations.health import read_backlog, read_ready
from portal.services.operations.metrics import Recent, read_deliveries, read_recent
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.deliveries import lease, make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.support.heartbeats import record_own


def test_processes_returns_everything_that_was_recorded(app: Flask) -> None:
    full = Trouble(Kind.FULL, "no room")
    with writing() as current:
        heartbeats.record_own(current.connection(), heartbeats.WEB, ["noticed"], full)
        now = database_time(current)
        times = {"seen_at": now, "started_at": now, "offline_since": now}
        current.execute(
            update(Process).values(**times, skew=7, offline_hosts="a.example b.example")
        )
    both: dict[str, Any] = {
        "host": settings().machine,
        "pid": os.getpid(),
        "seen_at": now,
        "started_at": now,
        "is_alive": True,
        "skew": 7.0,
        "offline_since": now,
        "offline_hosts": ["a.example", "b.example"],
    }
    own = heartbeats.own_name(heartbeats.WEB)
    assert heartbeats.processes() == [
        heartbeats.ProcessStatus(kind="noticed", name="noticed", **both),
        heartbeats.ProcessStatus(kind=heartbeats.WEB, name=own, trouble=full, **both),
    ]


def test_a_read_only_database_hides_the_findings_that_follow(app: Flask) -> None:
    with writing() as current:
        earlier = database_time(current) - timedelta(minutes=40)
        for kind, ago in ((DELIVERIES, 0), (BACKGROUND, 0), (BACKGROUND, 60)):
            kind, at = heartbeats.worker_of(kind), earlier - timedelta(seconds=ago)
            name = f"{kind} {ago}"
            current.add(Process(name=name, kind=kind, host=name, started_at=at, seen_at=at))
        for each in (heartbeats.SCHEDULER, heartbeats.MAINTENANCE):
            current.add(Process(name=each, kind=each, started_at=earlier, seen_at=earlier))
    make_delivery(due_at=earlier)

    def found() -> list[str]:
        facts = health.read_facts()
        return [each.key for each in findings.find(facts, facts.at)]

    assert {"no_sender", "no_background", "no_scheduler", "process_silent", "late"} <= {*found()}
    observed.trouble = Trouble(Kind.READ_ONLY, "so it is")
    assert found() == ["database_read_only", "process_silent"]  # lost before the trouble


def test_a_database_of_another_version_is_not_ready(app: Flask) -> None:
    for revision, is_newer in (("0040", False), ("of a later version", True), (None, False)):
        stamp(revision)
        try:
            ready = read_ready()
            facts = health.read_facts()
        finally:
            stamp(health.newest_revision())
        assert (ready.database, ready.migrations, ready.is_ready()) == ("ok", "missing", False), (
            revision
        )
        assert facts.database is not None, revision
        assert (facts.database.revision, facts.database.is_newer) == (revision, is_newer), revision
        assert facts.backlog is None, revision


def stamp(revision: str | None) -> None:
    with writing() as current:
        current.execute(text("DELETE FROM alembic_version"))
        if revision:
            insert = text("INSERT INTO alembic_version (version_num) VALUES (:revision)")
            current.execute(insert, {"revision": revision})


@pytest.mark.both_databases
def test_the_facts_describe_the_database_redis_and_disks(app: Flask, database_kind: str) -> None:
    facts = health.read_facts()
    database, redis = facts.database, facts.redis
    assert database is not None
    assert redis is not None
    product = {"sqlite": "SQLite", "postgres": "PostgreSQL"}[database_kind]
    assert (database.product, database.is_newer) == (product, False)
    assert (database.revision, database.head) == (health.newest_revision(),) * 2
    assert set(database.version) <= set("0123456789.")
    assert database.size > 0
    assert abs(database.skew) < 2
    assert redis.product.startswith("Valkey ")
    none = {"deliveries": 0, "background": 0}
    assert (redis.queued, redis.failed, redis.memory_limit, redis.may_evict) == (
        none,
        none,
        0,
        False,
    )
    assert redis.memory > 0
    assert all(0 < disk.free <= disk.total for disk in facts.disks)


def test_the_facts_give_the_reason_why_redis_is_unusable(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = replace(settings(), redis_url="unix:///nowhere/valkey.sock")
    monkeypatch.setitem(app.extensions, "settings", elsewhere)
    facts = health.read_facts()
    assert facts.redis is None
    assert facts.redis_trouble is not None
    assert facts.redis_trouble.fault is RedisFault.AWAY
    assert facts.database is not None


def test_dead_processes_are_removed_after_an_hour_periodic_tasks_never(app: Flask) -> None:
    begin_periodic_task(heartbeats.MAINTENANCE, 0)
    record_own(heartbeats.WEB)
    for minutes in (0, 59):
        age_by(timedelta(minutes=minutes))
        keep_going()
        assert len(heartbeats.processes()) == 2
    age_by(timedelta(minutes=2))
    keep_going()
    assert [process.kind for process in heartbeats.processes()] == [heartbeats.MAINTENANCE]


def age_by(length: timedelta) -> None:
    with writing() as current:
        for row in current.query(Process):
            row.seen_at -= length


def test_unclaimed_deliveries_are_overdue(app: Flask) -> None:
    now = database_time(session())
    hook = make_webhook()
    make_delivery(hook, status="delivered", due_at=now - timedelta(hours=1))
    make_delivery(hook, due_at=now - timedelta(minutes=5))
    make_delivery(due_at=now - timedelta(minutes=2))
    backlog = read_backlog()
    assert backlog.waiting == 2
    assert backlog.oldest_due_at == now - timedelta(minutes=5)


@pytest.mark.parametrize("in_order", [False, True])
def test_a_paced_chat_is_overdue_only_from_the_end_of_its_pause(app: Flask, in_order: bool) -> None:
    now = database_time(session())
    taken = now - timedelta(seconds=1)
    hook = make_webhook(format="slack", next_at=taken, in_order=in_order)
    for _ in range(2):
        make_delivery(hook, due_at=now - timedelta(hours=1))
    assert read_backlog().oldest_due_at == taken
    paced = make_webhook(format="slack", next_at=now + timedelta(minutes=1), in_order=in_order)
    make_delivery(paced, due_at=now - timedelta(hours=2))
    assert read_backlog().oldest_due_at == taken


def test_an_ordered_delivery_is_overdue_from_the_start_of_its_turn(app: Flask) -> None:
    now = database_time(session())
    long_ago, ended = now - timedelta(hours=1), now - timedelta(minutes=2)
    hook = make_webhook(in_order=True)
    make_delivery(hook, status="delivered", due_at=long_ago, finished_at=ended)
    tested = {"priority": Priority.TEST, "finished_at": now}
    make_delivery(hook, status="delivered", due_at=long_ago, **tested)
    make_delivery(hook, due_at=long_ago)
    make_delivery(hook, due_at=long_ago - timedelta(hours=1))
    assert read_backlog().oldest_due_at == ended


def test_an_ordered_bulk_retry_is_never_overdue(app: Flask) -> None:
    now = database_time(session())
    hook = make_webhook(in_order=True)
    retried = {"prior_status": "failed", "due_at": now - timedelta(hours=1)}
    make_delivery(hook, priority=Priority.BULK, **retried)
    assert read_backlog().oldest_due_at is None
    make_delivery(hook, priority=Priority.INTERACTIVE, **retried)
    assert read_backlog().oldest_due_at == retried["due_at"]


def test_in_a_backoff_only_manual_retries_are_overdue(
    app: Flask,
) -> None:
    now = database_time(session())
    paused = make_webhook(backoff_until=now + timedelta(hours=1))
    make_delivery(paused, due_at=now - timedelta(hours=2))
    retried = timedelta(seconds=3)
    make_delivery(paused, due_at=now - retried, priority=Priority.INTERACTIVE)
    make_delivery(due_at=now - timedelta(seconds=1))
    assert read_backlog().oldest_due_at == now - retried


@pytest.mark.parametrize("in_order", [False, True])
def test_an_unsent_test_is_overdue_even_if_its_webhook_is_off(app: Flask, in_order: bool) -> None:
    now = database_time(session())
    off = make_webhook(state=WebhookState.OFF, in_order=in_order)
    make_delivery(off, due_at=now - timedelta(hours=1))
    make_delivery(off, due_at=now - timedelta(minutes=1), priority=Priority.TEST)
    assert read_backlog().oldest_due_at == now - timedelta(minutes=1)


def test_leased_and_future_deliveries_are_not_overdue(app: Flask) -> None:
    now = database_time(session())
    lease(make_delivery(due_at=now - timedelta(minutes=5)))
    make_delivery(status="retrying", due_at=now + timedelta(minutes=5))
    backlog = read_backlog()
    assert (backlog.waiting, backlog.retrying) == (1, 1)
    assert backlog.oldest_due_at is None


def test_figures_count_statuses_by_reason_and_attempts_by_outcome(app: Flask) -> None:
    hook = make_webhook()
    for reason in ("server", "server", "dns"):
        make_delivery(hook, status="failed", reason=reason)
    arrived = make_delivery(hook, status="delivered")
    make_attempt(arrived, outcome="delivered")
    make_attempt(arrived, reason="server")
    make_attempt(arrived, outcome="interrupted", finished_at=None)
    counts = read_deliveries()
    assert {key: count for key, count in counts.items() if count} == {
        ("failed", "server"): 2,
        ("failed", "dns"): 1,
        ("delivered", ""): 1,
    }
    assert counts["on_hold", ""] == 0
    assert read_recent().attempts == {("delivered", ""): 1, ("failed", "server"): 1}


def test_a_quantile_is_one_of_the_values() -> None:
    recent = Recent(attempts=Counter(), seconds=[0.1, 0.2, 0.3, 4.0])
    assert [recent.quantile(share) for share in (0.5, 0.75, 0.99)] == [0.2, 0.3, 4.0]
    for seconds, median in (([], 0.0), ([0.3], 0.3), ([0.1, 0.2], 0.1)):
        assert Recent(attempts=Counter(), seconds=seconds).quantile(0.5) == median
