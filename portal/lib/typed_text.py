"""Clean up texts that people entered, without their invisible characters."""

import re
from typing import Final

# Invisible characters in texts copied from web pages, emails, and system dialogs: NUL, which
# PostgreSQL can't store, soft hyphens, zero-width spaces, byte order marks, and marks of writing
# direction, which can make one name look like another (Unicode TR 36, 2.10.4). The joiners U+200C
# and U+200D stay because Persian, Hindi, and emoji need them.
# Lone surrogates are possible in JSON and workbooks. Databases and browsers don't accept them.
_UNSEEN: Final = re.compile(
    "[\0\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
# Control characters that a terminal acts on, except tabs and line breaks.
_CONTROLS: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that look blank at either end: spaces, joiners without neighbors, blank letters.
_BLANKS: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + (
    "\u200c\u200d\u2800\u3164\uffa0"
)
# Browsers and Windows send a line break as two characters, old Macs as the first of them.
_LINE_ENDS: Final = re.compile("\r\n?")

# NUL and lone surrogates, which no database can store and no page can contain.
_NOT_STORABLE: Final = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """Replace characters that can't be stored or shown by U+FFFD."""
    return _NOT_STORABLE.sub("\ufffd", text)


def without_unseen(text: str) -> str:
    """Remove invisible characters."""
    return _UNSEEN.sub("", text)


def tidy(text: str) -> str:
    """Normalize line breaks, and remove invisible characters and blanks at both ends.

    So a text that a form sends back unedited counts as unchanged.
    """
    return _LINE_ENDS.sub("\n", without_unseen(text)).strip(_BLANKS)


def on_one_line(text: str) -> str:
    """Return an untrusted text for a log, with line breaks and control characters escaped."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def harmless(text: str) -> str:
    """Remove control characters (such as ESC) and invisible characters from an untrusted text.

    Line breaks and tabs stay.
    """
    return _CONTROLS.sub("", without_unseen(text))


LONGEST: Final = 160


def excerpts(before: str, after: str, longest: int = LONGEST) -> tuple[str, str]:
    """Return `longest` characters of each text from near the first difference, with an "…".

    Texts that are longer by two characters aren't cut, so a text is never cut twice.
    """
    if max(len(before), len(after)) <= longest + 2:
        return before, after
    # A quarter of the excerpt is text before the difference, so that readers recognize its place.
    lead, same = longest // 4, _shared(before, after)
    start = same - lead if same > longest // 2 else 0
    return _cut(before, start, longest), _cut(after, start, longest)


def around(text: str, at: int, longest: int = LONGEST) -> str:
    """Return `longest` characters of the text around this position, with an "…"."""
    return _cut(text, max(min(at - longest // 4, len(text) - longest), 0), longest)


def _shared(before: str, after: str) -> int:
    """Return the length of the common prefix."""
    pairs = enumerate(zip(before, after, strict=False))
    return next((at for at, (one, other) in pairs if one != other), min(len(before), len(after)))


def _cut(text: str, start: int, longest: int) -> str:
    more = "…" if len(text) > start + longest else ""
    return f"{'…' if start else ''}{text[start : start + longest]}{more}"
