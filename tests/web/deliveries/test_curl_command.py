"""The curl command repeats our request and recomputes each of its signatures."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from portal.engine.signing.signatures import generate_secret, sign_headers, verify, verify_standard
from portal.web.deliveries.request import curl_of
from tests.support.receiver import Received, Receiver
from tests.support.required import needs

BODY: Final = b'{"note":"caf\xc3\xa9, it\'s 100 % \\"here\\""}'
ID: Final = "0199a0a0-0000-7000-8000-000000000001"
GENERATED, OWN, BINARY = generate_secret(), 'it is 5% "ours" alone', "whsec_AAECAwQFBgcICQ=="
SENT: Final = 1_760_000_000


def headers(secret: str | None, following: str | None = None) -> list[tuple[str, str]]:
    """Return the headers of a delivery, with signatures masked as everywhere else."""
    signed = sign_headers(
        body=BODY, message_id=ID, sent_at=SENT, secret=secret, next_secret=following
    )
    shown = [(n, "••••" if "signature" in n.lower() else v) for n, v in signed.items()]
    return [("Content-Type", "application/json"), ("X-Asset-Webhook-Id", ID), *shown]


def run(command: str, secret: str, receiver: Receiver, folder: Path) -> Received:
    """Fill in the secret and run the command as a person would."""
    needs(shutil.which("curl") and shutil.which("openssl"), "curl with openssl")
    quoted = secret.replace("'", "'\\''")
    script = command.replace("THE SECRET KEY OF THIS WEBHOOK", quoted)
    subprocess.run(["sh", "-ec", script], check=True, capture_output=True, timeout=20, cwd=folder)
    (received,) = receiver.wait_for(1)
    return received


@pytest.mark.parametrize("secret", [GENERATED, OWN, BINARY], ids=["generated", "own", "binary"])
@pytest.mark.parametrize("is_long", [False, True], ids=["in the line", "in a file"])
def test_both_signatures_verify(secret: str, is_long: bool, tmp_path: Path) -> None:
    body = BODY.ljust(64_001) if is_long else BODY
    (tmp_path / "delivery.json").write_bytes(body)
    with Receiver() as receiver:
        command = curl_of(receiver.url, headers(secret), body)
        received = run(command, secret, receiver, tmp_path)
    assert received.body == body
    assert verify(
        body=body,
        signature=received.header("X-Asset-Webhook-Signature") or "",
        secret=secret,
    )
    assert received.header("webhook-id") == ID
    stamp = int(received.header("webhook-timestamp") or 0)
    assert stamp > SENT
    signatures = received.header("webhook-signature") or ""
    assert verify_standard(
        body=body, message_id=ID, sent_at=stamp, signatures=signatures, secret=secret
    )


def test_during_key_rotation_the_command_signs_with_the_entered_key(tmp_path: Path) -> None:
    with Receiver() as receiver:
        command = curl_of(receiver.url, headers(OWN, GENERATED), BODY)
        received = run(command, GENERATED, receiver, tmp_path)
    assert received.header("X-Asset-Webhook-Signature-Next") is None
    signature = received.header("X-Asset-Webhook-Signature") or ""
    assert verify(body=BODY, signature=signature, secret=GENERATED)


def test_a_body_over_64_000_characters_is_read_from_a_file() -> None:
    for length, is_long in ((64_000, False), (64_001, True)):
        command = curl_of("https://a.example/", [], b"x" * length)
        assert command.endswith("--data-binary @delivery.json") is is_long


def test_the_command_adds_no_signature_that_was_not_sent(tmp_path: Path) -> None:
    only_house = [header for header in headers(OWN) if not header[0].startswith("webhook-")]
    assert "webhook-signature" not in curl_of("https://a.example/", only_house, BODY)
    with Receiver() as receiver:
        unsigned = curl_of(receiver.url, headers(None), BODY)
        assert "SECRET" not in unsigned
        received = run(unsigned, "", receiver, tmp_path)
    assert received.body == BODY
    assert received.header("X-Asset-Webhook-Signature") is None


def test_the_command_has_a_placeholder_for_the_masked_part_of_the_url() -> None:
    command = curl_of("https://a.example/in?key=••••", [], b"{}")
    assert command.startswith("curl --request POST 'https://a.example/in?key=FILL-THIS-IN'")
