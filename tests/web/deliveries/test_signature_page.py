"""The signature check's page names the difference and reveals no secret."""

import base64
import hmac
import re
from typing import Any
from uuid import UUID

import pytest

from portal.engine.signing.signatures import legacy_signature, standard_signature
from portal.services.deliveries import signature_checks
from tests.support.deliveries import BODY, make_attempt, make_delivery
from tests.support.factories import Hook, make_webhook
from tests.support.pages import Page, Pages

BYTES = b"thirty-three bytes for these tests"
SECRET = "whsec_" + base64.b64encode(BYTES).decode()
AT = 1_760_000_000
RIGHT = legacy_signature(BODY, SECRET)
OTHER_BODY = BODY.replace(b":7,", b":8,")


def refused(webhook: Hook, body: bytes = BODY, attempts: int = 1, **columns: Any) -> UUID:
    """Make a delivery whose attempts were all signed and then rejected for authentication."""
    made = make_delivery(webhook, body=body, status="failed", reason="auth", code=401, **columns)
    for number in range(attempts):
        at = AT + 60 * number
        standard = standard_signature(body, SECRET, message_id=str(made), sent_at=at)
        headers = [
            ["X-Asset-Webhook-Signature", legacy_signature(body, SECRET)],
            ["webhook-timestamp", str(at)],
            ["webhook-signature", standard],
        ]
        make_attempt(made, reason="auth", code=401, request_headers=headers)
    return made


def check(pages: Pages, delivery: UUID, signature: str, body: bytes = b"") -> Page:
    """Submit the signature and assert that the page shows no secret."""
    path = f"/deliveries/{delivery}/signature"
    page = pages.submit(pages.get(path).form(path), signature=signature, body=body.decode())
    assert SECRET not in page.html
    assert BYTES.decode() not in page.html
    if RIGHT not in signature:
        assert RIGHT not in page.html
    return page


def test_an_undecoded_key_is_detected_with_advice_to_decode_it(support: Pages) -> None:
    made = refused(make_webhook(secret=SECRET), attempts=2)
    signed = f"{made}.{AT + 60}.".encode() + BODY
    theirs = "v1," + base64.b64encode(hmac.digest(SECRET.encode(), signed, "sha256")).decode()
    page = check(support, made, theirs)
    assert "Our signature is correct. At the receiver, the secret key differs" in page.main
    assert (
        "our webhook-signature of attempt 2, but computed with the secret key as text" in page.main
    )
    assert "base64-decode the rest" in page.main


def test_a_webhook_without_a_key_says_deliveries_are_not_signed(support: Pages) -> None:
    page = check(support, make_delivery(make_webhook()), RIGHT)
    assert "This webhook has no secret key Deliveries to this webhook aren’t signed." in page.main


def test_a_different_body_is_reported_though_the_signature_is_right(support: Pages) -> None:
    page = check(support, refused(make_webhook(secret=SECRET)), RIGHT, OTHER_BODY)
    assert "Our signature is correct" not in page.main
    assert "The signature fits, but the body differs" in page.main
    assert "the body you pasted isn’t ours. The first difference is at byte 37" in page.main


def test_another_deliverys_signature_links_to_that_delivery(support: Pages) -> None:
    for is_older in (True, False):
        webhook = make_webhook(secret=SECRET)
        if is_older:
            there, here = refused(webhook, OTHER_BODY), refused(webhook)
        else:
            here, there = refused(webhook), refused(webhook, OTHER_BODY)
        page = check(support, here, legacy_signature(OTHER_BODY, SECRET))
        assert "It belongs to a different delivery" in page.main, is_older
        assert page.links("View that delivery") == [f"/deliveries/{there}"], is_older
        standard = standard_signature(OTHER_BODY, SECRET, message_id=str(there), sent_at=AT)
        assert f"another delivery ({there})" in check(support, here, standard).main, is_older


def test_a_signature_from_another_webhook_stays_unknown(support: Pages) -> None:
    here = refused(make_webhook(secret=SECRET))
    make_attempt(
        make_delivery(make_webhook(secret="one of its own")),
        request_headers=[["X-Asset-Webhook-Signature", legacy_signature(BODY, "one of its own")]],
    )
    page = check(support, here, legacy_signature(BODY, "one of its own"))
    assert "We couldn’t identify this signature" in page.main


def test_a_signature_in_an_unrelated_header_stays_unknown(support: Pages) -> None:
    webhook, theirs = make_webhook(secret=SECRET), legacy_signature(BODY, "a key of theirs")
    here = refused(webhook)
    make_attempt(make_delivery(webhook), request_headers=[["X-Gateway-Signature", theirs]])
    assert "We couldn’t identify this signature" in check(support, here, theirs).main


def test_an_unknown_signature_gets_advice_on_where_to_look(support: Pages) -> None:
    made = refused(make_webhook(secret=SECRET))
    page = check(support, made, "an utter <b>nonsense</b>")
    assert page.status == 200
    assert "We couldn’t identify this signature. It has 24 characters" in page.main
    assert "Paste only the value" in page.main
    assert "<b>nonsense" not in page.html
    page = check(support, made, legacy_signature(BODY, "a key of theirs"))
    assert "The cause is unknown" in page.main
    assert "Also paste the body the receiver verified" in page.main


def test_a_pasted_secret_key_is_refused(support: Pages) -> None:
    page = check(support, refused(make_webhook(secret=SECRET)), SECRET)
    assert page.status == 400
    assert page.errors == ["Paste the signature. This is a secret key. Don’t share it"]


def test_the_check_is_rate_limited_and_keeps_the_input(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signature_checks, "CHECKS", 1)
    made = refused(make_webhook(secret=SECRET))
    assert check(support, made, "sha256=nonsense").status == 200
    page = check(support, made, "sha256=more nonsense")
    assert page.status == 429
    assert re.search(r"Wait \d+ seconds", page.main)
    form = page.form(f"/deliveries/{made}/signature")
    assert form.fields["signature"] == ["sha256=more nonsense"]
