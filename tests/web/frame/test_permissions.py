"""Every route for every role and for anonymous requests, compared with `access_table`."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.routing import Rule

from portal.app import create_app
from portal.config.settings import Settings
from portal.extensions import db
from portal.models.people import Role
from portal.services.core.permissions import CONTENT, PERMISSIONS, allows, token_allows
from portal.web.frame.access import condition_of, permission_of, requires
from tests.support.factories import make_user
from tests.support.pages import Page, Pages
from tests.web.frame.access_table import (
    ROLES,
    conditions_by_view,
    permissions_by_view,
    roles_by_permission,
)

# A value for each kind of URL variable that leads to nothing.
SAMPLES = {"uuid": UUID(int=0), "int": 999_999, "default": "nothing", "path": "nothing"}

FOR_MACHINES = ("/healthz", "/readyz", "/metrics", "/inbox/nothing", "/.well-known/security.txt")


VIEWS, MATRIX = permissions_by_view(), roles_by_permission()


def is_api(rule: Rule) -> bool:
    """Return whether a route takes tokens instead of a cookie (tests/api/test_views.py)."""
    return rule.rule.startswith("/api/v1/")


def pages_of(app: Flask) -> Iterator[tuple[str, str, str]]:
    """Yield (endpoint, method, path) of every route except files and the API, Sign out last."""
    address = app.url_map.bind("localhost")
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.endpoint == "auth.sign_out"):
        if rule.endpoint.endswith("static") or is_api(rule):
            continue
        path = address.build(rule.endpoint, samples_for(rule), method=one_method(rule))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, method, path


def samples_for(rule: Rule) -> dict[str, object]:
    words = {"UUIDConverter": "uuid", "IntegerConverter": "int", "PathConverter": "path"}
    return {
        name: SAMPLES[words.get(type(converter).__name__, "default")]
        for name, converter in rule._converters.items()
    }


def one_method(rule: Rule) -> str:
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})[0]


def token_of(page: Page) -> dict[str, list[str]]:
    """Return the CSRF token that a POST needs, taken from any form of the page."""
    posts = (form for form in page.forms if form.method == "post")
    return {"csrf_token": next(posts).fields["csrf_token"]}


def ask(pages: Pages, method: str, path: str, token: dict[str, list[str]]) -> tuple[int, str]:
    """Return the status, and the location of a redirect."""
    if method == "GET":
        answer = pages.get(path, follow=False)
    else:
        answer = pages.post(path, token, follow=False)
    return answer.status, answer.location


def test_each_role_has_exactly_the_permissions_in_the_table() -> None:
    assert {str(role) for role in Role} == set(ROLES)
    assert {name: set(roles) for name, roles in PERMISSIONS.items()} == MATRIX
    for permission, roles in MATRIX.items():
        assert [role for role in ROLES if allows(role, permission)] == [
            role for role in ROLES if role in roles
        ]
    assert not any(allows(role, permission) for role in ROLES for permission in ("", "assets.burn"))
    assert not any(allows(role, permission) for role in ("", "owner") for permission in MATRIX)


def test_a_read_only_token_sees_contents_as_its_role_does() -> None:
    seen = [role for role in ROLES if token_allows(role, CONTENT, read_only=True)]
    assert seen == [role for role in ROLES if role in MATRIX[CONTENT]]
    assert not token_allows("admin", "deliveries.retry", read_only=True)


def test_every_view_requires_the_permission_in_the_table(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules() if not is_api(rule)}
    assert {endpoint: permission_of(endpoint) for endpoint in endpoints} == VIEWS


def test_views_in_the_table_ask_for_the_password_again(app: Flask) -> None:
    endpoints = {rule.endpoint for rule in app.url_map.iter_rules()}
    asking = {each: found.__name__ for each in endpoints if (found := condition_of(each))}
    assert asking == conditions_by_view()


def test_only_entry_pages_and_machine_routes_are_public(app: Flask) -> None:
    public = {path for endpoint, _, path in pages_of(app) if VIEWS[endpoint] == "public"}
    links = {"/forgot-password", "/forgot-password/sent", "/invitation", "/new-password", "/setup"}
    assert public == {"/sign-in", "/theme", "/unsubscribe", *links, *FOR_MACHINES}


def test_anonymous_requests_are_redirected_to_sign_in(app: Flask) -> None:
    pages, wrong = Pages(app), []
    token = token_of(pages.get("/sign-in"))
    for endpoint, method, path in pages_of(app):
        if endpoint == "themes.choose":
            continue  # redirects to the page that sent it, here the sign-in page
        status, onward = ask(pages, method, path, token)
        is_sent = status == 302 and onward == "/sign-in"
        if is_sent is (VIEWS[endpoint] == "public"):
            wrong.append(f"{method} {endpoint} answered {status} {onward}")
    assert wrong == []


def test_each_role_opens_exactly_the_views_in_the_table(app: Flask) -> None:
    for role in ROLES:
        person, pages, wrong = make_user(role), Pages(app), []
        token = token_of(pages.sign_in(person.email, person.password))
        for endpoint, method, path in pages_of(app):
            if VIEWS[endpoint] == "public":
                continue
            status, onward = ask(pages, method, path, token)
            may = role in MATRIX[VIEWS[endpoint]]
            is_let_in = status < 500 and status not in {401, 403}
            is_let_in &= onward != "/sign-in" or path == "/sign-out"
            if is_let_in is not may or (not may and status != 403):
                wrong.append(f"{method} {endpoint} answered {status} {onward}; allowed: {may}")
        assert wrong == [], role


def forgotten() -> str:
    """Answer without a declared permission."""
    return "This is for nobody."


@requires("asset.read")
def misspelt() -> str:
    """Answer with a declared permission that does not exist."""
    return "This is for nobody."


@pytest.fixture
def unfinished(app: Flask, session_settings: Settings) -> Iterator[Flask]:
    """Add a view without a permission and one with a misspelled permission to the portal."""
    other = create_app(session_settings)
    other.add_url_rule("/forgotten", view_func=forgotten, methods=["GET", "POST"])
    other.add_url_rule("/misspelt", view_func=misspelt, methods=["GET", "POST"])
    yield other
    with other.app_context():
        db.engine.dispose()


@pytest.mark.parametrize("path", ["/forgotten", "/misspelt"])
def test_a_view_without_a_known_permission_is_closed_to_everyone(
    unfinished: Flask, path: str
) -> None:
    for role in ROLES:
        person, pages = make_user(role), Pages(unfinished)
        token = token_of(pages.sign_in(person.email, person.password))
        assert ask(pages, "GET", path, token) == (403, "")
        assert ask(pages, "POST", path, token) == (403, "")
    stranger = Pages(unfinished)
    token = token_of(stranger.get("/sign-in"))
    assert ask(stranger, "GET", path, token) == (302, "/sign-in")
    assert ask(stranger, "POST", path, token) == (302, "/sign-in")
