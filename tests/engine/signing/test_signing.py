"""Signatures, checked with the libraries that receivers use."""

import base64
import hashlib
import hmac
import time

import pytest
import standardwebhooks
import svix.webhooks

from portal.engine.http.custom_headers import HeaderError
from portal.engine.signing.signatures import (
    SecretError,
    check_secret,
    generate_secret,
    hint,
    request_headers,
    sign_headers,
    verify,
    verify_standard,
)

BODY = '{"event": "asset.created", "asset": {"name": "Größe 4"}}'.encode()
ID = "0195a1b2-0000-7000-8000-000000000001"
OLD, NEW = generate_secret(), generate_secret()
OWN = "correct hörse battery staple"

Library = type[standardwebhooks.Webhook] | type[svix.webhooks.Webhook]
LIBRARIES = pytest.mark.parametrize(
    "library", [standardwebhooks.Webhook, svix.webhooks.Webhook], ids=["standardwebhooks", "svix"]
)


def signed(secret: str | None, next_secret: str | None = None) -> dict[str, str]:
    return sign_headers(
        body=BODY,
        message_id=ID,
        sent_at=int(time.time()),
        secret=secret,
        next_secret=next_secret,
    )


def hex_hmac(secret: str) -> str:
    return hmac.new(secret.encode(), BODY, hashlib.sha256).hexdigest()


def test_the_legacy_signature_is_an_hmac_with_the_secret_as_text() -> None:
    for secret in (OLD, OWN):
        assert signed(secret)["X-Asset-Webhook-Signature"] == hex_hmac(secret), secret


def test_a_signature_matches_openssl() -> None:
    # echo -n '{"a": 1}' | openssl dgst -sha256 -hmac 'top-secret'
    headers = sign_headers(body=b'{"a": 1}', message_id="m", sent_at=1, secret="top-secret")
    assert (
        headers["X-Asset-Webhook-Signature"]
        == "acee58ad1eff1577bb45d2daf062261a05a72f94b36f86120372ee6e783f1e77"
    )


@LIBRARIES
def test_official_libraries_accept_a_generated_secret(library: Library) -> None:
    library(OLD).verify(BODY, signed(OLD))


@LIBRARIES
def test_official_libraries_accept_any_other_secret_as_bytes(library: Library) -> None:
    library(OWN.encode()).verify(BODY, signed(OWN))


@LIBRARIES
@pytest.mark.parametrize(
    "text", ["MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "c2VjcmV0LWtleSE", "YWJjZA=="]
)
def test_an_imported_secret_works_with_and_without_padding(library: Library, text: str) -> None:
    library(f"whsec_{text}").verify(BODY, signed(f"whsec_{text}"))


@LIBRARIES
def test_during_the_overlap_both_secrets_verify(library: Library) -> None:
    headers = signed(OLD, NEW)
    for secret in (OLD, NEW):
        library(secret).verify(BODY, headers)


@LIBRARIES
def test_official_libraries_refuse_a_changed_body(library: Library) -> None:
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library(OLD).verify(BODY + b" ", signed(OLD))


def test_during_the_overlap_the_old_secret_keeps_its_header() -> None:
    headers = signed(OLD, NEW)
    assert headers["X-Asset-Webhook-Signature"] == hex_hmac(OLD)
    assert headers["X-Asset-Webhook-Signature-Next"] == hex_hmac(NEW)
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_without_a_secret_nothing_is_signed() -> None:
    assert signed(None) == {}
    assert signed("") == {}


def test_a_first_secret_signs_even_as_the_next_secret() -> None:
    assert signed(None, NEW)["X-Asset-Webhook-Signature"] == hex_hmac(NEW)


def everything(**more: object) -> dict[str, str]:
    arguments: dict[str, object] = {
        "event": "asset.created",
        "timestamp": "2025-02-04T12:00:00+00:00",
        "message_id": ID,
        "version": "0.1.0",
        "body": BODY,
        "sent_at": 1738670400,
        "secret": OLD,
    }
    return request_headers(**{**arguments, **more})  # type: ignore[arg-type]  # a table of kinds


def test_headers_follow_the_contracts_order_with_custom_ones_last() -> None:
    headers = everything(next_secret=NEW, custom=[("X-Team", "it"), ("Authorization", "Bearer x")])
    assert list(headers) == [
        "Content-Type",
        "User-Agent",
        "X-Asset-Webhook-Event",
        "X-Asset-Webhook-Timestamp",
        "X-Asset-Webhook-Id",
        "X-Asset-Webhook-Signature",
        "X-Asset-Webhook-Signature-Next",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "X-Team",
        "Authorization",
    ]
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"] == "AssetWebhooks/0.1.0"
    assert headers["X-Asset-Webhook-Id"] == headers["webhook-id"] == ID
    assert headers["webhook-timestamp"] == "1738670400"


def test_without_a_secret_there_are_five_headers() -> None:
    assert len(everything(secret=None)) == 5


def test_a_custom_header_cannot_replace_ours() -> None:
    for name in ("content-type", "WEBHOOK-ID", "x-asset-webhook-signature"):
        with pytest.raises(HeaderError):
            everything(custom=[(name, "mine")])


def test_verify_functions_tell_good_signatures_from_bad_ones() -> None:
    headers = signed(OLD, NEW)
    house, standard = headers["X-Asset-Webhook-Signature"], headers["webhook-signature"]
    assert verify(body=BODY, signature=house, secret=OLD)
    assert not verify(body=BODY, signature=house, secret=NEW)
    assert not verify(body=BODY, signature="ä\ud800", secret=OLD)
    sent = int(headers["webhook-timestamp"])
    for secret, good in ((OLD, True), (NEW, True), (OWN, False)):
        assert good is verify_standard(
            body=BODY, message_id=ID, sent_at=sent, signatures=standard, secret=secret
        )


def test_a_generated_secret_is_long_unique_and_safe_to_copy() -> None:
    assert OLD != NEW
    assert OLD.startswith("whsec_")
    assert len(OLD) == 50
    assert not OLD.endswith("=")
    assert check_secret(OLD) is None


def test_a_custom_secret_is_accepted() -> None:
    for secret in (
        "only just long enough, I",
        "zwölf Zeichen: wär wenig",
        "whsec_NfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    ):
        assert check_secret(secret) is None, secret


def test_a_bad_secret_gets_an_explanation() -> None:
    for secret, says in (
        ("", "24 to 200 characters"),
        ("only 23 characters long", "24 to 200 characters"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "24 bytes after whsec_"),
        ("x" * 201, "24 to 200 characters"),
        ("long enough for a key of my own ", "spaces before and after"),
        ("long\nenough for a key of my own", "line breaks"),
        ("long\ud800enough for a key of my own", "line breaks"),
        ("whsec_not base64 and still long enough", "base64"),
        ("whsec_" + "=" * 32, "base64"),
        ("whsec_ümlaut in the middle of it", "base64"),
        ("whsec_" + "abcde" * 5, "base64"),
        ("a" * 24, "random secret key"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "random secret key"),
    ):
        sentence = check_secret(secret)
        assert sentence is not None, secret
        assert says in sentence, secret


def test_a_stored_short_secret_still_signs() -> None:
    for secret in ("eight888", "a shorter key of old"):
        assert check_secret(secret) is not None, secret
        house = signed(secret)["X-Asset-Webhook-Signature"]
        assert verify(body=BODY, signature=house, secret=secret), secret


def test_a_malformed_secret_raises_instead_of_signing() -> None:
    with pytest.raises(SecretError):
        signed("whsec_not base64")


def test_the_hint_is_four_characters_or_empty_for_a_short_secret() -> None:
    assert hint("correct-horse-4f2a") == "4f2a"
    assert hint("eight888") == ""
