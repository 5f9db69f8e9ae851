"""The description of the API: valid, whole, and true."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from portal.api import OPERATIONS
from portal.engine.events.catalogue import EventName
from portal.extensions import db, settings
from tests.api.client import program
from tests.support.web_server import web_server
from tests.web.signed_in import visit


def document(app: Flask) -> dict[str, object]:
    answer = app.test_client().get("/api/v1/openapi.json")
    assert answer.status_code == 200
    return dict(json.loads(answer.get_data()))


def test_it_is_valid_and_public(app: Flask) -> None:
    validate(document(app))


def test_each_example_fits_its_schema(app: Flask) -> None:
    for path, methods in document(app)["paths"].items():  # type: ignore[attr-defined]
        for method, each in methods.items():
            assert each["summary"], (path, method)
            answer = next(each["responses"][code] for code in each["responses"] if code < "300")
            for part in answer.get("content", {}).values():
                Draft202012Validator(part["schema"]).validate(part["example"])


@pytest.mark.both_databases
@pytest.mark.timeout(300)
def test_whatever_is_sent_is_answered_as_described(app: Flask, tmp_path: Path) -> None:
    token = program(app).token
    db.session.remove()
    changes = {"DATABASE_URL": settings().database_url, "API_REQUESTS_PER_MINUTE": "60000"}
    with web_server(tmp_path, **changes) as server:
        run = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run"),
                f"http://127.0.0.1:{server.port}/api/v1/openapi.json",
                *("-H", f"Authorization: Bearer {token}", "--checks", "all"),
                # What a schema can’t say, such as a tag that is taken, is refused as well.
                # Of many wrong tokens, the later ones have to wait.
                "--exclude-checks",
                "positive_data_acceptance,ignored_auth,missing_required_header",
                *("--max-examples", "12", "--seed", "1", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=280,
        )
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_operation_is_described_whole(app: Flask) -> None:
    for path, methods in document(app)["paths"].items():  # type: ignore[attr-defined]
        for method, each in methods.items():
            name = f"{method} {path}"
            assert each["summary"], name
            assert each["x-permission"], name
            assert {"401", "422", "429", "503"} <= set(each["responses"]), name
            body = each.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                Draft202012Validator(body["schema"]).validate(body["example"])
                assert body["example"], name


def test_people_read_the_same_operations_with_a_command_for_each(app: Flask) -> None:
    page = visit(app, "support").get("/help/api")
    for each in OPERATIONS:
        assert each.summary in page.main, each.name
    assert page.main.count("Authorization: Bearer $TOKEN") == len(OPERATIONS) + 1


def test_the_kinds_of_events_are_described_as_webhooks(app: Flask) -> None:
    assert set(document(app)["webhooks"]) == set(EventName)  # type: ignore[call-overload]
