"""Tests of the snippets, settings, and links in the documents."""

import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from portal.config.settings import ROOT, load_settings
from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.engine.retry_policy import SCHEDULE
from portal.engine.signing.signatures import generate_secret, sign_headers
from tests.conftest import ENVIRONMENT
from tests.support.required import needs
from tests.web.webhooks.running_code import RunningCode, send

README = ROOT / "README.md"
RECEIVERS = ROOT / "docs" / "receivers.md"
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

BODY = b'{"event":"asset.created","asset":{"name":"Gr\\u00f6\\u00dfe 4"}}'
MADE, OWN = generate_secret(), "correct hörse battery staple"
OTHER = "another secret"
SECRETS = pytest.mark.parametrize("secret", [MADE, OWN], ids=["made", "own"])


def snippets(document: Path, language: str) -> list[str]:
    """Return the fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def run(snippet: str) -> dict[str, Any]:
    """Run a Python snippet and return the names it defines."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(snippet, names)  # noqa: S102 - our own document
    return names


def python_snippet(words: str) -> dict[str, Any]:
    """Run the only snippet with these words and return the names it defines."""
    (snippet,) = [each for each in snippets(RECEIVERS, "python") if words in each]
    return run(snippet)


def signed(
    secret: str, next_secret: str | None = None, sent_at: int | None = None
) -> dict[str, str]:
    """Return the signature headers of a message, with lowercase names."""
    sent_at = sent_at or int(time.time())
    headers = sign_headers(
        body=BODY, message_id="m-1", sent_at=sent_at, secret=secret, next_secret=next_secret
    )
    return {name.lower(): value for name, value in headers.items()}


def cases(secret: str) -> list[tuple[dict[str, str], bytes, bool]]:
    """Return (headers, body, whether it is ours) for a receiver with `secret`."""
    return [
        (signed(secret), BODY, True),
        (signed(secret, OTHER), BODY, True),
        (signed(OTHER, secret), BODY, True),
        (signed(OTHER), BODY, False),
        (signed(OTHER, "and another one"), BODY, False),
        (signed(secret), BODY + b" ", False),
        ({}, BODY, False),
        ({"x-asset-webhook-signature": "ab"}, BODY, False),
        ({"x-asset-webhook-signature": "ä"}, BODY, False),
    ]


def test_the_python_schema_snippet_reads_the_schema_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(RECEIVERS.parent)
    what_is_wrong = python_snippet("def what_is_wrong")["what_is_wrong"]
    assert what_is_wrong(sample_body(EventName.CREATED)) == []
    assert "$: 'asset' is a required property" in what_is_wrong(b'{"event": "asset.created"}')


@SECRETS
def test_the_python_snippet_verifies_signatures(secret: str) -> None:
    is_ours = python_snippet("def is_ours")["is_ours"]
    for headers, body, expected in cases(secret):
        assert is_ours(body, headers, secret) is expected


@SECRETS
def test_the_python_snippet_refuses_replayed_deliveries(secret: str) -> None:
    is_new_and_ours = python_snippet("def is_new_and_ours")["is_new_and_ours"]
    for headers, body, expected in cases(secret):
        assert is_new_and_ours(body, headers, secret) is expected
    now = int(time.time())
    for seconds, expected in ((-250, True), (250, True), (-350, False), (350, False)):
        assert is_new_and_ours(BODY, signed(secret, sent_at=now + seconds), secret) is expected
    old = signed(secret, sent_at=now - 3600)
    for change in (
        {"webhook-timestamp": str(now)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "\u0661" * 10},
    ):
        assert not is_new_and_ours(BODY, old | change, secret)
    assert not is_new_and_ours(BODY, signed(secret) | {"webhook-id": "another"}, secret)


@SECRETS
def test_the_node_snippet_verifies_signatures(secret: str) -> None:
    needs(shutil.which("node"), "Node")
    ask = "const a = JSON.parse(process.argv[1]); for (const [headers, body] of a.cases) "
    ask += "console.log(isOurs(Buffer.from(body), headers, a.secret));"
    asked = {"secret": secret, "cases": [(each[0], each[1].decode()) for each in cases(secret)]}
    command = ["node", "-e", snippets(RECEIVERS, "js")[0] + ask, json.dumps(asked)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.split() == [str(each[2]).lower() for each in cases(secret)]


@SECRETS
def test_the_php_snippet_verifies_signatures(secret: str, tmp_path: Path) -> None:
    (snippet,) = snippets(RECEIVERS, "php")
    script = tmp_path / "receiver.php"
    script.write_text(snippet)
    php = RunningCode("php", script, secret, tmp_path)
    try:
        assert php.listens()
        codes = [send(php.port, headers, body) for headers, body, _ in cases(secret)]
    finally:
        php.close()
    assert codes == [204 if each[2] else 401 for each in cases(secret)]


@SECRETS
def test_the_shell_snippet_makes_our_signature(secret: str, tmp_path: Path) -> None:
    needs(shutil.which("openssl"), "openssl")
    (tmp_path / "body.json").write_bytes(BODY)
    (snippet,) = snippets(RECEIVERS, "sh")
    environment = {**os.environ, "WEBHOOK_SECRET": secret}
    made = subprocess.run(
        ["sh", "-c", snippet], cwd=tmp_path, env=environment, capture_output=True, check=True
    )
    assert made.stdout.decode().split()[-1] == signed(secret)["x-asset-webhook-signature"]


@SECRETS
def test_the_standardwebhooks_snippet_reads_our_messages(secret: str) -> None:
    read = python_snippet("def read")["read"]
    old = int(time.time()) - 600
    for headers, body in (
        (signed(secret), BODY),
        (signed(OTHER, secret), BODY),
        (signed(secret, OTHER), BODY),
    ):
        assert read(body, headers, secret) == json.loads(BODY)
    for headers, body in (
        (signed(secret), BODY + b" "),
        (signed(OTHER), BODY),
        (signed(secret, sent_at=old), BODY),
        (signed(secret) | {"webhook-id": "m-2"}, BODY),
        ({}, BODY),
    ):
        assert read(body, headers, secret) is None


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Start the README's receiver as its readers do, on a free port."""
    (snippet,) = snippets(README, "python")
    script = tmp_path / "receiver.py"
    script.write_text(snippet)
    process = subprocess.Popen(
        [sys.executable, "-u", str(script), "0"],
        env={**os.environ, "WEBHOOK_SECRET": MADE},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def test_the_readme_receiver_accepts_only_our_messages(
    receiver: subprocess.Popen[str],
) -> None:
    assert receiver.stdout is not None
    port = int(receiver.stdout.readline().rpartition(":")[2])
    good = signed(MADE)
    for headers, code in ((good, 204), (signed(OWN), 401), ({}, 401)):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("POST", "/", BODY, headers)
        assert connection.getresponse().status == code
        connection.close()
    assert receiver.stdout.readline().split() == ["asset.created", "good", "signature"]


class Listening(dict[str, str]):
    """An environment that records which settings are read."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def test_readme_and_deployment_list_every_setting_once_and_no_other(tmp_path: Path) -> None:
    environment = Listening({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})
    load_settings(environment)
    tables = README.read_text() + (ROOT / "docs/deployment.md").read_text()
    listed = re.findall(r"^\| `([A-Z_]+)` \|", tables, re.MULTILINE)
    assert sorted(listed) == sorted(environment.asked)


def test_the_documented_retry_schedule_is_true() -> None:
    units = {0: ("s", 1), 60: ("min", 60), 3600: ("h", 3600)}

    def in_words(seconds: float) -> str:
        unit, size = units[max(each for each in units if each <= seconds)]
        return f"{seconds // size} {unit}"

    *pauses, last = (in_words(seconds) for seconds in SCHEDULE[1:])
    assert f"after {', '.join(pauses)}, and {last}" in RECEIVERS.read_text()


def test_links_between_documents_are_not_broken() -> None:
    missing = [
        (document.name, link)
        for document in DOCUMENTS
        for link in re.findall(r"(?<!\!)\[[^\]]*\]\((?!https?:)([^)#]+)", document.read_text())
        if not (document.parent / link).exists()
    ]
    assert not missing
