"""Setup, sign-in, sign-out, and the person's own account, as seen in a browser."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote

import pytest
from flask import Flask, request
from sqlalchemy import select

from portal.app import create_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.operations import Submission
from portal.models.people import User
from portal.services.core.unit_of_work import session
from portal.services.people import accounts, one_time_links
from portal.web.frame.access import local_path
from tests.conftest import ENVIRONMENT
from tests.support.factories import PASSWORD, make_user
from tests.support.pages import Page, Pages

ANA = {"name": "Ana", "email": "ana@example.com", "password": PASSWORD}
ELSEWHERE = ("https://evil.example", "//evil.example", "/\\evil.example", "javascript:x", "\t//e")
Build = Callable[..., Flask]


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Build]:
    """Return a function that creates a portal with some changed settings."""
    made = []

    def make(**changes: str) -> Flask:
        environment = {**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path), **changes}
        made.append(create_app(load_settings(environment)))
        return made[-1]

    yield make
    for each in made:
        with each.app_context():
            db.engine.dispose()


def setup_path() -> str:
    """Create a setup link and return its path."""
    address = one_time_links.setup_link()
    assert address is not None
    assert address.startswith("http://127.0.0.1:9/setup?token=")
    return address.removeprefix("http://127.0.0.1:9")


def cookie(pages: Pages) -> str:
    session_cookie = pages.client.get_cookie("session")
    return session_cookie.value if session_cookie else ""


def with_cookie(app: Flask, value: str) -> Pages:
    pages = Pages(app)
    pages.client.set_cookie("session", value)
    return pages


def is_in(pages: Pages) -> bool:
    return pages.get("/account").h1 == "Your account"


def set_up(pages: Pages, path: str, **changes: str) -> Page:
    return pages.submit(pages.get(path).form(), **{**ANA, **changes})


def test_the_setup_link_creates_and_signs_in_the_first_administrator(app: Flask) -> None:
    pages = Pages(app)
    page = set_up(pages, setup_path())
    assert page.path == "/"
    assert is_in(pages)
    user = session().execute(select(User)).scalar_one()
    assert (user.email, user.role) == ("ana@example.com", "admin")


def test_after_setup_every_setup_link_is_gone_and_leads_to_sign_in(app: Flask) -> None:
    path, other = setup_path(), setup_path()
    set_up(Pages(app), path)
    for dead in (path, other, "/setup", "/setup?token=nonsense"):
        page = Pages(app).get(dead)
        assert (page.status, page.links("Sign in")) == (410, ["/sign-in"])


def test_setup_sent_twice_creates_one_administrator(app: Flask) -> None:
    pages = Pages(app)
    form = pages.get(setup_path()).form()
    # A browser that sends the form twice has the same cookie both times.
    kept = cookie(pages)
    pages.submit(form, **ANA)
    for password in (PASSWORD, "a guess at her pass phrase"):
        again = with_cookie(app, kept)
        page = again.submit(form, **{**ANA, "password": password})
        assert (page.path, page.h1) == ("/sign-in", "Sign in")
        assert not is_in(again)
    # A person who is signed in is redirected to the start page.
    token = pages.get("/account").form("/account").fields["csrf_token"]
    again = pages.submit(form, **{**ANA, "csrf_token": token[0]})
    assert (again.path, again.status) == ("/", 200), again.text
    assert len(accounts.listing()) == 1
    assert len(session().execute(select(Submission)).all()) == 1


def test_setup_shows_all_errors_and_keeps_entered_values(app: Flask) -> None:
    pages = Pages(app)
    page = set_up(pages, setup_path(), name=" ", email="ana", password="short")
    assert page.status == 400
    assert page.wrong == ["name", "email", "password"]
    assert page.form().fields["email"] == ["ana"]
    assert "short" not in page.html
    page = pages.submit(page.form(), name="Ana", email=None, password="short")
    assert page.wrong == ["email", "password"]


def test_inputs_tell_browsers_their_contents(app: Flask) -> None:
    def told(path: str) -> dict[str, tuple[str, str]]:
        inputs = Pages(app).get(path).form().node.find_all("input")
        return {
            node.get("name"): (node.get("autocomplete"), node.get("spellcheck"))
            for node in inputs
            if node.get("type") != "hidden"
        }

    new = {"name": ("name", ""), "email": ("username", "false"), "password": ("new-password", "")}
    assert told(setup_path()) == new
    make_user()
    known = {"email": ("username", "false"), "password": ("current-password", "")}
    assert told("/sign-in") == known


def test_sign_in_leads_to_the_requested_page(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    for path in ("/settings/people", "/deliveries?status=failed"):
        door = pages.get(path, follow=False).response.headers["Location"]
        assert unquote(door) == f"/sign-in?next={path}"
    page = pages.get("/settings/people")
    assert (page.h1, page.status, page.errors) == ("Sign in", 200, [])
    assert pages.post("/account", follow=False).response.headers["Location"] == "/sign-in"
    page = pages.submit(page.form(), email=ana.email, password=ana.password)
    assert page.path == "/settings/people"


def test_sign_in_never_leads_to_another_site(app: Flask) -> None:
    ana = make_user()
    pages, elsewhere = Pages(app), {"next": ELSEWHERE[1]}
    page = pages.get("/sign-in", query_string=elsewhere)
    page = pages.submit(page.form(), email=ana.email, password=ana.password, follow=False)
    assert page.response.headers["Location"] == "/"
    page = pages.get("/sign-in", query_string=elsewhere, follow=False)
    assert page.response.headers["Location"] == "/"


def test_an_invalid_or_foreign_path_becomes_the_start_page() -> None:
    for target in (
        *ELSEWHERE,
        *("//[", "//\uff03@evil.example", "/\r\nSet-Cookie: session=evil", "/\0", ""),
    ):
        assert local_path(target) == "/", target
    # The query and the fragment can contain anything.
    for target in ("/assets?q=a\\b&back=//x", "/assets#a\\b", "/?a", "/"):
        assert local_path(target) == target


def test_a_wrong_password_causes_one_error_and_is_not_echoed(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    page = pages.sign_in(ana.email, "not the pass phrase")
    assert page.status == 400
    assert len(page.errors) == 1
    assert page.form().fields["email"] == [ana.email]
    assert "not the pass phrase" not in page.html


def test_too_many_tries_get_a_retry_time_even_without_valkey(app: Flask, build: Build) -> None:
    ana = make_user()
    database = app.config["SQLALCHEMY_DATABASE_URI"]
    pages = Pages(build(DATABASE_URL=database, REDIS_URL="unix:///nowhere/valkey.sock"))
    for _ in range(5):
        assert pages.sign_in(ana.email, "wrong").status == 400
    page = pages.sign_in(ana.email, ana.password)
    assert page.status == 429
    assert 25 <= int(page.response.headers["Retry-After"]) <= 30


def test_a_planted_session_is_discarded_at_sign_in(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    pages.get("/sign-in")
    with pages.client.session_transaction() as kept:
        kept["planted"] = "by somebody else"
        token = kept["csrf_token"]
    pages.sign_in(ana.email, ana.password)
    with pages.client.session_transaction() as kept:
        assert "planted" not in kept
        assert kept["csrf_token"] != token


def test_the_cookie_is_hidden_from_scripts_and_lasts_12_hours(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    pages.sign_in(ana.email, ana.password)
    session_cookie = pages.client.get_cookie("session")
    assert session_cookie is not None
    assert session_cookie.http_only
    assert session_cookie.same_site == "Lax"
    assert session_cookie.expires is not None
    assert abs(session_cookie.expires - utcnow() - timedelta(hours=12)) < timedelta(minutes=1)


def test_a_browser_without_a_cookie_is_told_the_right_address(app: Flask) -> None:
    make_user()
    pages = Pages(app)
    form = pages.get("/sign-in").form()
    assert pages.post("/sign-in", {"csrf_token": "old"}).status == 400
    pages.client.delete_cookie("session")
    page = pages.submit(form, email="ana@example.com", password=PASSWORD)
    assert page.status == 400
    assert "http://127.0.0.1:9" in page.main


def test_after_sign_out_a_copy_of_the_cookie_is_invalid(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    pages.sign_in(ana.email, ana.password)
    stolen = cookie(pages)
    elsewhere = Pages(app)
    elsewhere.sign_in(ana.email, ana.password)
    pages.get("/account")
    assert pages.sign_out().h1 == "Sign in"
    assert not is_in(pages)
    assert not is_in(with_cookie(app, stolen))
    assert is_in(elsewhere)


def test_a_refused_password_is_explained_at_its_field(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    pages.sign_in(ana.email, ana.password)
    form, long = pages.get("/account").form("/account/password"), "another long phrase"
    for current, new, status, fields in (
        ("wrong", long, 409, ["current_password"]),
        ("", "", 400, ["current_password", "password"]),
        (ana.password, ana.email.upper(), 400, ["password"]),
    ):
        page = pages.submit(form, current_password=current, password=new, name="Not asked for")
        assert (page.status, page.wrong) == (status, fields)
        assert page.title.startswith("Error: ")
        assert page.form("/account").fields["name"] == [ana.name]
    assert is_in(pages)


def test_times_follow_the_chosen_time_zone(app: Flask) -> None:
    ana, pages = make_user(), Pages(app)
    pages.sign_in(ana.email, ana.password)
    page = pages.get("/account")
    assert "All times are Europe/Vienna" in page.text
    page = pages.submit(page.form("/account"), name="Ana", time_zone="America/Argentina/Salta")
    assert "All times are America/Argentina/Salta" in page.text
    assert page.form("/account").fields["time_zone"] == ["America/Argentina/Salta"]
    page = pages.submit(page.form("/account"), name="", time_zone="Mars/Olympus")
    assert (page.status, page.wrong) == (400, ["name", "time_zone"])


def test_only_trusted_proxies_set_the_address_of_the_client(build: Build) -> None:
    for proxies, seen in (("0", "127.0.0.1"), ("1", "203.0.113.5")):
        app, addresses = build(TRUSTED_PROXIES=proxies), list[str | None]()
        app.before_request(lambda to=addresses: to.append(request.remote_addr))
        header = {"X-Forwarded-For": "1.1.1.1, 203.0.113.5"}
        app.test_client().get("/static/favicon.svg", headers=header).close()
        assert addresses == [seen]


def test_a_guessed_link_is_refused_and_leaves_setup_open(app: Flask) -> None:
    pages = Pages(app)
    for door in ("/setup?token=guess", "/invitation?token=guess"):
        pages.get("/sign-in")
        assert pages.post(door, ANA).status == 410
    assert one_time_links.setup_link() is not None
