"""Text as people meant to type it: without what nobody can see."""

import re
from typing import Final

# Copied along with text from web pages, mails and system dialogs, and seen by nobody: NUL, which
# PostgreSQL cannot store, soft hyphens, zero-width spaces, byte order marks, and marks of writing
# direction, which can also make one name look like another (Unicode TR 36, 2.10.4). The joiners
# U+200C and U+200D stay: words in Persian and Hindi, and emoji, are spelt with them.
# Half of a surrogate pair, which JSON and workbooks can spell, is no letter, and neither a database
# nor a browser takes it.
_UNSEEN: Final = re.compile(
    "[\0\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
# What a terminal takes as an order: control characters, tabs and ends of lines apart.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Whatever leaves a blank at either end: spaces, joiners that join nothing, blank letters.
_BLANKS: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + (
    "\u200c\u200d\u2800\u3164\uffa0"
)
# Browsers and Windows send the end of a line as two characters, and old Macs as the first of them.
_LINE_ENDS: Final = re.compile("\r\n?")

# What neither database stores, and no page can be encoded with: NUL, halves of surrogate pairs.
_NOT_STORABLE: Final = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """Return the text with what cannot be stored or shown replaced by U+FFFD."""
    return _NOT_STORABLE.sub("\ufffd", text)


def without_unseen(text: str) -> str:
    """Return the text without what nobody can see."""
    return _UNSEEN.sub("", text)


def tidy(text: str) -> str:
    """Return the same, its lines ended by one character, and without blanks around it.

    So a text that comes back untouched counts as unchanged.
    """
    return _LINE_ENDS.sub("\n", without_unseen(text)).strip(_BLANKS)


def on_one_line(text: str) -> str:
    """Return a stranger's text for a log: what would end its line, or a terminal act on, is
    escaped."""
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


def harmless(text: str) -> str:
    """Return a stranger's text, its lines and tabs kept, without what a terminal acts on (ESC) or
    what nobody can see."""
    return _CONTROLS.sub("", without_unseen(text))


LONGEST: Final = 160


def excerpts(before: str, after: str, longest: int = LONGEST) -> tuple[str, str]:
    """Return both texts from about where they begin to differ, `longest` characters of each and an
    "…".

    Two characters more are no reason to shorten: so what was shortened once stays as it is.
    """
    if max(len(before), len(after)) <= longest + 2:
        return before, after
    # A quarter of what is shown is what they share, so that one knows where it is.
    lead, same = longest // 4, _shared(before, after)
    start = same - lead if same > longest // 2 else 0
    return _cut(before, start, longest), _cut(after, start, longest)


def around(text: str, at: int, longest: int = LONGEST) -> str:
    """Return what stands around this place of a text, `longest` characters of it and an "…"."""
    return _cut(text, max(min(at - longest // 4, len(text) - longest), 0), longest)


def _shared(before: str, after: str) -> int:
    """Return how many characters both begin with."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))


def _cut(text: str, start: int, longest: int) -> str:
    more = "…" if len(text) > start + longest else ""
    return f"{'…' if start else ''}{text[start : start + longest]}{more}"
