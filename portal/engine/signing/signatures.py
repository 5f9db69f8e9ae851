"""Sign deliveries, so that a receiver can verify that they are ours, and build their headers.

The legacy signature is the hex HMAC of the body. The other one is Standard Webhooks 1.0
(https://www.standardwebhooks.com), which also covers the ID and the sending time.
"""

import base64
import hmac
import secrets
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from portal.engine.http.custom_headers import check_headers
from portal.engine.signing.weak_keys import weakness

LEGACY_HEADER: Final = "X-Asset-Webhook-Signature"
NEXT_HEADER: Final = "X-Asset-Webhook-Signature-Next"
STANDARD_HEADER: Final = "webhook-signature"
SIGNATURE_HEADERS: Final = (LEGACY_HEADER, NEXT_HEADER, STANDARD_HEADER)
STANDARD_PREFIX: Final = "whsec_"
# Bytes of a new key that a person enters, as Standard Webhooks requires. Shorter keys that are
# already stored still sign because receivers have them.
SHORTEST_SECRET: Final = 24
LONGEST_SECRET: Final = 200  # characters
# A hint must not reveal a large part of a short secret.
SHORTEST_HINTED: Final = 12
# Standard Webhooks requires 24 to 64 bytes, HMAC-SHA256 at least 32. The base64 of 33 bytes has no
# "=" at its end that could get lost in a settings file.
_GENERATED_BYTES: Final = 33


class SecretError(ValueError):
    """A secret that can't sign. The message is a plain sentence for the form."""


def generate_secret() -> str:
    """Return a new secret that `hmac`, `standardwebhooks`, and `svix` all accept unchanged."""
    return STANDARD_PREFIX + base64.b64encode(secrets.token_bytes(_GENERATED_BYTES)).decode()


def check_secret(secret: str) -> str | None:
    """Return a plain sentence if a person's own secret isn't suitable, else None.

    The sentence never contains the secret.
    """
    is_short = len(secret.encode(errors="replace")) < SHORTEST_SECRET
    if is_short or len(secret) > LONGEST_SECRET:
        return f"Enter a secret key with {SHORTEST_SECRET} to {LONGEST_SECRET} characters"
    if secret != secret.strip():
        return "Remove spaces before and after the secret key"
    if not secret.isprintable():
        return "Remove line breaks and tabs from the secret key"
    try:
        key = standard_key(secret)
    except SecretError as error:
        return str(error)
    if len(key) < SHORTEST_SECRET:
        return f"Enter a secret key with at least {SHORTEST_SECRET} bytes after {STANDARD_PREFIX}"
    if reason := weakness(secret.removeprefix(STANDARD_PREFIX), key.decode("latin-1")):
        return f"Enter a random secret key. Others can guess {reason}"
    return None


def hint(secret: str) -> str:
    """Return the last four characters to tell secrets apart, blank for a short secret."""
    return secret[-4:] if len(secret) >= SHORTEST_HINTED else ""


def sign_headers(
    *,
    body: bytes,
    message_id: str,
    sent_at: int,
    secret: str | None,
    next_secret: str | None = None,
) -> dict[str, str]:
    """Return the signature headers of one attempt in their order, none without a secret.

    `sent_at` is in Unix seconds. While a replaced secret overlaps, `secret` is the old one and
    `next_secret` the new one. The legacy signature keeps the old secret, so that an unchanged
    receiver still works. The standard header carries both signatures. Raises `SecretError`.
    """
    keys = [key for key in (secret, next_secret) if key]
    if not keys:
        return {}
    headers = {LEGACY_HEADER: legacy_signature(body, keys[0])}
    if len(keys) > 1:
        headers[NEXT_HEADER] = legacy_signature(body, keys[1])
    headers["webhook-id"] = message_id
    headers["webhook-timestamp"] = str(sent_at)
    headers[STANDARD_HEADER] = " ".join(
        standard_signature(body, key, message_id=message_id, sent_at=sent_at) for key in keys
    )
    return headers


def request_headers(
    *,
    event: str,
    timestamp: str,
    message_id: str,
    version: str,
    body: bytes,
    sent_at: int,
    secret: str | None,
    next_secret: str | None = None,
    custom: Sequence[tuple[str, str]] = (),
) -> dict[str, str]:
    """Return all headers of one attempt in the order of the wire contract, custom headers last.

    `timestamp` is the body's, `message_id` the delivery's public ID. Raises `HeaderError` for a
    custom header that isn't allowed (one of ours, for example), and `SecretError`.
    """
    check_headers(custom)
    signatures = sign_headers(
        body=body, message_id=message_id, sent_at=sent_at, secret=secret, next_secret=next_secret
    )
    return {
        "Content-Type": "application/json",
        "User-Agent": f"AssetWebhooks/{version}",
        "X-Asset-Webhook-Event": event,
        "X-Asset-Webhook-Timestamp": timestamp,
        "X-Asset-Webhook-Id": message_id,
        **signatures,
        **dict(custom),
    }


def legacy_signature(body: bytes, secret: str) -> str:
    """Return the lowercase hex HMAC-SHA256 of the body. The key is the secret's text in UTF-8."""
    signing = _begun(secret.encode()).copy()
    signing.update(body)
    return signing.hexdigest()


def standard_signature(body: bytes, secret: str, *, message_id: str, sent_at: int) -> str:
    """Return `v1,<base64>` over `id.timestamp.body` (Standard Webhooks 1.0, "Signature scheme")."""
    signing = _begun(standard_key(secret)).copy()
    signing.update(f"{message_id}.{sent_at}.".encode())
    signing.update(body)
    return "v1," + base64.b64encode(signing.digest()).decode()


@lru_cache(maxsize=1024)
def _begun(key: bytes) -> hmac.HMAC:
    """Return a keyed HMAC-SHA256. Copy it before use.

    `hmac.digest` starts over each time and releases the GIL even for a short message.
    """
    return hmac.new(key, digestmod="sha256")


def verify(*, body: bytes, signature: str, secret: str) -> bool:
    """Compare with the legacy signature of the body, in constant time."""
    received = signature.encode(errors="replace")
    return hmac.compare_digest(legacy_signature(body, secret).encode(), received)


def verify_standard(
    *, body: bytes, message_id: str, sent_at: int, signatures: str, secret: str
) -> bool:
    """Return whether one of the space-separated standard signatures is valid.

    The caller checks the age.
    """
    expected = standard_signature(body, secret, message_id=message_id, sent_at=sent_at).encode()
    received = signatures.encode(errors="replace").split(b" ")
    return any(hmac.compare_digest(expected, signature) for signature in received)


@lru_cache(maxsize=256)  # a dispatcher signs repeatedly with the same few secrets
def standard_key(secret: str) -> bytes:
    """Return the key bytes of the standard form. Raises `SecretError`.

    The text after `whsec_` is base64. Any other secret is UTF-8 text.
    """
    if not secret.startswith(STANDARD_PREFIX):
        return secret.encode()
    text = secret.removeprefix(STANDARD_PREFIX)
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:  # not base64, or not ASCII
        key = b""
    if not key:
        raise SecretError(
            "Copy the whole secret key again or remove whsec_ from the start. After whsec_, the "
            "secret key must be base64"
        )
    return key
