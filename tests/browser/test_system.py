"""System and Audit in a real browser, well and in trouble, with long words."""

from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services import audit
from portal.services.core import heartbeats
from portal.services.core.heartbeats import worker_of
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from tests.browser.support.accessibility import check_page, watch
from tests.browser.support.serve_app import served
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.web.signed_in import visit

EVERYBODY = (heartbeats.WEB, worker_of(DELIVERIES), worker_of(BACKGROUND), heartbeats.SCHEDULER)


@pytest.fixture
def portal(app: Flask, page: Page) -> Iterator[str]:
    """The portal, opened by an administrator."""
    cookie = visit(app).client.get_cookie("session")
    assert cookie is not None
    with served(app) as url:
        page.context.add_cookies([{"name": "session", "value": cookie.value, "url": url}])
        watch(page, url)
        yield url


def test_system_can_be_used_by_everyone_in_trouble_and_well(page: Page, portal: str) -> None:
    page.goto(f"{portal}/settings/system")
    expect(page.get_by_text("No process is sending deliveries.")).to_be_visible()
    check_page(page, "system in trouble")
    for kind in EVERYBODY:
        heartbeats.record_own(kind)
    begin_periodic_task(heartbeats.SWEEP, 0)
    page.reload()
    expect(page.get_by_text("All systems running.")).to_be_visible()
    page.get_by_text("Each process on its own").first.click()
    check_page(page, "system at work")


def test_the_trail_can_be_used_by_everyone_and_comes_as_a_file(page: Page, portal: str) -> None:
    page.goto(f"{portal}/settings/audit")
    expect(page.get_by_text("Nothing was done yet")).to_be_visible()
    check_page(page, "empty audit")
    for number in range(60):
        change = {"url": {"from": f"https://example.com/{'p' * 190}", "to": "W" * 190}}
        with writing() as current:
            target = ("webhook", number, "W" * 120)
            audit.record(current, SYSTEM, "webhook.changed", target=target, changes=change)
    page.reload()
    check_page(page, "audit")
    page.get_by_role("link", name="Older").click()
    expect(page.locator("tbody tr")).to_have_count(10)
    page.goto(f"{portal}/settings/audit")
    page.get_by_label("What", exact=True).select_option("Webhook")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_role("link", name="What: Webhook")).to_be_visible()
    check_page(page, "audit, narrowed")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download as CSV").click()
    assert waiting.value.suggested_filename.startswith("audit-")
    page.goto(f"{portal}/settings/audit?since=2990-01-01")
    expect(page.get_by_role("heading", name="No entry matches")).to_be_visible()
    check_page(page, "audit without matches")
