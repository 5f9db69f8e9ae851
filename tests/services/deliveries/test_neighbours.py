"""Previous and Next on a delivery's page follow the filter and order of the list."""

from collections.abc import Iterator

import pytest
from flask import Flask

from portal.models.deliveries import Delivery
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import log_query
from portal.services.deliveries.log import Neighbours, find_neighbours
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from tests.services.core.keyset_walk import every
from tests.support.deliveries import change, make_delivery
from tests.support.factories import make_webhook

FAILED = LogFilter(status=StatusFilter.FAILED)
SIZE = 3


@pytest.fixture
def rows(app: Flask) -> list[Delivery]:
    """Return a dozen deliveries, every second one failed."""
    for number in range(12):
        make_delivery(status="delivered" if number % 2 else "failed", reason="server")
    return every(Delivery)


def scanned(wanted: LogFilter, *, oldest_first: bool, start: Delivery) -> Iterator[Neighbours]:
    """Follow Next to the end of the list."""
    by_id = {row.public_id: row for row in every(Delivery)}
    here = start
    for _ in range(20):
        found = find_neighbours(wanted, here.id, oldest_first=oldest_first, size=SIZE)
        yield found
        if found.following is None:
            return
        here = by_id[found.following]
    raise AssertionError("there is no end")


@pytest.mark.parametrize("oldest_first", [False, True])
@pytest.mark.parametrize("wanted", [LogFilter(), FAILED])
def test_next_and_previous_walk_the_whole_list_and_stop_at_its_ends(
    rows: list[Delivery], wanted: LogFilter, oldest_first: bool
) -> None:
    kept = [row for row in rows if wanted.status is None or row.status == "failed"]
    kept = kept if oldest_first else kept[::-1]
    ids = [row.public_id for row in kept]
    neighbors = list(scanned(wanted, oldest_first=oldest_first, start=kept[0]))
    assert [neighbor.following for neighbor in neighbors] == [*ids[1:], None]
    assert [neighbor.previous for neighbor in neighbors] == [None, *ids[:-1]]


@pytest.mark.parametrize("oldest_first", [False, True])
def test_the_list_page_begins_with_the_shown_delivery(
    rows: list[Delivery], oldest_first: bool
) -> None:
    order = {"oldest_first": oldest_first}
    for row in rows:
        page = find_neighbours(LogFilter(), row.id, **order, size=SIZE).page
        shown = log_pages.find_page(LogFilter(), page, SIZE, **order).page
        at = [listed.public_id for listed in shown.rows].index(row.public_id)
        assert page is None or at == 0
        is_near = row in (rows[:SIZE] if oldest_first else rows[-SIZE:])
        assert (page is None) is is_near


def test_a_delivery_that_no_longer_matches_keeps_its_place(rows: list[Delivery]) -> None:
    change(rows[4].public_id, status="queued")
    found = find_neighbours(FAILED, rows[4].id)
    assert (found.previous, found.following) == (rows[6].public_id, rows[2].public_id)
    change(rows[6].public_id, status="queued")
    assert find_neighbours(FAILED, rows[4].id).previous == rows[8].public_id


def test_a_bounded_search_claims_no_neighbor_and_no_first_page(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 2)
    hook = make_webhook()
    for event in ("asset.lost", *["asset.created"] * 5, "asset.lost", *["asset.created"] * 5):
        make_delivery(hook, event=event)
    middle = every(Delivery)[6]
    wanted = LogFilter(webhook=hook.public_id, event="asset.lost")
    found = find_neighbours(wanted, middle.id)
    assert (found.previous, found.following) == (None, None)
    shown = log_pages.find_page(wanted, found.page).page
    assert [listed.public_id for listed in shown.rows] == [middle.public_id]
