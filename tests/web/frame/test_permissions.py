"""Every route by every role, and nobody signed in: read from the application, not from a list."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.routing import Rule

from portal.models.people import Role
from portal.services.core.permissions import PERMISSIONS, allows
from portal.web.frame.access import PUBLIC, permission_of
from tests.support.factories import make_user
from tests.support.pages import Page, Pages

# Something that every kind of address takes, and that leads to nothing.
SAMPLES = {"uuid": UUID(int=0), "int": 999_999, "default": "nothing", "path": "nothing"}

DOORS = ("/sign-in", "/setup", "/invitation", "/new-password")
FOR_MACHINES = ("/healthz", "/readyz", "/metrics", "/inbox/nothing")


def pages_of(app: Flask) -> Iterator[tuple[str, str, str, str]]:
    """Every (endpoint, permission, method, address) of the application, files apart; Sign out
    comes last."""
    address = app.url_map.bind("localhost")
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.endpoint == "auth.sign_out"):
        permission = permission_of(rule.endpoint)
        if rule.endpoint.endswith("static"):
            continue
        path = address.build(rule.endpoint, samples_for(rule), method=one_method(rule))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield rule.endpoint, permission or "", method, path


def samples_for(rule: Rule) -> dict[str, object]:
    words = {"UUIDConverter": "uuid", "IntegerConverter": "int", "PathConverter": "path"}
    return {
        name: SAMPLES[words.get(type(converter).__name__, "default")]
        for name, converter in rule._converters.items()
    }


def one_method(rule: Rule) -> str:
    return sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})[0]


def token_of(page: Page) -> dict[str, list[str]]:
    """What a POST has to carry, taken from any form."""
    return {"csrf_token": page.forms[0].fields["csrf_token"]}


def ask(pages: Pages, method: str, path: str, token: dict[str, list[str]]) -> tuple[int, str]:
    """The status, and where a redirect leads."""
    if method == "GET":
        answer = pages.get(path, follow=False)
    else:
        answer = pages.post(path, token, follow=False)
    return answer.status, answer.location


def test_every_view_declares_a_permission_that_the_table_knows(app: Flask) -> None:
    known = {*PERMISSIONS, PUBLIC}
    rules = app.url_map.iter_rules()
    unknown = {rule.endpoint for rule in rules if permission_of(rule.endpoint) not in known}
    assert unknown == set()


def test_only_doors_and_machines_come_in_without_signing_in(app: Flask) -> None:
    public = {path for _, permission, _, path in pages_of(app) if permission == PUBLIC}
    assert {"/sign-in", "/setup", "/invitation"} <= public <= {*DOORS, *FOR_MACHINES}


def test_whoever_is_not_signed_in_is_sent_to_the_door(app: Flask) -> None:
    pages, wrong = Pages(app), []
    token = token_of(pages.get("/sign-in"))
    for endpoint, permission, method, path in pages_of(app):
        status, onward = ask(pages, method, path, token)
        is_sent = status == 302 and onward == "/sign-in"
        if is_sent is (permission == PUBLIC):
            wrong.append(f"{method} {endpoint} answered {status} {onward}")
    assert wrong == []


@pytest.mark.parametrize("role", list(Role))
def test_each_role_opens_exactly_what_the_table_says(app: Flask, role: Role) -> None:
    person, pages, wrong = make_user(role), Pages(app), []
    token = token_of(pages.sign_in(person.email, person.password))
    for endpoint, permission, method, path in pages_of(app):
        if permission == PUBLIC:
            continue
        status, onward = ask(pages, method, path, token)
        may = allows(role, permission)
        is_let_in = status < 500 and status not in {401, 403}
        is_let_in &= onward != "/sign-in" or path == "/sign-out"
        if is_let_in is not may or (not may and status != 403):
            wrong.append(f"{method} {endpoint} answered {status} {onward}; allowed: {may}")
    assert wrong == []
