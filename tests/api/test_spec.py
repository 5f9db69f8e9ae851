"""Tests that the OpenAPI document is valid, complete, and true."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from portal.api import OPERATIONS
from portal.config.settings import ROOT
from portal.engine.events.catalogue import EventName
from portal.extensions import db, settings
from tests.api.client import program
from tests.support.lint.old_words import old_words_in
from tests.support.web_server import web_server
from tests.web.signed_in import visit

HOOKS: Final = "tests.api.generated_requests"


def document(app: Flask) -> dict[str, Any]:
    response = app.test_client().get("/api/v1/openapi.json")
    assert response.status_code == 200
    return dict(json.loads(response.get_data()))


def test_the_document_is_valid_and_public(app: Flask) -> None:
    validate(document(app))


def texts_in(node: object) -> Iterator[str]:
    """Yield the texts for people in a part of the document."""
    if isinstance(node, dict):
        for name, value in node.items():
            is_text = name in {"summary", "description"} and isinstance(value, str)
            yield from [value] if is_text else texts_in(value)
    elif isinstance(node, list):
        for each in node:
            yield from texts_in(each)


def test_the_document_uses_no_replaced_word(app: Flask) -> None:
    texts = list(texts_in(document(app)))
    assert len(texts) > 200
    assert [breach for text in texts for breach in old_words_in(text)] == []


@pytest.mark.both_databases
@pytest.mark.timeout(300)
def test_generated_requests_get_responses_as_described(app: Flask, tmp_path: Path) -> None:
    token = program(app).token
    db.session.remove()
    changes = {"DATABASE_URL": settings().database_url, "API_REQUESTS_PER_MINUTE": "60000"}
    with web_server(tmp_path, **changes) as server:
        run = subprocess.run(
            [
                *(str(Path(sys.executable).with_name("schemathesis")), "run"),
                f"http://127.0.0.1:{server.port}/api/v1/openapi.json",
                *("-H", f"Authorization: Bearer {token}", "--checks", "all"),
                *("--max-examples", "8", "--seed", "1", "--no-color", "--max-failures", "20"),
                *("--generation-allow-x00", "false"),
            ],
            cwd=tmp_path,
            env={
                **os.environ,
                "SCHEMATHESIS_HOOKS": "tests.api.generated_requests",
                "PYTHONPATH": str(ROOT),
            },
            capture_output=True,
            text=True,
            timeout=280,
        )
    assert run.returncode == 0, run.stdout + run.stderr


def test_each_operation_is_described_with_examples_that_fit(app: Flask) -> None:
    described = document(app)
    components = {"components": described["components"]}
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            name, responses = f"{method} {path}", operation["responses"]
            assert operation["summary"], name
            assert operation["x-permission"], name
            assert {"401", "422", "429", "503"} <= set(responses), name
            success = next(responses[code] for code in responses if code < "300")
            for part in success.get("content", {}).values():
                Draft202012Validator(components | part["schema"]).validate(part["example"])
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body:
                Draft202012Validator(components | body["schema"]).validate(body["example"])
                assert body["example"], name


def test_each_body_and_answer_has_a_name_that_clients_are_generated_with(app: Flask) -> None:
    described = document(app)
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            answers = [answer.get("content", {}) for answer in operation["responses"].values()]
            for content in [*answers, operation.get("requestBody", {}).get("content", {})]:
                for part in content.values():
                    assert list(part["schema"]) == ["$ref"], f"{method} {path}"
    for name, schema in described["components"]["schemas"].items():
        for field, each in schema.get("properties", {}).items():
            assert "default" not in each, f"{name}.{field}"
            for part in (each, each.get("items", {}), *each.get("anyOf", ())):
                assert "properties" not in part, f"{name}.{field}"
                assert "enum" not in part, f"{name}.{field}"


def test_no_value_is_preset_that_is_refused(app: Flask) -> None:
    at, described = program(app), document(app)
    for path, methods in described["paths"].items():
        for each in methods.get("get", {}).get("parameters", ()):
            if each["in"] == "query" and "default" in each["schema"]:
                query = f"{each['name']}={json.dumps(each['schema']['default'])}"
                code = at.get(f"{path}?{query}").status_code
                assert code in (200, 404), f"{path}?{query}"


def test_the_help_page_lists_each_operation_with_a_command(app: Flask) -> None:
    page = visit(app, "support").get("/help/api")
    for operation in OPERATIONS:
        assert operation.summary in page.main, operation.name
    assert page.main.count("Authorization: Bearer $TOKEN") == len(OPERATIONS) + 1


def test_each_event_is_described_as_a_webhook(app: Flask) -> None:
    assert set(document(app)["webhooks"]) == set(EventName)
