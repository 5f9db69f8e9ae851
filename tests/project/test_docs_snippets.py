"""What the documents show is what works: their snippets, settings and links."""

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

README = ROOT / "README.md"
RECEIVERS = ROOT / "docs" / "receivers.md"
DOCUMENTS = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]

BODY = b'{"event":"asset.created","asset":{"name":"Gr\\u00f6\\u00dfe 4"}}'
MADE, OWN = generate_secret(), "correct hörse battery staple"
SECRETS = pytest.mark.parametrize("secret", [MADE, OWN], ids=["made", "own"])


def snippets(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


def run(snippet: str) -> dict[str, Any]:
    """The names that a Python snippet defines."""
    names: dict[str, Any] = {"__name__": "snippet"}
    exec(snippet, names)  # noqa: S102 - our own document
    return names


def python_snippet(words: str) -> dict[str, Any]:
    """The names that the one snippet with these words defines."""
    (found,) = [each for each in snippets(RECEIVERS, "python") if words in each]
    return run(found)


def signed(secret: str) -> dict[str, str]:
    return sign_headers(body=BODY, message_id="m-1", sent_at=int(time.time()), secret=secret)


def test_the_python_snippet_for_the_schema_reads_the_one_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(RECEIVERS.parent)
    what_is_wrong = python_snippet("def what_is_wrong")["what_is_wrong"]
    assert what_is_wrong(sample_body(EventName.CREATED)) == []
    assert "$: 'asset' is a required property" in what_is_wrong(b'{"event": "asset.created"}')


@SECRETS
def test_the_python_snippet_tells_our_messages_from_others(secret: str) -> None:
    is_ours = python_snippet("def is_ours")["is_ours"]
    signature = signed(secret)["X-Asset-Webhook-Signature"]
    assert is_ours(BODY, signature, secret)
    assert not is_ours(BODY + b" ", signature, secret)
    assert not is_ours(BODY, "ä", secret)


@SECRETS
def test_the_snippet_for_the_standard_library_reads_our_messages(secret: str) -> None:
    read = python_snippet("def read")["read"]
    headers = signed(secret)
    assert read(BODY, headers, secret) == json.loads(BODY)
    assert read(BODY + b" ", headers, secret) is None


@SECRETS
@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node on this machine")
def test_the_node_snippet_tells_our_messages_from_others(secret: str) -> None:
    ask = "const a = JSON.parse(process.argv[1]); for (const body of [a.body, a.body + ' ']) "
    ask += "console.log(isOurs(Buffer.from(body), a.signature, a.secret));"
    ask += "console.log(isOurs(Buffer.from(a.body), undefined, a.secret));"
    asked = {
        "body": BODY.decode(),
        "signature": signed(secret)["X-Asset-Webhook-Signature"],
        "secret": secret,
    }
    command = ["node", "-e", snippets(RECEIVERS, "js")[0] + ask, json.dumps(asked)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert answer.stdout.split() == ["true", "false", "false"]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """The README's receiver as its reader starts it, on any free port."""
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


def test_the_receiver_of_the_readme_takes_ours_and_refuses_others(
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
    """Settings that remember what was asked of them."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self.asked.add(str(key))
        return super().__contains__(key)


def test_the_readme_lists_every_setting_and_no_other(tmp_path: Path) -> None:
    environment = Listening({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)})
    load_settings(environment)
    listed = re.findall(r"^\| `([A-Z_]+)` \|", README.read_text(), re.MULTILINE)
    assert sorted(listed) == sorted(environment.asked)


def test_the_schedule_in_the_documents_is_the_one_in_force() -> None:
    units = {0: ("s", 1), 60: ("min", 60), 3600: ("h", 3600)}

    def in_words(seconds: float) -> str:
        unit, size = units[max(each for each in units if each <= seconds)]
        return f"{seconds // size} {unit}"

    *pauses, last = (in_words(seconds) for seconds in SCHEDULE[1:])
    assert f"after {', '.join(pauses)} and {last}" in RECEIVERS.read_text()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    links = re.findall(r"(?<!\!)\[[^\]]*\]\((?!https?:)([^)#]+)", document.read_text())
    missing = [link for link in links if not (document.parent / link).exists()]
    assert not missing
