"""Tools for the receiver's developer: curl command, diagnostics, and signature check."""

import hashlib
import html
import re
import shutil
import subprocess
from uuid import UUID

from portal.engine.signing.signatures import legacy_signature
from tests.support.deliveries import BODY, make_attempt, make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.support.receiver import Receiver

SECRET = "what only we two know"
RIGHT = legacy_signature(BODY, SECRET)
PHASES = {"name": 3.2, "connect": 11.0, "first_byte": 130.0, "total": 500.0}
SENT = [
    ["Content-Type", "application/json"],
    ["X-Asset-Webhook-Id", "the id"],
    ["X-Asset-Webhook-Signature", RIGHT],
    ["webhook-timestamp", "1760000000"],
    ["webhook-signature", "v1,c29tZXRoaW5nIHRoYXQgd2FzIHNlbnQ="],
    ["X-Key", "••••"],
]


def refused(url: str = "https://receiver.example.com/hook?key=open-sesame") -> UUID:
    """Make a delivery that the receiver rejected for its signature."""
    made = make_delivery(make_webhook(url, secret=SECRET), status="failed", reason="auth", code=401)
    make_attempt(
        made,
        url=url,
        reason="auth",
        code=401,
        phases=PHASES,
        request_headers=SENT,
        response_headers=[["Set-Cookie", "let me in"], ["Server", "nginx"]],
        response_text="wrong signature",
    )
    return made


def code(page: Page, name: str) -> str:
    """Return the text of a block as it would be copied, line breaks included."""
    match = re.search(rf'<pre id="{name}"[^>]*><code>(.*?)</code>', page.html, re.DOTALL)
    assert match
    return html.unescape(match[1])


def test_no_signature_is_shown_anywhere(support: Pages) -> None:
    made = refused()
    page = support.get(f"/deliveries/{made}?show=request")
    file = support.client.get(f"/deliveries/{made}/help-bundle").text
    for text in (page.html, file):
        assert RIGHT not in text
        assert "c29tZXRoaW5n" not in text


def test_the_curl_command_computes_the_signature_from_an_entered_secret(support: Pages) -> None:
    with Receiver() as receiver:
        made = refused(f"{receiver.url}/in?key=open-sesame")
        command = code(support.get(f"/deliveries/{made}?show=request"), "curl-command")
        assert "THE SECRET KEY OF THIS WEBHOOK" in command
        assert "1760000000" not in command
        if shutil.which("curl") and shutil.which("openssl"):
            script = command.replace("THE SECRET KEY OF THIS WEBHOOK", SECRET)
            subprocess.run(["sh", "-ec", script], check=True, capture_output=True, timeout=20)
            (message,) = receiver.wait_for(1)
            assert message.body == BODY
            assert message.header("X-Asset-Webhook-Signature") == RIGHT
            assert message.header("X-Key") == "YOUR VALUE OF X-Key"


def test_the_help_bundle_has_everything_but_secrets(support: Pages) -> None:
    made = refused()
    support.get(f"/deliveries/{made}")
    assert support.page
    (address,) = support.page.links("Download diagnostics")
    answer = support.client.get(address)
    assert answer.mimetype == "text/plain"
    assert "attachment" in answer.headers["Content-Disposition"]
    for words in (
        "rejected our authentication",
        str(made),
        "POST https://receiver.example.com/hook?key=••••",
        "X-Key: ••••",
        BODY.decode(),
        '"note": "café"',
        hashlib.sha256(BODY).hexdigest(),
        "Status code 401",
        "Set-Cookie: ••••",
        "wrong signature",
        "finished after 500 ms",
    ):
        assert words in answer.text, words
    assert "open-sesame" not in answer.text
    assert "let me in" not in answer.text


def test_control_characters_in_a_response_are_removed(support: Pages) -> None:
    made = make_delivery(make_webhook(), status="failed", reason="auth", code=401)
    make_attempt(
        made,
        reason="auth",
        code=401,
        response_headers=[["X-\x1b[2JNote", "\x1b]0;title\x07 \x9b31m red"]],
        response_text="one\r\n\ttwo \x1b[8mhidden \u202egnp.exe\u2066 \x08\x7f",
    )
    text = support.client.get(f"/deliveries/{made}/help-bundle").text
    assert "X-[2JNote: ]0;title 31m red\n" in text
    assert "one\n\ttwo [8mhidden gnp.exe \n" in text
    assert not set(text) & set("\x1b\x9b\x07\x08\r\x7f\u202e\u2066")
    page = support.get(f"/deliveries/{made}")
    (copied,) = (n for n in page.root.walk() if n.get("id") == "answer-text")
    assert "two [8mhidden gnp.exe" in copied.text
    assert not set(copied.text) & set("\x1b\x07\x08\x7f\u202e\u2066")


def test_a_sent_signature_is_recognized_after_the_key_was_replaced(support: Pages) -> None:
    made = make_delivery(make_webhook(secret="a newer key"), status="failed", reason="auth")
    make_attempt(made, reason="auth", code=401, request_headers=SENT)
    path = f"/deliveries/{made}/signature"
    page = support.submit(support.get(path).form(path), signature=RIGHT)
    assert "its secret key has since been replaced or removed" in page.main


def test_the_signature_check_requires_a_signature(support: Pages) -> None:
    path = f"/deliveries/{refused()}/signature"
    page = support.submit(support.get(path).form(path), body="{}")
    assert page.status == 400
    assert page.errors == ["Paste the signature"]
