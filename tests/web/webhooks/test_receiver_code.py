"""The code that we hand to a receiver's developer does what the page says of it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from flask import Flask

from portal.engine.signing.signatures import request_headers
from portal.web.webhooks.receiver_code import LANGUAGES, Snippet, snippets
from tests.support.ports import free_port

URL = "https://erp.example.com/in/here?key=1"
SECRET = "a secret of the receiver"
BODY = '{"event":"asset.updated","asset":{"asset_tag":"AST-00001","name":"Größe"}}'.encode()

# No row is read: one database is enough.
pytestmark = pytest.mark.parametrize(
    "database_kind", [pytest.param("sqlite", id="sqlite")], indirect=True, scope="session"
)
Start = Callable[[str], int]
Command = list[str | Path]


def built(source: Path) -> Path:
    """Go's program, compiled with nothing but what came with Go."""
    program = source.with_suffix("")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GO111MODULE": "off"}
    command = ["go", "build", "-o", program, source]
    try:
        subprocess.run(command, env=environment, timeout=60, check=True)
    except subprocess.TimeoutExpired:
        pytest.skip("Go has yet to compile its own library here, which takes minutes")
    return program


NEEDED = {"python": sys.executable, "node": "node", "php": "php", "go": "go"}
COMMANDS: dict[str, Callable[[Path, int], Command]] = {
    "python": lambda path, _port: [sys.executable, path],
    "node": lambda path, _port: ["node", path],
    "php": lambda path, port: ["php", "-S", f"127.0.0.1:{port}", path],
    "go": lambda path, _port: [built(path)],
}


@pytest.fixture
def code(app: Flask) -> dict[str, Snippet]:
    """The snippets for `URL` by language."""
    return {each.language: each for each in snippets(URL)}


@pytest.fixture
def start(code: dict[str, Snippet], tmp_path: Path) -> Iterator[Start]:
    """Starts a language's receiver and returns its port; it ends with the test."""
    running: list[subprocess.Popen[bytes]] = []

    def run(language: str) -> int:
        if shutil.which(NEEDED[language]) is None:
            pytest.skip(f"{language} is not installed here")
        port = free_port()
        command = COMMANDS[language](write(code[language], tmp_path), port)
        settings = {"WEBHOOK_SECRET": SECRET, "PORT": str(port), "PYTHONIOENCODING": "utf-8"}
        with (tmp_path / "printed").open("wb") as out, (tmp_path / "logged").open("wb") as logged:
            running.append(
                subprocess.Popen(
                    command,
                    env={"TMPDIR": str(tmp_path), **settings},
                    stdout=out,
                    stderr=logged,
                )
            )
        wait_for(port)
        return port

    yield run
    for process in running:
        process.kill()
        process.wait(10)


def write(snippet: Snippet, folder: Path) -> Path:
    path = folder / snippet.filename
    path.write_text(snippet.code)
    return path


def wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the receiver did not start within ten seconds")


def send(port: int, *, secret: str = SECRET, message_id: str = "m1", path: str = "") -> int:
    """Deliver the body as the portal does; return the code of the answer."""
    headers = request_headers(
        event="asset.updated",
        timestamp="2025-02-04T12:00:00+00:00",
        message_id=message_id,
        version="0",
        body=BODY,
        sent_at=1738670400,
        secret=secret,
    )
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path or "/in/here?key=1", BODY, headers)
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize("language", ["python", "node"])
def test_it_takes_our_messages_once_and_refuses_others(
    start: Start, language: str, tmp_path: Path
) -> None:
    port = start(language)
    assert send(port) == 204
    assert send(port) == 204
    assert send(port, message_id="m2", secret="another secret") == 401
    assert send(port, path="/elsewhere") == 404
    assert send(port, message_id="m3") == 204
    printed = ""
    for _ in range(100):
        printed = (tmp_path / "printed").read_text()
        if printed.count("asset.updated AST-00001") == 2:
            break
        time.sleep(0.05)
    assert printed.splitlines() == ["asset.updated AST-00001"] * 2


@pytest.mark.parametrize("language", ["php", "go"])
def test_where_it_can_run_it_verifies_too_and_drops_repeats(
    start: Start, language: str, tmp_path: Path
) -> None:
    port = start(language)
    assert [send(port), send(port), send(port, message_id="m2")] == [204, 204, 204]
    assert send(port, message_id="m3", secret="another secret") == 401
    for _ in range(100):
        if (tmp_path / "logged").read_text().count("asset.updated") == 2:
            break
        time.sleep(0.05)
    assert (tmp_path / "logged").read_text().count("asset.updated") == 2


@pytest.mark.skipif(
    not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl"
)
def test_the_curl_script_sends_what_a_receiver_accepts(
    start: Start, code: dict[str, Snippet], tmp_path: Path
) -> None:
    port = start("python")
    command = ["sh", write(code["curl"], tmp_path)]
    for secret, answer in ((SECRET, "answered 204\n"), ("another", "answered 401\n")):
        url = f"http://127.0.0.1:{port}/in/here"
        environment = {"WEBHOOK_SECRET": secret, "URL": url, "PATH": "/usr/bin:/bin"}
        sent = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=20, check=True
        )
        assert sent.stdout == answer


def test_every_language_names_the_url_and_compares_in_constant_time(
    code: dict[str, Snippet],
) -> None:
    assert set(code) == {language for language, _, _ in LANGUAGES}
    assert all(URL in each.code for each in code.values())
    compares = ("compare_digest", "timingSafeEqual", "hash_equals", "FixedTimeEquals", "hmac.Equal")
    receivers = [each.code for each in code.values() if each.language != "curl"]
    assert all(any(word in text for word in compares) for text in receivers)


def test_an_address_cannot_break_out_of_the_code(app: Flask) -> None:
    hostile = "https://erp.example.com/a?>'\"`$(id)#<b>\\{{x}}"
    text = "".join(each.code for each in snippets(hostile))
    assert not [word for word in ("?>", "$(id", "`$", "{{x", "<b>") if word in text]
