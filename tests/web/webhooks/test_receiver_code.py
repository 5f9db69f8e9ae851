"""The receiver code samples behave as the page says."""

import hmac
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import which
from typing import Final

import pytest
from flask import Flask

from portal.engine.signing.signatures import generate_secret
from portal.web.webhooks.views import LANGUAGES, Snippet, snippets
from tests.support.required import needs
from tests.web.webhooks.running_code import (
    BODY,
    COMMANDS,
    RunningCode,
    send,
    signed,
)

URL: Final = "https://erp.example.com/in/here?key=1"
MADE, OWN = generate_secret(), "correct hörse battery staple"

pytestmark = pytest.mark.timeout(300)  # a compiler's first run
EVERY_LANGUAGE: Final = pytest.mark.parametrize("language", COMMANDS)
Start = Callable[[str, str | None], RunningCode]


@pytest.fixture
def code(app: Flask) -> dict[str, Snippet]:
    """Return the snippets for `URL` by language."""
    return {snippet.language: snippet for snippet in snippets(URL)}


@pytest.fixture(scope="module")
def running() -> Iterator[dict[tuple[str, str | None], RunningCode]]:
    """Hold the receivers by language and key, and close them after the last test."""
    receivers: dict[tuple[str, str | None], RunningCode] = {}
    yield receivers
    for receiver in receivers.values():
        receiver.close()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder for each language's code, which is compiled once for all its receivers."""
    return tmp_path_factory.mktemp("sources")


@pytest.fixture
def start(
    code: dict[str, Snippet],
    running: dict[tuple[str, str | None], RunningCode],
    sources: Path,
    tmp_path: Path,
) -> Start:
    """Return a function that starts a language's receiver with a secret key, at most once."""

    def run(language: str, secret: str | None) -> RunningCode:
        if (language, secret) not in running:
            source = write(code[language], sources)
            running[language, secret] = RunningCode(language, source, secret, tmp_path)
        return running[language, secret]

    return run


def write(snippet: Snippet, folder: Path) -> Path:
    path = folder / snippet.filename
    path.write_text(snippet.code)
    return path


def without(name: str, headers: dict[str, str]) -> dict[str, str]:
    return {header: value for header, value in headers.items() if header != name}


@EVERY_LANGUAGE
@pytest.mark.parametrize("secret", [MADE, OWN], ids=["made", "own"])
def test_sample_code_accepts_our_messages_once_and_no_others(
    start: Start, language: str, secret: str
) -> None:
    receiver = start(language, secret)
    assert receiver.listens()
    good, port, before = signed(secret), receiver.port, receiver.handled(0)
    assert [send(port, good), send(port, good)] == [204, 204]
    assert send(port, signed("another secret")) == 401
    assert send(port, signed(secret), BODY.replace(b"1", b"2")) == 401
    assert send(port, signed(secret), b"") == 401
    bare = signed(secret)
    assert send(port, without("X-Asset-Webhook-Signature", bare)) == 401
    assert send(port, bare | {"X-Asset-Webhook-Signature": ""}) == 401
    assert send(port, bare | {"X-Asset-Webhook-Signature": "z" * 64}) == 401
    assert send(port, signed(secret)) == 204
    assert receiver.handled(before + 2) == before + 2


@EVERY_LANGUAGE
@pytest.mark.parametrize("has", ["old", "new"])
def test_during_key_overlap_sample_code_accepts_either_key(
    start: Start, language: str, has: str
) -> None:
    receiver = start(language, {"old": OWN, "new": MADE}[has])
    assert receiver.listens()
    assert send(receiver.port, signed(OWN, MADE)) == 204
    assert send(receiver.port, signed("another secret", "and another")) == 401
    # After Switch now, only the new key signs.
    switched = send(receiver.port, signed(MADE))
    assert switched == {"old": 401, "new": 204}[has]


@EVERY_LANGUAGE
@pytest.mark.parametrize("secret", [None, ""], ids=["unset", "empty"])
def test_sample_code_without_a_key_accepts_nothing(
    start: Start, language: str, secret: str | None
) -> None:
    receiver = start(language, secret)
    if receiver.listens():  # PHP's web server starts even without a key
        forged = {"X-Asset-Webhook-Signature": "0" * 64, "X-Asset-Webhook-Id": "forged"}
        assert send(receiver.port, forged) == 401
        assert send(receiver.port, signed_with_nothing()) == 401
    else:
        assert "WEBHOOK_SECRET is not set" in (receiver.folder / "logged").read_text()


@pytest.mark.parametrize("language", ["python", "node", "java", "go", "csharp"])
@pytest.mark.parametrize(
    ("url", "port"),
    [
        ("http://127.0.0.1:9101/hook", 9101),
        ("https://erp.example.com/hook", 8080),
        ("https://erp.example.com:8443/hook", 8080),
    ],
)
def test_the_start_command_has_the_url_s_port_unless_a_proxy_has_it(
    app: Flask, language: str, url: str, port: int
) -> None:
    code = next(each.code for each in snippets(url) if each.language == language)
    start = code.splitlines()[1]
    assert start.count(str(port)) == 1, start


def signed_with_nothing() -> dict[str, str]:
    """Return the signature that anyone can compute for an empty key."""
    return {"X-Asset-Webhook-Signature": hmac.digest(b"", BODY, "sha256").hex()}


@pytest.mark.parametrize("language", ["python", "node"])
def test_sample_code_answers_404_at_other_paths(start: Start, language: str) -> None:
    receiver = start(language, MADE)
    assert receiver.listens()
    assert send(receiver.port, signed(MADE), path="/elsewhere") == 404


def test_the_curl_script_sends_a_delivery_that_is_accepted(
    start: Start, code: dict[str, Snippet], tmp_path: Path
) -> None:
    needs(which("curl") and which("openssl"), "curl with openssl")
    receiver = start("python", OWN)
    assert receiver.listens()
    command = ["sh", write(code["curl"], tmp_path)]
    for secret, answer in ((OWN, "responded with 204\n"), ("another", "responded with 401\n")):
        url = f"http://127.0.0.1:{receiver.port}/in/here"
        environment = {"WEBHOOK_SECRET": secret, "URL": url, "PATH": "/usr/bin:/bin"}
        sent = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=20, check=True
        )
        assert sent.stdout == answer


def test_every_language_names_the_url_and_compares_in_constant_time(
    code: dict[str, Snippet],
) -> None:
    assert set(code) == {language for language, _, _ in LANGUAGES}
    assert all(URL in snippet.code for snippet in code.values())
    compares = ("compare_digest", "timingSafeEqual", "hash_equals", "FixedTimeEquals")
    compares += ("hmac.Equal", "MessageDigest.isEqual")
    receivers = [snippet.code for snippet in code.values() if snippet.language != "curl"]
    assert all(any(word in text for word in compares) for text in receivers)
    assert all(
        "X-Asset-Webhook-Signature-Next" in text or "_NEXT" in text or "-next" in text
        for text in receivers
    )
    assert all("webhook-timestamp" in text for text in receivers)


def test_a_url_cannot_break_out_of_the_code(app: Flask) -> None:
    hostile = "https://erp.example.com/a?>'\"`$(id)#<b>\\{{x}}"
    text = "".join(snippet.code for snippet in snippets(hostile))
    assert not [word for word in ("?>", "$(id", "`$", "{{x", "<b>") if word in text]
