"""A pasted signature: its bytes, how they were written, and what stood before them."""

import base64
import binascii
import re
from enum import StrEnum
from itertools import islice
from typing import Final, NamedTuple

MOST_READ: Final = 8  # signatures; a request carries four at most, while two keys overlap

# Of MD5, SHA-1, SHA-256, SHA-384 and SHA-512, in bytes.
_LENGTHS: Final = frozenset({16, 20, 32, 48, 64})
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64: Final = re.compile(r"[0-9A-Za-z+/_-]+={0,2}")
_HEADER_NAME: Final = re.compile(r"(?i)^[a-z-]{0,40}signature[a-z-]{0,40}\s*:\s*")
_PREFIX: Final = re.compile(
    r"(?i)^(?:v\d{1,2}[a-z]?[,=:]|(?:(?:hmac-?)?(?:sha-?\d{1,3}|md5)|signature)[=:])"
)
_QUOTES: Final = "\"'"


class Writing(StrEnum):
    """How the bytes of a signature were written; the values go into sentences."""

    HEX = "hex"
    UPPER_HEX = "upper-case hex"
    BASE64 = "base64"
    BASE64URL = "base64url"
    UNPADDED = "base64 that lacks the “=” at its end"
    BASE64_OF_HEX = "base64 of its hex text"

    @property
    def is_hex(self) -> bool:
        """Whether it is hex, large or small."""
        return self in {Writing.HEX, Writing.UPPER_HEX}


class Given(NamedTuple):
    """One signature. `prefix` is what stood before it, as in “sha256=” and “v1,”."""

    digest: bytes
    writing: Writing
    prefix: str


def read_signatures(text: str) -> list[Given]:
    """What was pasted; several where a header carries several, none where it is no signature."""
    return [given for word in _words(text) if (given := _read_one(*_parted(word)))]


def read_pieces(text: str) -> list[str]:
    """What may be a piece of a signature, in hex or in base64, without what stood before it."""
    bare = (_parted(word)[1] for word in _words(text))
    return [piece for piece in bare if _BASE64.fullmatch(piece)]


def as_base64(text: str) -> str:
    """Base64url in the letters of base64."""
    return text.replace("-", "+").replace("_", "/")


def _words(text: str) -> list[str]:
    text = _HEADER_NAME.sub("", text.strip().strip(_QUOTES)).strip()
    return [word.strip(_QUOTES) for word in islice(text.split(), MOST_READ)]


def _parted(word: str) -> tuple[str, str]:
    found = _PREFIX.match(word)
    prefix = found[0] if found else ""
    return prefix, word[len(prefix) :]


def _read_one(prefix: str, bare: str) -> Given | None:
    if _HEX.fullmatch(bare) and len(bare) // 2 in _LENGTHS:
        writing = Writing.HEX if bare == bare.lower() else Writing.UPPER_HEX
        return Given(bytes.fromhex(bare), writing, prefix)
    if not _BASE64.fullmatch(bare):
        return None
    plain = as_base64(bare).rstrip("=")
    whole = plain + "=" * (-len(plain) % 4)
    try:
        digest = base64.b64decode(whole, validate=True)
        if _HEX.fullmatch(inner := digest.decode("latin-1")) and len(inner) // 2 in _LENGTHS:
            return Given(bytes.fromhex(inner), Writing.BASE64_OF_HEX, prefix)
    except binascii.Error:
        return None
    if len(digest) not in _LENGTHS:
        return None
    if {"-", "_"} & set(bare):
        return Given(digest, Writing.BASE64URL, prefix)
    return Given(digest, Writing.BASE64 if bare == whole else Writing.UNPADDED, prefix)
