"""Fixtures for browser tests: one Chromium for the session, and a new page for each test."""

import shutil
from collections.abc import Iterator

import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.browser.support.accessibility import heard_from
from tests.browser.support.serve_app import served

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # A page is open so briefly that to optimize its scripts takes longer than to run them.
    "--js-flags=--no-maglev,--no-opt",
]
PATIENCE_MS = 30_000  # a live page polls at least every ten seconds
expect.set_options(timeout=PATIENCE_MS)


def find_chromium() -> str:
    """Return the path of the machine's Chromium."""
    path = next((path for path in map(shutil.which, NAMES) if path), None)
    assert path, f"no browser is installed; one of {', '.join(NAMES)} is needed"
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium, which sends no requests of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def portal(app: Flask) -> Iterator[str]:
    """Serve the portal and yield its URL."""
    with served(app) as url:
        yield url


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    """Yield a page without cookies, 1280 px wide. Faults heard since `watch` fail the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    yield page
    context.close()
    assert heard_from(page) == []


@pytest.fixture
def plain_page(chromium: Browser) -> Iterator[Page]:
    """Yield a page without cookies that runs no scripts."""
    context = chromium.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()
