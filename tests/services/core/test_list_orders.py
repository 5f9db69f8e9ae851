"""Webhooks sorted by their headings: each order walked older and newer, ties included.

The register's list has its orders among `LISTS` in test_keyset_lists.py.
"""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.paging import Cursor, UnreadableCursor
from portal.models.audit import AuditEntry
from portal.services.assets.pages import RANKS, AssetOrder, in_order
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core import keyset
from tests.services.core import webhook_lists
from tests.services.core.keyset_walk import SIZE, assert_every_row_once
from tests.support.factories import make_asset

pytestmark = pytest.mark.both_databases


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
