"""The description of the API: valid, whole, and true."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from portal.extensions import db, settings
from tests.api.client import program
from tests.support.web_server import web_server


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
@pytest.mark.timeout(240)
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
                *("--exclude-checks", "positive_data_acceptance,ignored_auth"),
                *("--max-examples", "20", "--seed", "1", "--no-color"),
            ],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert run.returncode == 0, run.stdout + run.stderr
