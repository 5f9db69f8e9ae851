"""Webhooks sorted by their headings: each order walked older and newer, ties included.

The register's list has its orders among `LISTS` in test_keyset_lists.py.
"""

import pytest
from flask import Flask

from portal.services.core import keyset
from tests.services.core import webhook_lists
from tests.services.core.keyset_walk import SIZE, assert_every_row_once


def test_webhooks_come_once_in_each_order(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    for case in webhook_lists.webhooks_in_each_order():
        assert case.expected, f"{case.name}: no row to show"
        assert_every_row_once(case)
