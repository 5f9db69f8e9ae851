"""Take secrets out of log lines.

Lines carry what strangers send, so each pattern takes time in proportion to the line: nothing that
repeats stands before the word that a pattern is known by, or after it without an end.
"""

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "[hidden]"
SHORTEST_SECRET: Final = 6  # what is shorter would be masked everywhere
LONGEST_LINE: Final = 32_768  # characters; a traceback has a few thousand

_PATTERNS: Final = (
    # Standard Webhooks' secrets, of whatever webhook.
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), MASK),
    # Tokens of programs (services/people/tokens.py).
    (re.compile(r"awt_[A-Za-z0-9_-]+"), MASK),
    # Headers that sign somebody in, to the end of the line or of what quotes them.
    (
        re.compile(
            r"((?:authorization|api-?key|\bcookie|\bwebhook-signature)"
            r"[\"']?\s*[=:]\s*[\"']?)[^\r\n\"']+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',]+", re.IGNORECASE), rf"\1 {MASK}"),
    # token=…, 'password': '…', secret = …; quotes, colons and blanks as they come.
    (
        re.compile(
            r"((?:token|password|secret|signature|csrf)\w{0,40}[\"']?\s*[=:]\s*[\"']?)"
            r"[^\s\"'&,;)}]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(://[^\s:/@]*:)[^\s/@]+@"), rf"\1{MASK}@"),
    # Receivers put keys behind the question mark of their addresses. An address without one is
    # passed over whole.
    (
        re.compile(r"(\bhttps?://[^\s?\"'<>]*\??)([^\s\"'<>]*)", re.IGNORECASE),
        lambda found: f"{found[1]}{found[2] and MASK}",
    ),
    # The public address of the built-in receiver is the secret itself.
    (re.compile(r"(/inbox/)[^\s/?\"']+"), rf"\1{MASK}"),
    # PostgreSQL repeats a whole row when it refuses it.
    (re.compile(r"(Failing row contains ).*"), rf"\1{MASK}"),
)


class Redactor:
    """Masks the given secrets wherever they stand, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({each for each in secrets if len(each) >= SHORTEST_SECRET}, key=len)
        self._known = re.compile("|".join(map(re.escape, reversed(known)))) if known else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets, cut off where it is too long to be read by anybody."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _cut(text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _cut(text: str) -> str:
    """End a long text behind a word, for half a secret may not be known by what follows it."""
    if len(text) <= LONGEST_LINE:
        return text
    end = max(text.rfind(blank, 0, LONGEST_LINE) for blank in " \n") + 1
    return f"{text[:end]}… ({len(text):,} characters)"
