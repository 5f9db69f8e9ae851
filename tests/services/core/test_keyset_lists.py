"""Every list, with every filter, turned to older and back to newer: each row once, ties included.

The log, whose pages are found in a way of their own, has its scans beside its other tests.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields
from itertools import islice
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, select, text

from portal.extensions import db
from portal.lib.paging import Cursor, UnreadableCursor
from portal.models.assets import Asset
from portal.models.audit import AuditEntry
from portal.services import audit as audit_queries
from portal.services.actions import stock
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning.queries import PlanFilter
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import AlertFilter
from portal.services.assets import named_lists, staff, timeline
from portal.services.assets import pages as asset_pages
from portal.services.assets import queries as asset_queries
from portal.services.assets.pages import RANKS, AssetOrder, in_order
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.assets.staff import StaffFilter
from portal.services.audit import TrailFilter
from portal.services.core import keyset
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry import WAITING_AT as WAITING
from portal.services.outbox.claimable import with_open_rows
from portal.services.webhooks import queries as webhook_queries
from tests.services.core import planned_lists, register_lists, webhook_lists
from tests.services.core.keyset_walk import (
    SIZE,
    Case,
    assert_every_row_once,
    functions_that_page,
)
from tests.support.database.statements import asked
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_webhook

pytestmark = pytest.mark.both_databases


LISTS: dict[Callable[..., Any], Callable[[], Iterator[Case]]] = {
    asset_queries.list_assets: register_lists.assets,
    asset_pages.in_order: register_lists.sorted_assets,
    staff.listing: register_lists.staff,
    staff.find_page: register_lists.newest_staff,
    named_lists.page: register_lists.names,
    named_lists.find_page: register_lists.newest_names,
    planning_queries.find_page: planned_lists.plans,
    planning_queries.list_reservations: planned_lists.reservations,
    planning_queries.list_maintenances: planned_lists.maintenances,
    planning_queries.past_reservations: planned_lists.past_reservations,
    planning_queries.past_maintenances: planned_lists.past_maintenances,
    stock.moves: register_lists.moves,
    timeline.timeline: register_lists.timelines,
    audit_queries.find_page: planned_lists.trail,
    alert_queries.list_alerts: planned_lists.alerts,
    webhook_queries.list_webhooks: webhook_lists.webhooks,
    webhook_queries.find_page: webhook_lists.newest_webhooks,
    bulk_retry.find_page: webhook_lists.bulk_retries,
}


# In a way of their own, with tests of their own.
APART = {
    "portal.services.deliveries.log.find_page",  # test_log_scans.py
    "portal.services.deliveries.log.find_neighbours",  # test_neighbours.py
    "portal.services.deliveries.log.find_next",  # test_log_next.py
    "portal.services.csv.import_task.rows_page",  # test_import_agreement.py
}


FILTERS = {
    asset_queries.list_assets: AssetFilter,
    staff.find_page: StaffFilter,
    planning_queries.find_page: PlanFilter,
    audit_queries.find_page: TrailFilter,
    alert_queries.list_alerts: AlertFilter,
}


def test_no_list_of_the_portal_is_left_out() -> None:
    here = {f"{listed.__module__}.{listed.__name__}" for listed in LISTS}
    assert here | APART == functions_that_page()


@pytest.mark.parametrize("listed", LISTS, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_each_row_is_on_one_page_in_both_directions(
    app: Flask, monkeypatch: pytest.MonkeyPatch, listed: Callable[..., Any]
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    asked, longest = set(), 0
    for case in LISTS[listed]():
        assert case.expected, f"{case.name}: no row to show"
        assert_every_row_once(case)
        asked |= case.asked
        longest = max(longest, len(case.expected))
    assert longest > 2 * SIZE
    if filter_of := FILTERS.get(listed):
        assert asked == {each.name for each in fields(filter_of)}


def place_of(cursor: str) -> Cursor:
    """The place of a cursor by an id, a name or time or rank before it, or a rank before a name,
    which may have a group."""
    for shape in ((int,), (str, int), (int, int), (int, str, int), (int, str, int, int)):
        with suppress(UnreadableCursor):
            found = Cursor.decode(cursor, shape)
            assert found is not None
            return found
    raise UnreadableCursor


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """What was asked of the database."""
    with asked(db.engine) as found:
        yield found


@pytest.mark.parametrize("listed", LISTS, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_no_more_is_read_than_tells_that_another_page_follows(
    statements: list[str], monkeypatch: pytest.MonkeyPatch, listed: Callable[..., Any]
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    for case in islice(LISTS[listed](), 3):
        statements.clear()
        case.turn(None)
        ordered = [each for each in statements if "ORDER BY" in each]
        assert ordered
        assert [each for each in ordered if "LIMIT" not in each.rpartition("ORDER BY")[2]] == []


@pytest.mark.parametrize("listed", LISTS, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_where_nothing_newer_is_left_the_first_page_comes(
    app: Flask, monkeypatch: pytest.MonkeyPatch, listed: Callable[..., Any]
) -> None:
    """Such as when all that was newer has been dealt with since the page was opened."""
    monkeypatch.setattr(keyset, "PAGE_SIZE", 1)
    cases = [case for case in LISTS[listed]() if len(case.expected) > 1]
    assert cases
    for case in cases:
        first = case.turn(None)
        beside = place_of(first.older)
        again = case.turn(Cursor(beside.key, newer=True).encode())
        assert (list(map(case.key, again.rows)), again.newer) == (case.expected[:1], None)
        assert again.older == first.older


def test_of_a_list_by_rank_no_more_rows_are_made_than_a_page_shows(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    shown = [make_asset() for _ in range(3 * SIZE)][: -SIZE - 1 : -1]
    db.session.expunge_all()
    made: list[int] = []

    def note(row: Asset, _context: object) -> None:
        made.append(row.id)

    event.listen(Asset, "load", note)
    try:
        page = asset_pages.in_order(AssetFilter(), order=AssetOrder.STATUS)
    finally:
        event.remove(Asset, "load", note)
    assert [row.id for row in page.rows] == shown
    assert len(made) == SIZE + 1


def test_webhooks_come_once_in_each_order(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    for case in webhook_lists.webhooks_in_each_order():
        assert case.expected, f"{case.name}: no row to show"
        assert_every_row_once(case)


@pytest.mark.parametrize(
    "time", ["2026-03-01T12:00:00", "0001-01-01T00:00:00+14:00", "yesterday", ""]
)
def test_a_place_at_no_time_that_can_be_told_is_no_place(app: Flask, time: str) -> None:
    del app
    place = Cursor((time, 7)).encode()
    with pytest.raises(UnreadableCursor):
        keyset.by_time(select(AuditEntry), AuditEntry.at, AuditEntry.id, place, newest=True)


@pytest.mark.parametrize(
    ("rank", "newer", "is_shown"),
    [(len(RANKS), False, False), (len(RANKS), True, True), (-1, True, True)],
)
def test_past_the_last_rank_there_is_nothing_and_before_the_first_the_list_begins(
    app: Flask, rank: int, newer: bool, is_shown: bool
) -> None:
    """As in an address that was typed over, or of which the filter was."""
    del app
    made = make_asset()
    for chosen, shows in ((AssetFilter(), is_shown), (AssetFilter(shown=Shown.LOST), False)):
        found = in_order(chosen, Cursor((rank, 1), newer).encode(), AssetOrder.STATUS)
        assert ([row.id for row in found.rows], found.newer) == ([made] if shows else [], None)


def test_each_is_found_once_in_order_and_others_are_not(app: Flask) -> None:
    hooks = [make_webhook() for _ in range(4)]
    for hook in (hooks[2], hooks[0], hooks[2], hooks[0]):
        make_delivery(hook)
    make_delivery(hooks[3], status="delivered")
    connection = session().connection()
    found = connection.execute(with_open_rows(connection.dialect.name)).scalars().all()
    assert found == [hooks[0].id, hooks[2].id]


def test_a_long_batch_is_stepped_through_by_its_index(app: Flask) -> None:
    current = session()
    if current.connection().dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")
    plan = text(f"EXPLAIN QUERY PLAN {WAITING}")
    steps = [row.detail for row in current.execute(plan, {"task": 1, "outcome": "waiting"})]
    reads = [step for step in steps if "batch_rows" in step]
    assert len(reads) == 2
    assert all("ix_batch_rows_next (task_id=? AND outcome=?" in step for step in reads)
