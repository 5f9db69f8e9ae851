"""The mistakes that receivers make with a signature: other keys, other bodies, other methods."""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from portal.engine.signing.signatures import STANDARD_PREFIX, SecretError, standard_key

WITH_TIME: Final = "id and time were signed together with the body, as for webhook-signature"


@dataclass(frozen=True, slots=True)
class Message:
    """What was signed. `stamps`: (number, unix seconds) of each attempt.

    `secret` makes the house signature; `next_secret` replaces it once the overlap is over. `sent`:
    (number, signature) of each attempt, by whichever key there was then.
    """

    body: bytes
    id: str
    stamps: Sequence[tuple[int, int]] = ()
    secret: str | None = field(default=None, repr=False)
    next_secret: str | None = field(default=None, repr=False)
    sent: Sequence[tuple[int, str]] = field(default=(), repr=False)

    def standard_content(self, sent_at: int) -> bytes:
        """What Standard Webhooks signs."""
        return f"{self.id}.{sent_at}.".encode() + self.body


def digest_of(key: bytes, body: bytes) -> bytes:
    """HMAC-SHA256."""
    return hmac.digest(key, body, "sha256")


def standard_key_of(secret: str) -> bytes:
    """The key for the standard form; of a secret that cannot sign, its text."""
    try:
        return standard_key(secret)
    except SecretError:
        return secret.encode()


def other_keys(secret: str) -> Iterator[tuple[str, bytes]]:
    """(what it is, key): what receivers take in the place of the secret's text."""
    if secret.startswith(STANDARD_PREFIX):
        yield "it was used without its whsec_", secret.removeprefix(STANDARD_PREFIX).encode()
        yield "it was decoded from base64, as webhook-signature wants it", standard_key_of(secret)
    for around in ("\n", "\r\n", " "):
        yield "there is a space or a line break after it", f"{secret}{around}".encode()
    for mark in ('"', "'"):
        yield "there are quotation marks around it", f"{mark}{secret}{mark}".encode()
    yield "it was hashed first", hashlib.sha256(secret.encode()).digest()
    yield "it was hashed first", hashlib.sha256(secret.encode()).hexdigest().encode()
    yield "it is empty", b""


def other_bodies(message: Message) -> Iterator[tuple[str, bytes]]:
    """(what it is, bytes): what receivers sign in the place of the body as it arrived."""
    yield "there is a line break after the body", message.body + b"\n"
    yield "there is a line break after the body", message.body + b"\r\n"
    yield "the body was empty", b""
    for _, sent_at in message.stamps:
        yield WITH_TIME, message.standard_content(sent_at)
    try:
        content = json.loads(message.body)
    except ValueError:
        return
    for write in _REWRITERS:
        yield "the body was read and written anew before it was checked", write(content).encode()
    if isinstance(content, dict):
        for part in ("data", "asset"):
            yield "only a part of the body was signed", _compact(content.get(part)).encode()


def other_methods(secret: str, body: bytes) -> Iterator[tuple[str, bytes]]:
    """(what it is, digest): what receivers compute in the place of HMAC-SHA256."""
    key = secret.encode()
    yield "the body was hashed without the key", hashlib.sha256(body).digest()
    yield "key and body were hashed one after the other", hashlib.sha256(key + body).digest()
    yield "body and key were hashed one after the other", hashlib.sha256(body + key).digest()
    for name in ("sha1", "sha384", "sha512"):
        yield f"it is {name.upper()} in the place of SHA-256", hmac.digest(key, body, name)


def _compact(content: object) -> str:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False)


_REWRITERS: Final[Sequence[Callable[[object], str]]] = (
    _compact,
    json.dumps,
    lambda content: json.dumps(content, ensure_ascii=False),
    lambda content: json.dumps(content, indent=2),
    lambda content: json.dumps(content, indent=2, ensure_ascii=False),
    lambda content: json.dumps(content, indent=4),
    lambda content: json.dumps(content, indent=4, ensure_ascii=False),
    lambda content: json.dumps(content, separators=(",", ":"), sort_keys=True),
    lambda content: json.dumps(content, sort_keys=True),
    # As PHP writes it unless it is told otherwise.
    lambda content: json.dumps(content, separators=(",", ":")).replace("/", "\\/"),
)
