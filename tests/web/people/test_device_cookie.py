"""The cookie that makes a browser known when a person signs in there again."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select

from portal.app import create_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.models.people import User
from portal.services.core.unit_of_work import session
from portal.services.people import one_time_links, password_resets, sessions
from tests.conftest import ENVIRONMENT
from tests.support.factories import PASSWORD, Person, make_user
from tests.support.pages import Pages

NEW = "another long phrase"
SECURE, PLAIN = "__Host-device", "device"


@pytest.fixture
def on_https(app: Flask, tmp_path: Path) -> Iterator[Flask]:
    """Create a portal with an https:// URL on the same database."""
    database = app.config["SQLALCHEMY_DATABASE_URI"]
    places = {"DATABASE_URL": database, "INSTANCE_DIR": str(tmp_path)}
    address = {"BASE_URL": "https://assets.example.com"}
    made = create_app(load_settings({**ENVIRONMENT, **places, **address}))
    made.testing = True
    yield made
    with made.app_context():
        db.engine.dispose()


def cookie(pages: Pages) -> str:
    device_cookie = pages.client.get_cookie(PLAIN)
    return device_cookie.value if device_cookie else ""


def is_known(pages: Pages, person: Person) -> bool:
    session().rollback()
    return sessions.recognized(cookie(pages), session().get_one(User, person.id)) is not None


def test_on_https_the_cookie_is_secure_and_bound_to_its_host(
    on_https: Flask,
) -> None:
    ana, pages = make_user(), Pages(on_https)
    at = {"base_url": "https://assets.example.com"}
    door = pages.get("/sign-in", **at)
    token = door.form("/sign-in").fields["csrf_token"][0]
    typed = {"email": ana.email, "password": ana.password, "csrf_token": token}
    answer = pages.client.post(
        "/sign-in", data=typed, headers={"Referer": "https://assets.example.com/sign-in"}, **at
    )
    assert answer.status_code == 302
    (line,) = [value for value in answer.headers.getlist("Set-Cookie") if "device" in value]
    name, _, rest = line.partition("=")
    assert name == SECURE
    attributes = {value.strip().lower() for value in rest.split(";")[1:]}
    assert {"secure", "httponly", "path=/", "samesite=lax", "max-age=15552000"} <= attributes
    assert not any(value.startswith("domain") for value in attributes)


def test_only_sign_in_sets_the_cookie_and_sign_out_keeps_it(
    app: Flask,
) -> None:
    ana, pages = make_user(), Pages(app)
    pages.sign_in(ana.email, "not the pass phrase")
    assert cookie(pages) == ""
    pages.sign_in(ana.email, ana.password)
    pages.sign_out()
    assert is_known(pages, ana)


def test_after_a_password_change_only_that_browser_is_known(app: Flask) -> None:
    ana, here, elsewhere = make_user(), Pages(app), Pages(app)
    for browser in (here, elsewhere):
        browser.sign_in(ana.email, ana.password)
    form = here.get("/account").form("/account/password")
    here.submit(form, current_password=ana.password, password=NEW)
    assert is_known(here, ana)
    assert not is_known(elsewhere, ana)


def test_after_sign_out_elsewhere_only_this_browser_is_known(app: Flask) -> None:
    ana, here, elsewhere = make_user(), Pages(app), Pages(app)
    for browser in (here, elsewhere):
        browser.sign_in(ana.email, ana.password)
    here.submit(here.get("/account").form("/account/sessions/end-others"))
    assert is_known(here, ana)
    assert not is_known(elsewhere, ana)


def test_choosing_a_password_through_a_link_makes_a_browser_known(app: Flask) -> None:
    pages = Pages(app)
    address = one_time_links.setup_link()
    assert address
    form = pages.get(address.removeprefix("http://127.0.0.1:9")).form()
    pages.submit(form, name="Ana", email="ana@example.com", password=PASSWORD)
    user = session().scalars(select(User)).one()
    assert sessions.recognized(cookie(pages), user) is not None

    ben, other = make_user(), Pages(app)
    by = Person(user.id, user.public_id, user.name, user.email, user.role, PASSWORD).actor
    link = password_resets.offer_by_email(by, ben.email).removeprefix("http://127.0.0.1:9")
    other.submit(other.get(link).form(), password=NEW)
    assert is_known(other, ben)


def test_an_invalid_cookie_is_ignored_and_replaced(app: Flask) -> None:
    for planted in ("", "x", "a.b.c", "%00%ff", '"quoted', "-" * 3000, "0" * 4000, "é"):
        ana, pages = make_user(), Pages(app)
        pages.client.set_cookie(PLAIN, planted)
        door = pages.get("/sign-in")
        assert pages.submit(door.form("/sign-in"), email=ana.email, password="wrong").status == 400
        assert pages.sign_in(ana.email, ana.password).path == "/"
        assert is_known(pages, ana)
        assert len(cookie(pages)) < 1000


def test_throttling_does_not_reveal_if_an_account_exists(app: Flask) -> None:
    messages = set()
    for email in (make_user().email, "nobody@example.com"):
        pages, other = Pages(app), session().get_one(User, make_user().id)
        pages.client.set_cookie(PLAIN, sessions.with_new("", other))
        answers = [pages.sign_in(email, "not the pass phrase") for _ in range(6)]
        assert [page.status for page in answers] == [400] * 5 + [429]
        messages |= {re.sub(r"\d+", "N", " ".join(answers[-1].errors))}
        assert answers[-1].form().fields["email"] == [email]
    assert len(messages) == 1
