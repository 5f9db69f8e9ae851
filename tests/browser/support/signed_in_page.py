"""Give a browser page the session of a person."""

from flask import Flask
from playwright.sync_api import Page

from tests.browser.support.accessibility import Heard, watch
from tests.support.factories import Person
from tests.support.pages import Pages
from tests.web.signed_in import visit


def sign_in(page: Page, app: Flask, portal: str, role: str = "admin") -> Heard:
    """Give the page the session of a new person with this role, and watch it."""
    return show_to(page, portal, cookie_of(visit(app, role)))


def show_to(page: Page, portal: str, session: str) -> Heard:
    """Give the page this session cookie, and watch it."""
    page.context.add_cookies([{"name": "session", "value": session, "url": portal}])
    return watch(page, portal)


def session_of(app: Flask, person: Person) -> str:
    """Sign in as this person elsewhere, and return the session cookie."""
    pages = Pages(app)
    pages.sign_in(person.email, person.password)
    return cookie_of(pages)


def cookie_of(pages: Pages) -> str:
    cookie = pages.client.get_cookie("session")
    assert cookie is not None
    return cookie.value
