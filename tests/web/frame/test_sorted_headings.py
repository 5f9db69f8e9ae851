"""Table headings that sort their list, show the direction, and keep the filters."""

from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.services.core import keyset
from portal.services.core.unit_of_work import writing
from tests.support.deliveries import make_delivery
from tests.support.factories import make_asset, make_webhook
from tests.support.pages import Page, Pages

HOOKS = "/settings/webhooks"


def sorted_by(page: Page) -> dict[str, str]:
    """Return the headings that the list is sorted by, with their direction."""
    heads = [node for node in page.root.find_all("th") if node.has("aria-sort")]
    return {node.text: node.get("aria-sort") for node in heads}


def heading(page: Page, words: str) -> str:
    """Return the link of a heading."""
    (href,) = [
        link.get("href")
        for head in page.root.find_all("thead")
        for link in head.find_all("a")
        if link.text == words
    ]
    return href


def names(page: Page, column: int) -> list[str]:
    return [row[column] for row in page.rows()]


def test_assets_are_sorted_by_name_tag_status_and_change(pages: Pages) -> None:
    ids = [
        make_asset(name, asset_tag=tag) for name, tag in (("b", "T-3"), ("A", "t-1"), ("c", "T-2"))
    ]
    with writing() as current:
        for days, (id_, status) in enumerate(
            zip(ids, ("available", "broken", "lost"), strict=True)
        ):
            values = {"status": status, "updated_at": utcnow() - timedelta(days=days % 2)}
            current.execute(update(Asset).where(Asset.id == id_).values(**values))
    page = pages.get("/assets")
    assert sorted_by(page) == {}
    expected = {
        "Asset": (["A", "b", "c"], "ascending"),
        "Tag": (["A", "c", "b"], "ascending"),
        "Status": (["c", "A", "b"], "descending"),
        "Changed": (["c", "b", "A"], "descending"),
    }
    other = {"ascending": "descending", "descending": "ascending"}
    for words, (order, way) in expected.items():
        page = pages.get(heading(page, words))
        assert (names(page, 1), sorted_by(page)) == (order, {words: way}), words
        page = pages.get(heading(page, words))
        assert (names(page, 1), sorted_by(page)) == (order[::-1], {words: other[way]}), words


def test_filters_keep_the_order_and_headings_keep_the_filters(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "PAGE_SIZE", 2)
    for name in ("Dock b", "Dock a", "Chair", "Dock c"):
        make_asset(name)
    page = pages.get("/assets?q=dock")
    page = pages.get(heading(page, "Asset"))
    assert names(page, 1) == ["Dock a", "Dock b"]
    second = pages.get(next(iter(page.links("Next"))))
    assert names(second, 1) == ["Dock c"]
    assert names(pages.get(next(iter(second.links("Previous")))), 1) == ["Dock a", "Dock b"]
    # Show keeps the order. A heading keeps the search and leads to the first page.
    page = pages.submit(second.form("/assets"), q="chair")
    assert (names(page, 1), sorted_by(page)) == (["Chair"], {"Asset": "ascending"})
    asked = parse_qs(urlsplit(heading(second, "Tag")).query)
    assert asked == {"q": ["dock"], "sort": ["tag"]}


def test_webhooks_are_sorted_by_status_name_and_last_delivery(pages: Pages) -> None:
    quiet, failing, first = (
        make_webhook("https://x.example", name=name) for name in ("b", "C", "a")
    )
    make_delivery(first)
    make_delivery(failing, status="failed")
    page = pages.get(HOOKS)
    assert quiet
    assert sorted_by(page) == {"Status": "descending"}
    expected = {
        "Status": (["b", "a", "C"], "ascending"),
        "Webhook": (["a", "b", "C"], "ascending"),
        "Latest event": (["C", "a", "b"], "descending"),
    }
    for words, (order, way) in expected.items():
        page = pages.get(heading(page, words))
        shown = [row[0].removesuffix("x.example") for row in page.rows()]
        assert (shown, sorted_by(page)) == (order, {words: way}), words
    assert heading(page, "Status") == HOOKS


def test_the_log_is_sorted_by_time_only(pages: Pages) -> None:
    for tag in ("A-1", "A-2"):
        make_delivery(asset_tag=tag)
    page = pages.get("/deliveries?status=queued")
    assert sorted_by(page) == {"Time": "descending"}
    page = pages.get(heading(page, "Time"))
    assert page.path == "/deliveries?status=queued&sort=when"
    assert [row[2].split()[2] for row in page.rows()] == ["A-1", "A-2"]
    assert sorted_by(page) == {"Time": "ascending"}
    assert heading(page, "Time") == "/deliveries?status=queued"


def test_an_unknown_order_falls_back_to_the_default(pages: Pages) -> None:
    for path in ("/assets", HOOKS, "/deliveries"):
        make_delivery(make_webhook())
        make_asset()
        usual = pages.get(path)
        for sort in ("nonsense", "-", "--name", "name'", "x" * 500):
            page = pages.get(f"{path}?sort={sort}")
            assert (page.status, page.rows()) == (200, usual.rows())
            assert sorted_by(page) == sorted_by(usual)


def test_a_cursor_of_another_order_causes_no_server_error(pages: Pages) -> None:
    for sort in ("name", "-tag", "-status", "changed"):
        make_asset()
        for cursor in ("WzAsMV0", "nonsense", "WzAsImEiLDFd"):
            assert pages.get(f"/assets?sort={sort}&cursor={cursor}").status in (200, 400)
