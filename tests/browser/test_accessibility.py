"""Tests that the accessibility check finds each kind of fault."""

import pytest
from playwright.sync_api import Page

from tests.browser.support.accessibility import check_page, watch

PAGE = """<!doctype html><html lang="en"><title>A page</title>
<style>body {{ background: #fff; color: #111 }} {style}</style>
<main><h1>A page</h1><p class="t">Text</p></main></html>"""


@pytest.mark.parametrize(
    ("style", "told"),
    [
        (".t { color: #aaa }", "light, 1280 px: color-contrast"),
        (
            "@media (prefers-color-scheme: dark) { .t { color: #bbb } }",
            "dark, 320 px: color-contrast",
        ),
        (".t { width: 500px }", 'at 320 px it is wider than the screen: <P class="t'),
    ],
)
def test_unreadable_content_is_reported(page: Page, style: str, told: str) -> None:
    page.set_content(PAGE.format(style=""))
    check_page(page, "the right one")
    page.set_content(PAGE.format(style=style))
    with pytest.raises(AssertionError, match=told):
        check_page(page, "the wrong one")


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.warn('unwell')", "the console says: unwell"),
        ("setTimeout(() => { throw Error('broken') })", "the console says: broken"),
        ("fetch('http://127.0.0.2:9/').catch(() => {})", "it asked elsewhere: http://127.0.0.2:9/"),
    ],
)
def test_console_messages_and_foreign_requests_are_reported(
    page: Page, script: str, told: str
) -> None:
    heard = watch(page, "http://127.0.0.1:9")
    page.set_content(PAGE.format(style=""))
    page.evaluate(script)
    for _ in range(200):
        if heard.console or heard.foreign:
            break
        page.wait_for_timeout(50)
    with pytest.raises(AssertionError, match=told):
        check_page(page, "a talkative one")
    heard.console.clear()
    heard.foreign.clear()
