"""After `seed-demo`, every list has rows under each of its tabs and filters."""

from urllib.parse import urlsplit

from flask import Flask

from portal.services.deliveries.statuses import StatusFilter
from tests.services.demo.delivery_checks import hold_the_lease
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

LISTS = (
    "/assets",
    "/reservations",
    "/reservations?show=approved",
    "/reservations?show=all",
    "/maintenance",
    "/maintenance?show=all",
    "/alerts",
    "/alerts?show=acknowledged",
    "/alerts?show=all",
    "/staff",
    "/categories",
    "/locations",
    "/deliveries",
    "/settings/webhooks",
    "/settings/audit",
)
CHARTED = ("Built-in inbox", "Finance depreciation", "Helpdesk tickets")


def check_pages(app: Flask) -> None:
    """Check that every list has rows and that webhooks and deliveries can be opened."""
    hold_the_lease()
    pages = visit(app)
    seen = {path: pages.get(path) for path in LISTS}
    paths = {f"/deliveries?status={status}" for status in StatusFilter}
    paths |= {link for path in ("/assets", "/alerts", "/deliveries") for link in tabs(seen[path])}
    seen |= {path: pages.get(path) for path in paths - seen.keys()}
    assert [path for path, page in seen.items() if not page.rows()] == []
    each_webhook_can_be_read(pages, seen["/settings/webhooks"])
    the_newest_delivery_can_be_read(pages, seen["/deliveries"])


def tabs(page: Page) -> list[str]:
    """Return the addresses of the tabs above a list."""
    path = urlsplit(page.path).path
    navs = [node for node in page.root.find_all("nav") if "tabs" in node.get("class").split()]
    links = [link.get("href") for node in navs for link in node.find_all("a")]
    return [link for link in links if urlsplit(link).path == path and "?" in link]


def each_webhook_can_be_read(pages: Pages, listed: Page) -> None:
    links = {
        link
        for link in listed.links()
        if link.startswith("/settings/webhooks/") and len(link) > 40 and link.count("/") == 3
    }
    assert len(links) == 8
    for link in links:
        page = pages.get(link)
        assert page.status == 200
        assert page.rows(), link
        if page.h1 in CHARTED:
            assert "Nothing arrived, and nothing failed for good." not in page.main, link
        assert pages.get(f"{link}/history").status == 200


def the_newest_delivery_can_be_read(pages: Pages, deliveries: Page) -> None:
    newest = deliveries.links("AST-")[0]
    page = pages.get(newest)
    assert page.status == 200
    assert "AST-" in page.main
