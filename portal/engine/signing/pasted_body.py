"""A pasted body: whether it is ours, how it differs, and which bytes it may have been."""

from collections.abc import Sequence
from typing import NamedTuple

from portal.engine.signing.differences import RAW_BYTES, Difference, Part
from portal.engine.signing.rewritten_json import says_the_same


class PastedBody(NamedTuple):
    """`note`: how it differs, for “the body you pasted …”; blank where it does not.

    `readings`: the bytes that it may have been: forms change line breaks, and ends get lost.
    """

    is_ours: bool
    says_the_same: bool = False
    note: str = ""
    readings: Sequence[bytes] = ()

    @property
    def difference(self) -> Difference:
        """How a signature over it differs from ours."""
        what, fix = "is not ours", "Compute the signature over the body of the same request."
        if self.says_the_same:
            what, fix = "says the same as ours in other bytes", RAW_BYTES
        return Difference(Part.BODY, f"computed over the body you pasted, which {what}", fix)

    @classmethod
    def of(cls, text: str, ours: bytes) -> "PastedBody":
        """Compare what was pasted, perhaps nothing, with our body."""
        plain = text.replace("\r\n", "\n").strip()
        theirs = plain.encode(errors="replace")
        if not theirs or theirs == ours.strip():
            return cls(is_ours=bool(theirs))
        windows = theirs.replace(b"\n", b"\r\n")
        readings = [theirs, theirs + b"\n", windows, windows + b"\r\n"]
        same = says_the_same(ours, plain)
        pairs = enumerate(zip(ours, theirs, strict=False), 1)
        shorter = min(len(ours), len(theirs)) + 1
        at = next((place for place, (a, b) in pairs if a != b), shorter)
        what = "says the same as ours in other bytes" if same else "is not ours"
        sizes = f"ours has {len(ours)} bytes, the pasted one {len(theirs)}"
        note = f"{what}: it differs from byte {at} on ({sizes})"
        return cls(False, same, note, tuple(dict.fromkeys(readings)))
