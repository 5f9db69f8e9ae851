"""Tables of the mistakes that receivers make in a signature, one for each of its parts.

Rows are tried in order. `make` returns the wrong key, method, or body, or the wrong content before
the body. If it fails (`NOT_MADE`), the mistake isn't possible for this signature.
"""

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any, Final, NamedTuple

from portal.engine.signing.signatures import (
    LEGACY_HEADER,
    STANDARD_HEADER,
    STANDARD_PREFIX,
    standard_key,
)

NOT_MADE: Final = (ValueError, LookupError, RecursionError)


class Mistake(NamedTuple):
    """A mistake in one `part`. `words` follow “This is our signature, but”."""

    part: str
    words: str
    fix: str
    make: Callable[..., Any] = bytes


# Keys, derived from the secret.

_AS_TEXT: Final = "Use the secret key’s text as UTF-8 bytes, without decoding it."
_ALL_OF_IT: Final = "Use the secret key’s text as UTF-8 bytes, including whsec_."
_DECODED: Final = (
    "Remove whsec_ from the secret key, base64-decode the rest, and use those bytes as the HMAC "
    "key."
)
_CLEAN: Final = "Enter the secret key at the receiver again, with nothing before or after it."
_FIND: Final = "Check why the receiver has no secret key. A setting might be missing."
_MARKS: Final = {
    "line break": "\n",
    "Windows line break (CR LF)": "\r\n",
    "space": " ",
    "tab": "\t",
    "byte order mark (BOM)": "\ufeff",
    "double quotation mark": '"',
    "single quotation mark": "'",
}
_PLACES: Final = {"after": "{1}{0}", "before": "{0}{1}", "on either side of": "{0}{1}{0}"}


def _key(words: str, fix: str, make: Callable[[str], str | bytes]) -> Mistake:
    return Mistake("key", f"computed with {words}", fix, make)


def _marked(words: str, fix: str) -> list[Mistake]:
    return [
        _key(words.format(f"a {name} {place}"), fix, partial(form.format, mark))
        for (name, mark), (place, form) in product(_MARKS.items(), _PLACES.items())
    ]


def _bare(secret: str) -> str:
    return secret.removeprefix(STANDARD_PREFIX)


def _from_base64(text: str) -> bytes:
    text = text.rstrip("=")
    return base64.b64decode(text + "=" * (-len(text) % 4))


_EMPTY: Final = _key("an empty secret key", _FIND, lambda _: b"")
_INSTEAD: Final = "instead of decoded from base64"
# Mistakes with a person's own secret key, which is text in both forms.
OWN_KEYS: Final = (
    *_marked("{} the secret key", _CLEAN),
    _key("the secret key decoded from base64 as if it began with whsec_", _AS_TEXT, _from_base64),
    _key("the secret key decoded from hex", _AS_TEXT, bytes.fromhex),
    _EMPTY,
)
# Mistakes with a whsec_ key whose whole text is the HMAC key.
TEXT_KEYS: Final = (
    *_marked("{} the secret key", _CLEAN),
    _key("the secret key without its whsec_", _ALL_OF_IT, _bare),
    _key("the secret key decoded from base64 instead of as text", _ALL_OF_IT, standard_key),
    _EMPTY,
)
# Mistakes with a whsec_ key whose decoded base64 is the HMAC key.
DECODED_KEYS: Final = (
    _key(f"the secret key as text, whsec_ included, {_INSTEAD}", _DECODED, str),
    _key(f"the secret key without its whsec_, as text {_INSTEAD}", _DECODED, _bare),
    *_marked(f"the secret key as text and with {{}} it, {_INSTEAD}", f"{_CLEAN} {_DECODED}"),
    _EMPTY,
)

# Methods, with a key and the signed content.


def _plain(name: str, *signed: bytes) -> bytes:
    return hashlib.new(name, b"".join(signed), usedforsecurity=False).digest()


METHODS: Final = tuple(
    Mistake("method", f"computed with {words}", "Compute HMAC-SHA256 with the secret key.", make)
    for words, make in (
        ("HMAC-MD5 instead of HMAC-SHA256", partial(hmac.digest, digest="md5")),
        ("HMAC-SHA1 instead of HMAC-SHA256", partial(hmac.digest, digest="sha1")),
        ("HMAC-SHA384 instead of HMAC-SHA256", partial(hmac.digest, digest="sha384")),
        ("HMAC-SHA512 instead of HMAC-SHA256", partial(hmac.digest, digest="sha512")),
        ("plain SHA-256, without the secret key", lambda _, signed: _plain("sha256", signed)),
        ("plain MD5, without the secret key", lambda _, signed: _plain("md5", signed)),
        ("plain SHA-1, without the secret key", lambda _, signed: _plain("sha1", signed)),
        ("plain SHA-256 of secret key and body", lambda key, signed: _plain("sha256", key, signed)),
        ("plain SHA-256 of body and secret key", lambda key, signed: _plain("sha256", signed, key)),
    )
)

# Content that is signed before the body. `at`: the attempt's time in Unix seconds.

_STAMP: Final = "Use the Unix seconds in webhook-timestamp, from the same request."
_BODY_ALONE: Final = "Compute X-Asset-Webhook-Signature over the body only."
_ALL_THREE: Final = (
    "Compute webhook-signature over webhook-id, a dot, webhook-timestamp, a dot, and the body."
)


def _before(words: str, fix: str) -> Mistake:
    return Mistake("moment" if fix is _STAMP else "content", f"computed {words}", fix)


_SHORT: Final = _before("over timestamp and body instead of the body only", _BODY_ALONE)
_NOT_STAMP: Final = "instead of webhook-timestamp"
BEFORE: Final[Mapping[str, Mapping[str, Mistake | None]]] = {
    LEGACY_HEADER: {
        "": None,
        "{event_time}.": _SHORT,
        "{event_seconds}.": _SHORT,
        "{id}.{at}.": _before("over ID, timestamp, and body instead of the body only", _BODY_ALONE),
        "{at}.": _SHORT,
    },
    STANDARD_HEADER: {
        "{id}.{at}.": None,
        "{id}.{at}000.": _before("with the timestamp in milliseconds instead of seconds", _STAMP),
        "{at}.": _before("without the ID", _ALL_THREE),
        "{at}.{id}.": _before("with the timestamp before the ID", _ALL_THREE),
        "{id}{at}": _before("without the dots between ID, timestamp, and body", _ALL_THREE),
        "": _before("over the body only, without ID and timestamp", _ALL_THREE),
        "{id}.": _before("without the timestamp", _ALL_THREE),
        "{id}.{event_time}.": _before(f"with X-Asset-Webhook-Timestamp {_NOT_STAMP}", _STAMP),
        "{id}.{event_seconds}.": _before(f"with the event’s time {_NOT_STAMP}", _STAMP),
    },
}

# Bodies, derived from the right one.

RAW_BYTES: Final = (
    "Compute the signature over the raw request bytes, before any code parses or rewrites the body."
)
_LAYOUTS: Final[Sequence[tuple[str, dict[str, Any]]]] = (
    ("", {"separators": (",", ":")}),
    ("spaces after commas and colons", {}),
    ("pretty-printed", {"indent": 2}),
    ("pretty-printed", {"indent": 4}),
    ("pretty-printed", {"indent": "\t"}),
)
_ORDERS: Final = (("", False), ("sorted keys", True))
_LETTERS: Final = (("", True), ("letters such as é not escaped", False))


def _as_in_dot_net(text: str) -> str:
    def escape(found: re.Match[str]) -> str:
        if found[0] == '\\"':
            return "\\u0022"
        return f"\\u{found[0][2:].upper()}" if found[0].startswith("\\u") else found[0]

    # Match a backslash with the next character, so that an escaped backslash escapes no quote.
    text = re.sub(r"\\(?:u[0-9a-f]{4}|.)", escape, text)
    return re.sub("[<>&'+`]", lambda found: f"\\u{ord(found[0]):04X}", text)


_ESCAPES: Final[Sequence[tuple[str, Callable[[str], str]]]] = (
    ("", str),
    ("slashes written as \\/", lambda text: text.replace("/", "\\/")),
    (
        "<, > and & escaped",
        lambda text: re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text),
    ),
    ("characters escaped as .NET does", _as_in_dot_net),
)


def _written(how: dict[str, Any], escape: Callable[[str], str], body: bytes) -> str:
    return escape(json.dumps(json.loads(body), **how))


def _rewritten() -> Iterator[tuple[str, Callable[[bytes], str]]]:
    """Yield the body as other programs write it. Of equal results, the first has the best name."""
    for order, layout, letters, escapes in product(_ORDERS, _LAYOUTS, _LETTERS, _ESCAPES):
        words = ", ".join(filter(None, (order[0], layout[0], letters[0], escapes[0])))
        options = {**layout[1], "sort_keys": order[1], "ensure_ascii": letters[1]}
        yield f"the re-serialized body ({words})", partial(_written, options, escapes[1])


BODIES: Final = tuple(
    Mistake("body", f"computed over {words}", RAW_BYTES, make)
    for words, make in (
        ("the body with a line break after it", lambda body: body + b"\n"),
        ("the body with a Windows line break (CR LF) after it", lambda body: body + b"\r\n"),
        ("the body with a byte order mark (BOM) before it", lambda body: b"\xef\xbb\xbf" + body),
        ("nothing instead of the body", lambda _: b""),
        ("the words “[object Object]” instead of the body", lambda _: b"[object Object]"),
        ("the body inside quotation marks", lambda body: json.dumps(body.decode("latin-1"))),
        *_rewritten(),
    )
)
