"""Webhooks sorted by their headings: each order walked older and newer, ties included.

The register's list has its orders among `LISTS` in test_keyset_lists.py.
"""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.paging import Cursor, UnreadableCursor
from portal.models.audit import AuditEntry
from portal.services.core import keyset
from tests.services.core import webhook_lists
from tests.services.core.keyset_walk import SIZE, assert_every_row_once


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
        keyset.latest_first(select(AuditEntry), AuditEntry.at, AuditEntry.id, place)
