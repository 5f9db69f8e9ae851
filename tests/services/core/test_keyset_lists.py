"""Every list with every filter shows each row once, to older pages and back, ties included.

The log finds its pages in its own way, so its scans are tested beside its other tests.
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


# These page in their own way and have their own tests.
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


def test_every_paged_list_is_covered() -> None:
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
    """Decode a cursor in any of the shapes that these lists use."""
    for shape in ((int,), (str, int), (int, int), (int, str, int), (int, str, int, int)):
        with suppress(UnreadableCursor):
            place = Cursor.decode(cursor, shape)
            assert place is not None
            return place
    raise UnreadableCursor


@pytest.fixture
def statements(app: Flask) -> Iterator[list[str]]:
    """Yield the list of SQL statements sent to the database."""
    with asked(db.engine) as recorded:
        yield recorded


@pytest.mark.parametrize("listed", LISTS, ids=lambda each: f"{each.__module__}.{each.__name__}")
def test_every_sorted_query_of_a_page_has_a_limit(
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
def test_the_first_page_is_shown_if_nothing_newer_is_left(
    app: Flask, monkeypatch: pytest.MonkeyPatch, listed: Callable[..., Any]
) -> None:
    """Cover a page whose newer rows have all been dealt with since it was opened."""
    monkeypatch.setattr(keyset, "PAGE_SIZE", 1)
    cases = [case for case in LISTS[listed]() if len(case.expected) > 1]
    assert cases
    for case in cases:
        first = case.turn(None)
        beside = place_of(first.older)
        again = case.turn(Cursor(beside.key, newer=True).encode())
        assert (list(map(case.key, again.rows)), again.newer) == (case.expected[:1], None)
        assert again.older == first.older


def test_a_list_by_rank_loads_only_the_rows_of_one_page(
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


def test_each_webhook_is_listed_once_in_each_order(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    for case in webhook_lists.webhooks_in_each_order():
        assert case.expected, f"{case.name}: no row to show"
        assert_every_row_once(case)


@pytest.mark.parametrize(
    "time", ["2026-03-01T12:00:00", "0001-01-01T00:00:00+14:00", "yesterday", ""]
)
def test_a_cursor_with_an_invalid_time_is_refused(app: Flask, time: str) -> None:
    del app
    place = Cursor((time, 7)).encode()
    with pytest.raises(UnreadableCursor):
        keyset.by_time(select(AuditEntry), AuditEntry.at, AuditEntry.id, place, newest=True)


@pytest.mark.parametrize(
    ("rank", "newer", "is_shown"),
    [(len(RANKS), False, False), (len(RANKS), True, True), (-1, True, True)],
)
def test_a_cursor_outside_the_ranks_shows_nothing_or_the_first_page(
    app: Flask, rank: int, newer: bool, is_shown: bool
) -> None:
    """Cover an address whose cursor or filter was edited by hand."""
    del app
    asset_id = make_asset()
    for chosen, shows in ((AssetFilter(), is_shown), (AssetFilter(shown=Shown.LOST), False)):
        page = in_order(chosen, Cursor((rank, 1), newer).encode(), AssetOrder.STATUS)
        assert ([row.id for row in page.rows], page.newer) == ([asset_id] if shows else [], None)


def test_webhooks_with_open_rows_are_found_once_in_order(app: Flask) -> None:
    hooks = [make_webhook() for _ in range(4)]
    for hook in (hooks[2], hooks[0], hooks[2], hooks[0]):
        make_delivery(hook)
    make_delivery(hooks[3], status="delivered")
    connection = session().connection()
    hook_ids = connection.execute(with_open_rows(connection.dialect.name)).scalars().all()
    assert hook_ids == [hooks[0].id, hooks[2].id]


def test_a_long_batch_is_read_through_its_index(app: Flask) -> None:
    current = session()
    if current.connection().dialect.name != "sqlite":
        pytest.skip("the plans of SQLite alone are the same every time")
    plan = text(f"EXPLAIN QUERY PLAN {WAITING}")
    steps = [row.detail for row in current.execute(plan, {"task": 1, "outcome": "waiting"})]
    reads = [step for step in steps if "batch_rows" in step]
    assert len(reads) == 2
    assert all("ix_batch_rows_next (task_id=? AND outcome=?" in step for step in reads)
