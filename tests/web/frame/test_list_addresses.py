"""Filters, orders, and tabs lead to the top of a list. Only links between its pages carry a place
in it."""

from collections.abc import Iterator
from itertools import islice
from typing import Final
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask

from portal.lib.paging import PAGE_SIZE
from portal.models.people import Role
from portal.services.core import keyset
from tests.browser.support.page_list import readable
from tests.browser.support.sample_register import fill
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.html import Node
from tests.support.pages import Form, Page, Pages
from tests.web.signed_in import visit

PLACES: Final = {"cursor", "after"}


@pytest.fixture
def pages(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Pages:
    """Fill a register whose lists have more than one page, and sign in."""
    fill(make_user())
    hook = make_webhook()
    for _ in range(PAGE_SIZE + 1):
        make_delivery(hook)
    monkeypatch.setattr(keyset, "PAGE_SIZE", 1)
    return visit(app)


def filtered(page: Page) -> Iterator[str]:
    """Yield URLs of the list with a tab or a filter chosen, as a browser requests them."""
    path = urlsplit(page.path).path
    yield from (link for link in page.links() if link.startswith(f"{path}?show="))
    for form in (form for form in page.forms if form.method == "get"):
        for select in form.node.find_all("select"):
            values = [node.get("value") for node in select.find_all("option") if node.get("value")]
            for value in values[:1]:
                yield f"{form.action}?{select.get('name')}={value}"


def older(page: Page) -> list[str]:
    """Return the link to the next page, if there is one."""
    links = (node for node in page.root.find_all("a") if node.get("rel") == "next")
    return [node.get("href") for node in islice(links, 1)]


def later_pages(pages: Pages, path: str) -> Iterator[Page]:
    """Yield the second page of the list, with and without filters, if there is one."""
    first = pages.get(path)
    for page in (first, *map(pages.get, filtered(first))):
        yield from map(pages.get, older(page))


def tells_a_place(page: Page, node: Node) -> bool:
    """Return whether a link leads to a place between two rows of the same list."""
    url = urlsplit(node.get("href"))
    is_of_list = url.path in {"", urlsplit(page.path).path}
    return is_of_list and bool(PLACES & set(parse_qs(url.query)))


def asks_for_a_place(form: Form) -> bool:
    """Return whether a filter form would keep the place."""
    return form.method == "get" and bool(PLACES & set(form.fields))


def is_between_pages(node: Node) -> bool:
    """Return whether a link is in the pager."""
    return any("pager" in parent.get("class").split() for parent in node.ancestors())


def test_filters_orders_and_tabs_of_later_pages_lead_to_the_top(app: Flask, pages: Pages) -> None:
    seen = set()
    for rule in readable(app, Role.ADMIN):
        for page in later_pages(pages, rule.rule) if not rule.arguments else ():
            seen.add(rule.rule)
            links = [node for node in page.root.find_all("a") if tells_a_place(page, node)]
            assert links, page.path
            assert all(map(is_between_pages, links)), page.path
            assert not any(map(asks_for_a_place, page.forms)), page.path
    assert {"/alerts", "/assets", "/deliveries", "/settings/audit", "/staff"} <= seen
