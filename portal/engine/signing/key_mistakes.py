"""Keys that receivers take in the place of the right one."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Final

from portal.engine.signing.differences import Difference, Part
from portal.engine.signing.signatures import STANDARD_PREFIX, SecretError, standard_key

Keys = Iterator[tuple[Difference, bytes]]

_AS_TEXT: Final = "Use the text of the secret key as it is, as UTF-8 bytes."
_ALL_OF_IT: Final = "Use the text of the secret key as it is, whsec_ included, as UTF-8 bytes."
_DECODED: Final = (
    "Take whsec_ off the secret key, decode the rest from base64, and use those bytes as the key."
)
_NOTHING_BEFORE: Final = (
    "See that nothing stands before whsec_ where the receiver keeps the secret key, take whsec_ "
    "off, and decode the rest from base64."
)
_CLEAN: Final = "Store the secret key in the receiver again, with nothing before or after it."
_MARKS: Final = {
    "line break": "\n",
    "Windows line break (CR LF)": "\r\n",
    "space": " ",
    "tab": "\t",
    "byte order mark (BOM)": "\ufeff",
    "double quotation mark": '"',
    "single quotation mark": "'",
}


def house_keys(secret: str) -> Keys:
    """Wrong ones for the house signature, whose key is the secret's text."""
    for words, text in _marked(secret):
        yield _key(f"made with {words} the secret key", _CLEAN), text.encode()
    if _is_standard(secret):
        bare = secret.removeprefix(STANDARD_PREFIX)
        without = "made with the secret key without its whsec_"
        yield _key(without, _ALL_OF_IT), bare.encode()
        words = "made with the secret key decoded from base64 instead of as text"
        yield _key(words, _ALL_OF_IT), standard_key(secret)
        yield from _decoded_whole(secret, _ALL_OF_IT)
    else:
        yield from _read_as_bytes(secret)
    yield from _any_form(secret, _ALL_OF_IT if _is_standard(secret) else _AS_TEXT)


def standard_keys(secret: str) -> Keys:
    """Wrong ones for Standard Webhooks, which decodes a key that begins with whsec_."""
    if not _is_standard(secret):
        yield from house_keys(secret)
        return
    instead = "instead of decoded from base64"
    words = f"made with the secret key as text, whsec_ included, {instead}"
    yield _key(words, _DECODED), secret.encode()
    words = f"made with the secret key without its whsec_, as text {instead}"
    yield _key(words, _DECODED), secret.removeprefix(STANDARD_PREFIX).encode()
    yield from _decoded_whole(secret, _NOTHING_BEFORE)
    for mark, text in _marked(secret):
        words = f"made with the secret key as text and with {mark} it, {instead}"
        yield _key(words, f"{_CLEAN} {_DECODED}"), text.encode()
    yield from _any_form(secret, _DECODED)


def _marked(secret: str) -> Iterator[tuple[str, str]]:
    for words, mark in _MARKS.items():
        yield f"a {words} after", f"{secret}{mark}"
        yield f"a {words} before", f"{mark}{secret}"
        yield f"a {words} on either side of", f"{mark}{secret}{mark}"


def _decoded_whole(secret: str, fix: str) -> Keys:
    """Libraries look for whsec_ at the very beginning, and skip what is not base64, or read “_”
    as “/”. What stands before the key is skipped as well, so that it cannot be told apart."""
    difference = _key("made with the secret key, whsec_ and all, decoded from base64", fix)
    for text in (secret.replace("_", "/"), secret.replace("_", "")):
        if key := _from_base64(text):
            yield difference, key


def _read_as_bytes(secret: str) -> Keys:
    if key := _from_base64(secret):
        words = "made with the secret key decoded from base64 as if it began with whsec_"
        yield _key(words, _AS_TEXT), key
    try:
        yield _key("made with the secret key decoded from hex", _AS_TEXT), bytes.fromhex(secret)
    except ValueError:
        return


def _any_form(secret: str, fix: str) -> Keys:
    hashed = _key("made with a hash of the secret key", fix)
    yield hashed, hashlib.sha256(secret.encode()).digest()
    yield hashed, hashlib.sha256(secret.encode()).hexdigest().encode()
    yield (
        _key(
            "made with an empty secret key",
            "Find out why the receiver has no secret key: a setting may be missing.",
        ),
        b"",
    )


def _key(words: str, fix: str) -> Difference:
    return Difference(Part.KEY, words, fix)


def _is_standard(secret: str) -> bool:
    """Whether it begins with whsec_ and goes on in base64."""
    try:
        return secret.startswith(STANDARD_PREFIX) and bool(standard_key(secret))
    except SecretError:
        return False


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except ValueError:  # binascii.Error is one
        return b""
