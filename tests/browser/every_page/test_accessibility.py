"""The check that every page passes, on pages of which each has one fault."""

from types import SimpleNamespace

import pytest
from playwright.sync_api import Page

from tests.browser.support import accessibility
from tests.browser.support.accessibility import _hear, check_page, watch

PAGE = """<!doctype html><html lang="en"><title>A page</title>
<style>body {{ background: #fff; color: #111; font: 16px/1.5 sans-serif }}
a {{ color: #0645ad }} {style}</style>
<main><h1>A page</h1>{main}</main></html>"""
MAIN = """<p class="d">Of its own</p><p class="t">Text</p><p class="e"><span>Deep</span></p>
<p><span>Not deep</span></p>
<p class="a">Read <a class="l" href="#here">what a webhook is</a> before you begin.</p>
<p class="c"><button class="b">A</button><button class="b">B</button></p>"""


@pytest.fixture(autouse=True)
def nothing_was_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accessibility, "_looked_at", {"light": set(), "dark": set()})


def show(page: Page, main: str, style: str = "") -> Page:
    page.set_content(PAGE.format(main=main, style=style))
    return page


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        ("color-contrast", ".t { color: #444 }", ".t { color: #aaa }"),
        ("color-contrast", ".t { color: #666 }", ".t { color: #666; opacity: 0.6 }"),
        ("color-contrast", ".t { color: #444 }", "main { background: #555; color: #eee }"),
        ("color-contrast", "", "@media (prefers-color-scheme: dark) { .t { color: #bbb } }"),
        ("color-contrast", "", "@media (max-width: 400px) { .t { color: #bab } }"),
        ("color-contrast", ".t { color: #aba; display: none }", ".t { color: #aba }"),
        (
            "color-contrast",
            ".d, .e { background: #444; color: #eee } .e span { color: #eee }",
            ".d, .e { background: #444; color: #eee } .e span { color: #111 }",
        ),
        (
            "color-contrast",
            ".d { background: #333; color: #eee; height: 99px }",
            ".d { background: #333; color: #eee; height: 99px }"
            ".t { position: absolute; top: 120px; margin: 0 }",
        ),
        (
            "link-in-text-block",
            ".l { color: #141414; text-decoration: underline }",
            ".l { color: #141414; text-decoration: none }",
        ),
        (
            "link-in-text-block",
            ".l { color: #141414; text-decoration: none; border-bottom: 1px solid }",
            ".l { color: #141414; text-decoration: none }",
        ),
        (
            "link-in-text-block",
            ".l { color: #767676; text-decoration: none }",
            ".l { color: #767676; text-decoration: none } .a { color: #555 }",
        ),
        (
            "target-size",
            ".b { height: 12px; width: 12px; padding: 0; margin: 12px }",
            ".b { height: 12px; width: 12px; padding: 0 }",
        ),
        (
            "target-size",
            ".b { height: 12px; width: 12px; padding: 0; margin: 12px }",
            ".b { height: 12px; width: 12px; padding: 0; margin: 4px }",
        ),
    ],
)
def test_a_fault_is_told_though_its_like_was_right_elsewhere(
    page: Page, rule: str, right: str, wrong: str
) -> None:
    show(page, MAIN, right)
    check_page(page, "the right one")
    show(page, MAIN, wrong)
    with pytest.raises(AssertionError, match=f"the wrong one.*\n.* {rule}:"):
        check_page(page, "the wrong one")


def test_what_is_inert_says_nothing_of_its_like(page: Page) -> None:
    show(page, '<div inert><p class="t">Pale</p></div>', ".t { color: #aba }")
    check_page(page, "the inert one")
    show(page, '<div><p class="t">Pale</p></div>', ".t { color: #aba }")
    with pytest.raises(AssertionError, match="color-contrast"):
        check_page(page, "the one to be read")


def test_what_was_told_once_is_not_looked_at_again(page: Page) -> None:
    """That costs most of the time; the page that was met first tells it."""
    show(page, '<p class="t">Faint</p>', ".t { color: #abc }")
    with pytest.raises(AssertionError, match="color-contrast"):
        check_page(page, "the first")
    check_page(page, "the next")


def test_what_is_wider_than_a_telephone_is_told(page: Page) -> None:
    show(page, '<p class="w">Wide</p>', ".w { width: 500px }")
    with pytest.raises(AssertionError, match='at 320 px it is wider than the screen: <P class="w'):
        check_page(page, "a wide one")


@pytest.mark.parametrize(
    ("kind", "text", "counts"),
    [
        ("verbose", "[DOM] Password forms should have username fields", True),
        ("verbose", "[DOM] Input elements should have autocomplete attributes", True),
        ("verbose", "[Violation] Forced reflow took 31ms", False),
        ("info", "This browser will soon do otherwise", False),
        ("error", "Refused to load the image", True),
    ],
)
def test_of_what_a_browser_suggests_only_what_is_ours_counts(
    page: Page, kind: str, text: str, counts: bool
) -> None:
    heard = watch(page, "http://127.0.0.1:9")
    message = SimpleNamespace(type=kind, text=text, args=[], location={"url": page.url})
    _hear(heard, page, message)  # type: ignore[arg-type]
    assert bool(heard.console) is counts


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("console.warn('unwell')", "the console says: unwell"),
        ("setTimeout(() => { throw Error('broken') })", "the console says: broken"),
        ("fetch('http://127.0.0.2:9/').catch(() => {})", "it asked elsewhere: http://127.0.0.2:9/"),
    ],
)
def test_what_it_says_and_asks_for_is_told(page: Page, script: str, told: str) -> None:
    heard = watch(page, "http://127.0.0.1:9")
    show(page, "<p>Well</p>")
    page.evaluate(script)
    for _ in range(200):
        if heard.console or heard.foreign:
            break
        page.wait_for_timeout(50)
    with pytest.raises(AssertionError, match=told):
        check_page(page, "a talkative one")
