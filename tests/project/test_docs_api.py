"""Tests that the API examples in docs/api.md and the README work on a real server."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.config.settings import ROOT
from portal.extensions import db, settings
from portal.models.deliveries import Event
from portal.models.people import Role
from portal.services.core.unit_of_work import session
from tests.api.client import program
from tests.project.test_docs_snippets import README, snippets
from tests.support.factories import make_asset
from tests.support.processes import until
from tests.support.web_server import web_server

API = ROOT / "docs" / "api.md"
DEVICES = [
    {
        "serial": f"S-{number}",
        "name": f"Laptop {number}",
        "person": f"Person {number % 7}",
        "email": f"p{number % 7}@example.com",
    }
    for number in range(20)
]


@pytest.fixture
def environment(app: Flask, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Run a portal, and yield the environment of a program that uses it."""
    token = program(app, Role.ADMIN).token
    db.session.remove()
    with web_server(tmp_path, DATABASE_URL=settings().database_url) as server:
        address = f"http://127.0.0.1:{server.port}/api/v1"
        yield {**os.environ, "API": address, "TOKEN": token}


def count_events() -> int:
    session().rollback()
    return session().execute(select(func.count(Event.id))).scalar_one()


def shell(script: str, environment: dict[str, str]) -> Any:
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_device_program_syncs_the_register_and_repeats_nothing(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (script,) = [snippet for snippet in snippets(API, "python") if "devices.json" in snippet]
    assert len(script.splitlines()) <= 80

    def run(devices: list[dict[str, str]]) -> str:
        (tmp_path / "devices.json").write_text(json.dumps(devices))
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert run(DEVICES).count("added, allocated") == len(DEVICES)
    before = count_events()
    assert before == 2 * len(DEVICES)
    assert run(DEVICES) == ""
    assert count_events() == before
    moved = DEVICES[0] | {"name": "Renamed", "person": "Zoe", "email": "zoe@example.com"}
    assert run([moved]) == "S-0 person added, renamed, reassigned\n"
    wrong = DEVICES[1] | {"name": "x" * 121}
    refused, kept = run([wrong, DEVICES[0]]).splitlines()
    assert refused.startswith("S-1 not synced: Enter at most 120 characters")
    assert kept == "S-0 renamed, reassigned"


def test_the_shell_commands_work(environment: dict[str, str]) -> None:
    first, subscribe = snippets(API, "sh")
    assert shell(first, environment)["role"] == "admin"
    webhook = shell(subscribe, environment)
    assert webhook["secret"].startswith("whsec_")
    delete = f'curl -X DELETE -w 0 -H "Authorization: Bearer $TOKEN" $API/webhooks/{webhook["id"]}'
    assert shell(delete, environment) == 0
    (call,) = [snippet for snippet in snippets(README, "sh") if "create-token" in snippet]
    words = re.sub(r"^TOKEN=.*\n", "", call).replace("http://127.0.0.1:8000/api/v1", "$API")
    assert shell(words, environment) == {"items": [], "next": None}


def test_the_event_reader_resumes_at_its_cursor(
    environment: dict[str, str], tmp_path: Path
) -> None:
    (script,) = [snippet for snippet in snippets(API, "python") if "place.txt" in snippet]
    script = script.replace("asset.checked_out", "asset.created").replace(
        '["holder"]["name"]', '["name"]'
    )
    output = ""
    for name in ("first", "second"):
        make_asset(name)
        process = subprocess.Popen(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        output += process.stdout.readline()
        place = tmp_path / "place.txt"
        assert until(lambda place=place: place.exists() and place.read_text(), 10)
        process.kill()
        process.communicate(timeout=10)
    assert [line.split(maxsplit=1)[1] for line in output.splitlines()] == ["first", "second"]
