"""Give a browser page the session of a person."""

from flask import Flask
from playwright.sync_api import Page

from tests.browser.support.accessibility import watch
from tests.web.signed_in import visit


def sign_in(page: Page, app: Flask, portal: str, role: str = "admin") -> None:
    """Give the page the session of a new person with this role, and watch it."""
    cookie = visit(app, role).client.get_cookie("session")
    assert cookie is not None
    page.context.add_cookies([{"name": "session", "value": cookie.value, "url": portal}])
    watch(page, portal)
