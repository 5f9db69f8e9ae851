"""Mask secrets in log lines.

Lines contain untrusted data, so each pattern takes linear time. No pattern has a repetition before
its keyword or an unbounded one after it.
"""

import re
from collections.abc import Iterable
from typing import Final

MASK: Final = "[hidden]"
SHORTEST_SECRET: Final = 6  # a shorter one would be masked everywhere
LONGEST_LINE: Final = 32_768  # characters. A traceback has a few thousand.

_PATTERNS: Final = (
    # Standard Webhooks' secrets, of any webhook.
    (re.compile(r"whsec_[A-Za-z0-9+/=_-]+"), MASK),
    # Tokens of programs (services/people/tokens.py).
    (re.compile(r"awt_[A-Za-z0-9_-]+"), MASK),
    # Headers that authenticate, to the end of the line or of the quotation.
    (
        re.compile(
            r"((?:authorization|api-?key|\bcookie|\bwebhook-signature)"
            r"[\"']?\s*[=:]\s*[\"']?)[^\r\n\"']+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[^\s\"',]+", re.IGNORECASE), rf"\1 {MASK}"),
    # token=…, 'password': '…', secret = …, with any quotes, colons, and blanks.
    (
        re.compile(
            r"((?:token|password|secret|signature|csrf)\w{0,40}[\"']?\s*[=:]\s*[\"']?)"
            r"[^\s\"'&,;)}]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    (re.compile(r"(://[^\s:/@]*:)[^\s/@]+@"), rf"\1{MASK}@"),
    # Receivers put keys into the query of their URLs. A URL without a query stays unchanged.
    (
        re.compile(r"(\bhttps?://[^\s?\"'<>]*\??)([^\s\"'<>]*)", re.IGNORECASE),
        lambda found: f"{found[1]}{found[2] and MASK}",
    ),
    # The public URL of the built-in receiver is itself a secret.
    (re.compile(r"(/inbox/)[^\s/?\"']+"), rf"\1{MASK}"),
    # PostgreSQL repeats the whole row that it refuses.
    (re.compile(r"(Failing row contains ).*"), rf"\1{MASK}"),
)


class Redactor:
    """A function that masks the given secrets and anything that looks like a secret."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = sorted({secret for secret in secrets if len(secret) >= SHORTEST_SECRET}, key=len)
        self._known = re.compile("|".join(map(re.escape, reversed(known)))) if known else None

    def __call__(self, text: str) -> str:
        """Return the text without secrets. A very long text is cut off."""
        if self._known is not None:
            text = self._known.sub(MASK, text)
        text = _cut(text)
        for pattern, replacement in _PATTERNS:
            text = pattern.sub(replacement, text)
        return text


def _cut(text: str) -> str:
    """Cut a long text after a word, because patterns might not match half of a secret."""
    if len(text) <= LONGEST_LINE:
        return text
    end = max(text.rfind(blank, 0, LONGEST_LINE) for blank in " \n") + 1
    return f"{text[:end]}… ({len(text):,} characters)"
