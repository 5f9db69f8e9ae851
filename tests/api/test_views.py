"""Tests of authentication, rate limits, and error responses of the API."""

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from flask import Flask
from sqlalchemy.exc import OperationalError

from portal.api import OPERATIONS, load, views
from portal.config.settings import ROOT
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.people import Role, Token
from portal.services.core.permissions import PERMISSIONS
from portal.services.core.unit_of_work import writing
from portal.services.people import tokens
from tests.api.client import Program, program
from tests.web.signed_in import visit

PROBLEM: Final = "application/problem+json"


def end_all(**values: object) -> None:
    with writing() as current:
        current.query(Token).update(values)


def test_a_program_can_read_the_role_and_access_of_its_token(app: Flask) -> None:
    response = program(app, Role.SUPPORT, read_only=True).get("/me")
    assert response.status_code == 200
    assert (response.get_json()["role"], response.get_json()["read_only"]) == ("support", True)


def test_every_invalid_token_gets_the_same_response(app: Flask) -> None:
    over = program(app)
    end_all(ends_at=utcnow() - timedelta(seconds=1))
    revoked = program(app)
    end_all(revoked_at=utcnow())
    strangers = [Program(app), Program(app, "awt_" + "x" * 43), Program(app, "é\u2028"), over]
    bodies = set()
    for client in [*strangers, revoked]:
        response = client.get("/me")
        assert (response.status_code, response.content_type) == (401, PROBLEM)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
        bodies.add(response.get_data())
    assert len(bodies) == 1


def test_a_session_cookie_gives_no_access_and_none_is_set(app: Flask) -> None:
    pages = visit(app)
    response = pages.client.get("/api/v1/me")
    assert response.status_code == 401
    token = program(app).token
    response = pages.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200
    assert "Set-Cookie" not in response.headers


def test_an_unknown_parameter_is_refused_and_named(app: Flask) -> None:
    response = program(app).get("/me?serial=7")
    assert response.status_code == 422
    assert [error["field"] for error in response.get_json()["errors"]] == ["serial"]


def test_a_wrong_path_or_method_gets_problem_json(app: Flask) -> None:
    at = program(app)
    for method, path, code in (("GET", "/nothing", 404), ("DELETE", "/me", 405)):
        response = at.ask(method, path)
        assert (response.status_code, response.content_type) == (code, PROBLEM), path
        assert "\\u" not in response.text, path


def test_an_unreachable_database_gets_503_with_retry_after(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_token: str) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    at = program(app)
    monkeypatch.setattr(tokens, "program_of", away)
    response = at.get("/me")
    assert (response.status_code, response.content_type) == (503, PROBLEM)
    assert int(response.headers["Retry-After"]) > 0


def test_each_token_has_its_own_rate_limit(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(settings(), api_requests_per_minute=2)
    monkeypatch.setitem(app.extensions, "settings", few)
    one, other = program(app), program(app)
    assert [one.get("/me").status_code for _ in range(3)] == [200, 200, 429]
    assert 0 < int(one.get("/me").headers["Retry-After"]) <= 60
    assert other.get("/me").status_code == 200


def test_token_guessing_is_limited_by_network_and_known_tokens_still_work(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = replace(settings(), api_requests_per_minute=20)
    monkeypatch.setitem(app.extensions, "settings", few)
    known, later = program(app), program(app)
    assert known.get("/me").status_code == 200
    stranger = Program(app, "awt_" + "x" * 43)
    assert [stranger.get("/me").status_code for _ in range(3)] == [401, 401, 429]
    assert later.get("/me").status_code == 429
    assert known.get("/me").status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert later.get("/me", environ_base=elsewhere).status_code == 200


def test_pages_still_work_while_the_api_is_at_its_limit(app: Flask) -> None:
    at = program(app)
    taken = [load.places.acquire(blocking=False) for _ in range(load.PLACES)]
    try:
        response = at.get("/me")
        assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
        assert visit(app).get("/").status == 200
    finally:
        for _ in taken:
            load.places.release()
    assert at.get("/me").status_code == 200


def test_the_api_uses_a_quarter_of_the_web_server_threads() -> None:
    text = (ROOT / "gunicorn.conf.py").read_text()
    assert f"threads = {4 * load.PLACES}\n" in text


def test_each_operation_has_a_permission_and_a_unique_name() -> None:
    for operation in OPERATIONS:
        assert operation.permission == views.ANY_TOKEN or operation.permission in PERMISSIONS, (
            operation.name
        )
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
