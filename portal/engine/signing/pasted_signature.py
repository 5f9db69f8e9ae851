"""A pasted signature: its bytes, how they were written, and what stood around them."""

import base64
import binascii
import re
from typing import Final, NamedTuple

# Of MD5, SHA-1, SHA-256, SHA-384 and SHA-512, in bytes.
_LENGTHS: Final = frozenset({16, 20, 32, 48, 64})
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_HEADER_NAME: Final = re.compile(r"(?i)^[a-z-]*signature[a-z-]*\s*:\s*")
_PREFIX: Final = re.compile(r"(?i)^(sha-?256|hmac-sha256|signature)[=:]")
_VERSION: Final = re.compile(r"^v\d+[a-z]*,")
_QUOTES: Final = "\"'"


class Given(NamedTuple):
    """One signature. `prefix` is what stood before it, as in "sha256="."""

    digest: bytes
    is_hex: bool
    is_upper: bool
    prefix: str
    is_versioned: bool


def read_signatures(text: str) -> list[Given]:
    """What was pasted; several where a header carries several, none where it is no signature."""
    text = _HEADER_NAME.sub("", text.strip().strip(_QUOTES)).strip()
    return [given for part in text.split() if (given := _read_one(part.strip(_QUOTES)))]


def _read_one(text: str) -> Given | None:
    is_versioned = bool(_VERSION.match(text))
    bare = _VERSION.sub("", text)
    found = _PREFIX.match(bare)
    prefix = found[0] if found else ""
    bare = bare[len(prefix) :]
    if _HEX.fullmatch(bare) and len(bare) // 2 in _LENGTHS:
        return Given(bytes.fromhex(bare), True, bare != bare.lower(), prefix, is_versioned)
    digest = _from_base64(bare)
    return Given(digest, False, False, prefix, is_versioned) if digest else None


def _from_base64(text: str) -> bytes | None:
    plain = text.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        digest = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
    return digest if len(digest) in _LENGTHS else None
