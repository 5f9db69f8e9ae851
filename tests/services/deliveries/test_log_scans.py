"""Paging to older and back to newer shows each row once, with every filter.

This holds even if a page has to search more of the log than it can read at once.
"""

from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import insert, select

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.deliveries import (
    Attempt,
    AttemptBody,
    Delivery,
    Event,
    Lease,
    Priority,
)
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import log_query
from portal.services.deliveries.log import LogPage
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter
from tests.services.core.keyset_walk import (
    SIZE,
    Case,
    assert_every_row_once,
    by_id,
    every,
    newest,
)
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_webhook

pytestmark = pytest.mark.both_databases

ROWS = 28
AWAY = "A receiver in trouble"
READ = 5  # rows that a page can read
STATUSES = ["failed", "delivered", "queued", "retrying", "on_hold", "dismissed", "failed"]
EVENTS = [EventName.CREATED, EventName.UPDATED, EventName.DELETED]
Part = tuple[dict[str, Any], Callable[[Delivery], bool]]


@pytest.fixture
def rows(app: Flask, monkeypatch: pytest.MonkeyPatch) -> list[Delivery]:
    """Store a log with some of everything. Tests of an open form are not shown."""
    monkeypatch.setattr(log_query, "MOST_READ", READ)
    now = utcnow()
    assets = [make_asset(f"Dock {n}", asset_tag=f"D-{n}") for n in range(4)]
    away = make_webhook(name=AWAY, throttled=True, backoff_until=now + timedelta(hours=1))
    hooks = [make_webhook().id, make_webhook(state="off").id, away.id]
    draft = make_webhook(state="draft").id
    with writing() as current:
        known = {"occurred_at": now, "body": b"{}", "event": "asset.created"}
        made = current.execute(insert(Event).returning(Event.id), [known] * ROWS).scalars().all()
        rows = [
            Delivery(
                event_id=event_id,
                webhook_id=draft if n % 19 == 18 else hooks[n // 3 % 3],
                event=EVENTS[n // 4 % 3],
                asset_id=assets[n % 4],
                status=STATUSES[n % 7],
                reason=(None, "dns", "server", "gone")[n // 5 % 4],
                code=(500, None, 410)[n // 2 % 3],
                priority=Priority.TEST if n % 11 == 10 else Priority.NORMAL,
                tries=n % 5,
                attempts=2 if n % 3 else 0,
                due_at=now,
                created_at=_stored_at(now, n),
                finished_at=_stored_at(now, n),
                failing_since=now if STATUSES[n % 7] == "failed" and n // 3 % 3 else None,
            )
            for n, event_id in enumerate(made)
        ]
        current.add_all(rows)
        current.flush()
        # Open statuses.
        current.add_all(_lease(now, row) for n, row in enumerate(rows) if n % 7 in {2, 3} and n % 2)
        # Some deliveries of each status had a failed attempt.
        failed = [_failed(row) for n, row in enumerate(rows) if n % 3]
        current.add_all(failed)
        current.flush()
        current.add_all(_answer(each) for each in failed)
    session().rollback()
    query = select(Delivery).where(Delivery.webhook_id != draft)
    return list(session().scalars(query.order_by(Delivery.id)))


def _stored_at(now: datetime, number: int) -> datetime:
    """Return the same moment for each ten rows."""
    return now - timedelta(days=9 - number // 10)


def _lease(now: datetime, row: Delivery) -> Lease:
    known = {"delivery_id": row.id, "webhook_id": row.webhook_id, "token": uuid4(), "number": 1}
    more = {"kind": "scheduled", "url": "https://receiver.example.com/hook", "started_at": now}
    return Lease(until=now + timedelta(hours=1), **known, **more)


def _failed(row: Delivery) -> Attempt:
    known = {"delivery_id": row.id, "number": 1, "kind": "scheduled", "outcome": "failed"}
    times = {"started_at": row.created_at, "finished_at": row.created_at}
    return Attempt(url="https://receiver.example.com/hook", **known, **times)


def _answer(attempt: Attempt) -> AttemptBody:
    text = "100%_done" if attempt.delivery_id % 2 else "100 done"
    headers: dict[str, list[Any]] = {"request_headers": [], "response_headers": []}
    return AttemptBody(attempt_id=attempt.id, response_text=f"<p>{text}</p>", **headers)


def parts(rows: list[Delivery]) -> Iterator[Part]:
    """Yield each filter alone, and a test for the rows that it keeps."""
    one = rows[7]
    middle = sorted(row.created_at for row in rows)[len(rows) // 2]
    webhook = session().scalars(select(Webhook).where(Webhook.id == one.webhook_id)).one()
    yield {}, lambda _: True
    for status in StatusFilter:
        yield {"status": status}, lambda row, status=status: shows(row, status)
    yield {"webhook": webhook.public_id}, lambda row: row.webhook_id == webhook.id
    yield {"event": EventName.UPDATED}, lambda row: row.event == "asset.updated"
    yield {"asset_id": one.asset_id}, lambda row: row.asset_id == one.asset_id
    yield {"search": "d-3"}, lambda row: row.asset_id == one.asset_id
    yield {"search": "ock"}, lambda _: True
    yield {"reasons": (Reason.DNS,)}, lambda row: row.reason == "dns"
    both = (Reason.DNS, Reason.GONE)
    yield {"reasons": both}, lambda row: row.reason in both
    yield {"untried": True}, lambda row: row.reason is None
    yield {"codes": (410, 410)}, lambda row: row.code == 410
    yield {"codes": (400, 599)}, lambda row: row.code is not None
    yield {"delivery": one.public_id}, lambda row: row.public_id == one.public_id
    yield {"since": middle}, lambda row: row.created_at >= middle
    yield {"until": middle}, lambda row: row.created_at < middle
    for between in (FailedBetween(since=middle), FailedBetween(until=middle)):
        yield {"failed": between}, lambda row, between=between: failed_in(row, between)
    # Wildcards match literally.
    yield {"answer": "%_Done"}, lambda row: row.attempts > 0 and row.id % 2 == 1


def shows(row: Delivery, status: StatusFilter) -> bool:
    """Return whether the log lists the row under this status."""
    if status in (StatusFilter.ATTENTION, StatusFilter.UNDELIVERED):
        is_over = row.priority == Priority.TEST or row.status in ("delivered", "dismissed")
        return not is_over and (status is StatusFilter.UNDELIVERED or is_in_trouble(row))
    if status is StatusFilter.OPEN:
        return is_open(row)
    is_failed_test = row.priority == Priority.TEST and status is StatusFilter.FAILED
    return row.status == status and not is_failed_test


def is_in_trouble(row: Delivery) -> bool:
    """Return whether the row's webhook has failures. Two of the three have."""
    return row.webhook_id != sorted(session().scalars(select(Webhook.id)))[1]


def failed_in(row: Delivery, between: FailedBetween) -> bool:
    """Return whether an attempt failed in this period. Tests do not count."""
    is_early = between.since is not None and row.created_at < between.since
    is_late = between.until is not None and row.created_at >= between.until
    return row.attempts > 0 and row.priority != Priority.TEST and not (is_early or is_late)


def is_open(row: Delivery) -> bool:
    return row.status in ("queued", "retrying")


def case(rows: list[Delivery], *chosen: Part, oldest_first: bool = False) -> Case:
    """Combine these filters."""
    asked = {name: value for part, _ in chosen for name, value in part.items()}
    wanted = LogFilter(**asked)

    def turn(cursor: str | None) -> Page[Any]:
        result = log_pages.find_page(wanted, cursor, SIZE, oldest_first=oldest_first)
        page = result.page
        return Page(page.rows, page.newer, page.older or result.further)

    kept = [row for row in rows if all(does(row) for _, does in chosen)]
    expected = newest(kept)[::-1] if oldest_first else newest(kept)
    return Case(f"log {asked}", turn, by_id, expected, frozenset(asked), begins_anew=True)


@pytest.mark.parametrize("oldest_first", [False, True])
def test_each_filter_shows_each_row_once(rows: list[Delivery], oldest_first: bool) -> None:
    asked = set()
    for part in parts(rows):
        of_one = case(rows, part, oldest_first=oldest_first)
        assert of_one.expected
        assert_every_row_once(of_one)
        asked |= of_one.asked
    assert asked == {field.name for field in fields(LogFilter)}


@pytest.mark.parametrize("newer", [False, True])
def test_a_page_reads_no_more_rows_than_its_limit(rows: list[Delivery], newer: bool) -> None:
    del rows
    for status in (None, StatusFilter.FAILED, StatusFilter.ATTENTION, StatusFilter.OPEN):
        scan = log_query.scan_for(session(), LogFilter(status=status), None, utcnow())
        assert scan is not None
        page = log_query.page_statement(scan, newer=newer, limit=2)
        assert len(session().execute(page).all()) == 2


@pytest.mark.parametrize("seed", range(3))
def test_combined_filters_show_each_row_once(rows: list[Delivery], seed: int) -> None:
    filters, random = list(parts(rows)), Random(seed)  # noqa: S311 - picks examples
    for count in (2, 2, 2, 2, 2, 3, 3):
        chosen = random.sample(filters, count)
        # If a filter were chosen twice, only the last one would count.
        if len({name for part, _ in chosen for name in part}) == sum(len(p) for p, _ in chosen):
            assert_every_row_once(case(rows, *chosen))


def test_more_failures_than_the_limit_show_each_row_once(
    rows: list[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_query, "MOST_TOLD", 3)
    between = FailedBetween(since=min(row.created_at for row in rows))
    of_many = case(rows, ({"failed": between}, lambda row: failed_in(row, between)))
    assert len(of_many.expected) > 3
    assert_every_row_once(of_many)


def test_more_assets_than_the_limit_show_each_row_once(
    rows: list[Delivery], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_query, "FOLLOWED", 4)
    assert len(log_query.search_term(session(), "ock").ids) == 4
    monkeypatch.setattr(log_query, "FOLLOWED", 3)
    assert log_query.search_term(session(), "ock").query is not None
    many: Part = ({"search": "ock"}, lambda _: True)
    failed: Part = ({"status": StatusFilter.FAILED}, lambda row: shows(row, StatusFilter.FAILED))
    assert_every_row_once(case(rows, many))
    assert_every_row_once(case(rows, many, failed))


@pytest.mark.parametrize(
    "pattern", ["xx.......x........xxxxx", "......xx........", "xxx......", "."]
)
def test_stretches_without_a_match_are_crossed_in_both_directions(
    app: Flask, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 3)
    hook = make_webhook()
    for letter in pattern:
        make_delivery(hook, event="asset.lost" if letter == "x" else "asset.created")
    kept: Part = (
        {"webhook": hook.public_id, "event": EventName.LOST},
        lambda row: row.event == "asset.lost",
    )
    for oldest_first in (False, True):
        assert_every_row_once(case(every(Delivery), kept, oldest_first=oldest_first))


@pytest.mark.parametrize("pattern", ["BBBBAaaaa", "aaaaABBBB", "BBbbbbAAaaaaaB"])
def test_rows_of_two_codes_are_shown_only_as_far_as_both_were_read(
    app: Flask, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 3)
    hook = make_webhook()
    for letter in pattern:
        made = make_delivery(hook, status="failed", code=500 if letter in "aA" else 502)
        make_attempt(made, response_text="out of stock" if letter.isupper() else "busy")
    rows = every(Delivery)
    said = {row.id for row, letter in zip(rows, pattern, strict=True) if letter.isupper()}
    kept: Part = ({"codes": (500, 502), "answer": "stock"}, lambda row: row.id in said)
    for oldest_first in (False, True):
        assert_every_row_once(case(rows, kept, oldest_first=oldest_first))


@pytest.mark.parametrize("oldest_first", [False, True])
def test_a_page_without_a_match_leads_back_to_the_match_before_it(
    app: Flask, monkeypatch: pytest.MonkeyPatch, oldest_first: bool
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 3)
    hook = make_webhook()
    # Each match is the last row that a page reads, from either end.
    for each in "..x........x........x..":
        make_delivery(hook, event="asset.lost" if each == "x" else "asset.created")
    wanted = LogFilter(webhook=hook.public_id, event=EventName.LOST)
    lost = [each.id for each in every(Delivery) if each.event == EventName.LOST]

    def turn(cursor: str | None) -> LogPage:
        return log_pages.find_page(wanted, cursor, SIZE, oldest_first=oldest_first)

    found, seen = turn(None), 1
    while seen < 2 or found.page.rows:
        found = turn(found.page.older or found.further)
        seen += bool(found.page.rows)
    assert found.page.newer
    while not found.page.rows:
        found = turn(found.page.newer)
    assert [row.id for row in found.page.rows] == [lost[1]]
