"""Parse a pasted signature and the pasted body that the receiver checked."""

import base64
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, NamedTuple

from portal.engine.signing.mistakes import RAW_BYTES, Mistake

MOST_READ: Final = 8  # signatures. A request carries at most four while two keys overlap.
# {bytes of a digest: algorithm}
ALGORITHMS: Final = {16: "MD5", 20: "SHA-1", 32: "SHA-256", 48: "SHA-384", 64: "SHA-512"}
HEX, UPPER_HEX, BASE64 = "hex", "uppercase hex", "base64"
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64: Final = re.compile(r"[0-9A-Za-z+/_-]+={0,2}")
_HEADER_NAME: Final = re.compile(r"(?i)^[a-z-]{0,40}signature[a-z-]{0,40}\s*:\s*")
_PREFIX: Final = re.compile(
    r"(?i)^(?:v\d{1,2}[a-z]?[,=:]|(?:(?:hmac-?)?(?:sha-?\d{1,3}|md5)|signature)[=:])"
)
_QUOTES: Final = "\"'"


class PastedSignature(NamedTuple):
    """A signature. `writing`: its encoding in words. `prefix`: text before it, as in “sha256=”."""

    digest: bytes
    writing: str
    prefix: str

    @property
    def is_hex(self) -> bool:
        """Return whether it is hex, in lowercase or uppercase."""
        return self.writing in {HEX, UPPER_HEX}

    def miswritten(self, as_hex: bool) -> Iterator[Mistake]:
        """Yield the differences of encoding and prefix from its header."""
        right, fix = BASE64, "Encode the HMAC in base64 and put “v1,” in front."
        if as_hex:
            right, fix = HEX, "Encode the HMAC as lowercase hex before comparing."
        if self.writing != right:
            name = f"lowercase {right}" if as_hex and self.is_hex else right
            yield Mistake("encoding", f"written in {self.writing} instead of {name}", fix)
        if as_hex and self.prefix:
            fix = "Our header has no prefix. Compare only the 64 characters."
            yield Mistake("prefix", f"with “{self.prefix}” before it", fix)
        elif not as_hex and self.prefix != "v1," and (self.prefix or not self.is_hex):
            other = f"with “{self.prefix}” before it instead of “v1,”"
            fix = "Before you compare, remove “v1,” from the header’s value or add it to yours."
            yield Mistake("prefix", other if self.prefix else "without “v1,” before it", fix)


def read_signatures(text: str) -> list[PastedSignature]:
    """Return the signatures in a text. A header can carry several."""
    read = ((prefix, _read(bare)) for prefix, bare in _words(text))
    return [PastedSignature(*decoded, prefix) for prefix, decoded in read if decoded]


def _words(text: str) -> Iterator[tuple[str, str]]:
    """Yield the prefix and the signature of each word."""
    text = _HEADER_NAME.sub("", text.strip().strip(_QUOTES)).strip()
    for word in islice(text.split(), MOST_READ):
        bare = word.strip(_QUOTES)
        prefix = match[0] if (match := _PREFIX.match(bare)) else ""
        yield prefix, bare[len(prefix) :]


def _read(bare: str) -> tuple[bytes, str] | None:
    if _is_hex(bare):
        return bytes.fromhex(bare), HEX if bare == bare.lower() else UPPER_HEX
    if not _BASE64.fullmatch(bare):
        return None
    plain = bare.replace("-", "+").replace("_", "/").rstrip("=")
    whole = plain + "=" * (-len(plain) % 4)
    try:
        digest = base64.b64decode(whole, validate=True)
    except ValueError:
        return None
    if _is_hex(inner := digest.decode("latin-1")):
        return bytes.fromhex(inner), "base64 of its hex text"
    if len(digest) not in ALGORITHMS:
        return None
    if {"-", "_"} & set(bare):
        return digest, "base64url"
    return digest, BASE64 if bare == whole else "base64 without the final “=”"


def _is_hex(text: str) -> bool:
    return len(text) // 2 in ALGORITHMS and bool(_HEX.fullmatch(text))


class PastedBody(NamedTuple):
    """A pasted body. `note`: its difference from ours, after “the body you pasted”, or blank.

    `readings`: its possible original bytes, because forms change line breaks and ends get lost.
    """

    is_ours: bool
    says_the_same: bool = False
    note: str = ""
    readings: Sequence[bytes] = ()

    @classmethod
    def of(cls, text: str, ours: bytes) -> "PastedBody":
        """Compare a pasted text, which can be blank, with our body."""
        plain = text.replace("\r\n", "\n").strip()
        theirs = plain.encode(errors="replace")
        if not theirs or theirs == ours.strip():
            return cls(is_ours=bool(theirs))
        windows = theirs.replace(b"\n", b"\r\n")
        same = _is_same_json(ours, plain)
        pairs = enumerate(zip(ours, theirs, strict=False), 1)
        shorter = min(len(ours), len(theirs)) + 1
        at = next((place for place, (a, b) in pairs if a != b), shorter)
        words = "has the same content as ours but different bytes" if same else "isn’t ours"
        sizes = f"ours has {len(ours)} bytes, the pasted one has {len(theirs)}"
        note = f"{words}. The first difference is at byte {at} ({sizes})"
        return cls(False, same, note, (theirs, theirs + b"\n", windows, windows + b"\r\n"))

    @property
    def mistake(self) -> Mistake:
        """Return the mistake of a signature over this body."""
        words, fix = "isn’t ours", "Compute the signature over the same request’s body."
        if self.says_the_same:
            words, fix = "has the same content as ours but different bytes", RAW_BYTES
        return Mistake("body", f"computed over the body you pasted, which {words}", fix)


def _is_same_json(ours: bytes, theirs: str) -> bool:
    try:
        bodies = json.loads(ours), json.loads(theirs.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return False
    # Compared as texts because 1, 1.0, and True are equal in Python.
    one, other = (json.dumps(body, sort_keys=True) for body in bodies)
    return one == other
