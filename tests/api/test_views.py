"""Who gets in at the API, how often, and what everybody else is answered."""

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


def test_a_program_learns_its_own_name_role_and_end(app: Flask) -> None:
    answer = program(app, Role.SUPPORT, read_only=True).get("/me")
    assert answer.status_code == 200
    assert (answer.get_json()["role"], answer.get_json()["read_only"]) == ("support", True)


def test_whoever_shows_no_token_that_works_gets_one_sentence(app: Flask) -> None:
    over = program(app)
    end_all(ends_at=utcnow() - timedelta(seconds=1))
    revoked = program(app)
    end_all(revoked_at=utcnow())
    strangers = [Program(app), Program(app, "awt_" + "x" * 43), Program(app, "é\u2028"), over]
    told = set()
    for each in [*strangers, revoked]:
        answer = each.get("/me")
        assert (answer.status_code, answer.content_type) == (401, PROBLEM)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        told.add(answer.get_data())
    assert len(told) == 1


def test_a_cookie_and_a_forms_token_open_nothing_and_none_is_set(app: Flask) -> None:
    pages = visit(app)
    answer = pages.client.get("/api/v1/me")
    assert answer.status_code == 401
    token = program(app).token
    answer = pages.client.get("/api/v1/me", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers


def test_an_unknown_parameter_is_named_and_not_passed_over(app: Flask) -> None:
    answer = program(app).get("/me?serial=7")
    assert answer.status_code == 422
    assert [each["field"] for each in answer.get_json()["errors"]] == ["serial"]


@pytest.mark.parametrize(
    ("method", "path", "code"), [("GET", "/nothing", 404), ("DELETE", "/me", 405)]
)
def test_what_is_not_there_is_a_problem_and_no_page(
    app: Flask, method: str, path: str, code: int
) -> None:
    answer = program(app).ask(method, path)
    assert (answer.status_code, answer.content_type) == (code, PROBLEM)
    assert "\\u" not in answer.text


def test_a_database_that_is_away_is_503_with_a_time_to_wait(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_token: str) -> None:
        raise OperationalError("SELECT", {}, Exception("gone"))

    at = program(app)
    monkeypatch.setattr(tokens, "program_of", away)
    answer = at.get("/me")
    assert (answer.status_code, answer.content_type) == (503, PROBLEM)
    assert int(answer.headers["Retry-After"]) > 0


def test_a_token_has_so_many_requests_a_minute(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    few = replace(settings(), api_requests_per_minute=2)
    monkeypatch.setitem(app.extensions, "settings", few)
    one, other = program(app), program(app)
    assert [one.get("/me").status_code for _ in range(3)] == [200, 200, 429]
    assert 0 < int(one.get("/me").headers["Retry-After"]) <= 60
    assert other.get("/me").status_code == 200


def test_guessing_is_slowed_down_by_network_and_shuts_nobody_out(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "WRONG_A_MINUTE", 2)
    known, later = program(app), program(app)
    assert known.get("/me").status_code == 200
    stranger = Program(app, "awt_" + "x" * 43)
    assert [stranger.get("/me").status_code for _ in range(3)] == [401, 401, 429]
    assert later.get("/me").status_code == 429
    assert known.get("/me").status_code == 200
    elsewhere = {"REMOTE_ADDR": "192.0.2.7"}
    assert later.get("/me", environ_base=elsewhere).status_code == 200


def test_pages_keep_most_of_the_threads(app: Flask) -> None:
    at = program(app)
    taken = [load.places.acquire(blocking=False) for _ in range(load.PLACES)]
    try:
        answer = at.get("/me")
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        assert visit(app).get("/").status == 200
    finally:
        for _ in taken:
            load.places.release()
    assert at.get("/me").status_code == 200


def test_the_places_are_a_quarter_of_what_the_web_server_has() -> None:
    text = (ROOT / "gunicorn.conf.py").read_text()
    assert f"threads = {4 * load.PLACES}\n" in text


def test_each_operation_says_what_it_needs() -> None:
    for each in OPERATIONS:
        assert each.permission == views.ANY_TOKEN or each.permission in PERMISSIONS, each.name
    assert len({each.name for each in OPERATIONS}) == len(OPERATIONS)
