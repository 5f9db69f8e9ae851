"""Lists that are sorted by their headings: each order walked older and newer, ties included."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from portal.services.assets import pages as asset_pages
from portal.services.core import keyset
from tests.services.core import register_lists, webhook_lists
from tests.services.core.keyset_walk import SIZE, Case, assert_every_row_once


@pytest.mark.parametrize("few", [0, 1000], ids=["along the index", "sorted"])
def test_assets_come_once_in_each_order_however_many_match(
    app: Flask, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    monkeypatch.setattr(asset_pages, "COUNTED_BESIDE", few)
    _walk(register_lists.sorted_assets)


def test_webhooks_come_once_in_each_order(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", SIZE)
    _walk(webhook_lists.webhooks_in_each_order)


def _walk(cases: Callable[[], Iterator[Case]]) -> None:
    for case in cases():
        assert case.expected, f"{case.name}: no row to show"
        assert_every_row_once(case)
