"""Detect keys that others can guess, with one rule for all keys that people enter."""

import re
from collections import Counter
from itertools import pairwise
from typing import Final

REPEATED: Final = "a repeated word or character"
SEQUENCE: Final = "a sequence such as 0123 or abcd"
KNOWN: Final = "a well-known word or example"
# From the documentation of Flask, Fernet, and Standard Webhooks, which people copy.
_EXAMPLES: Final = frozenset(
    {
        "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",
        "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "plJ3nmyCDGBKInavdOK15jsl",
    }
)
_WORDS: Final = re.compile(
    "placeholder|passphrase|qwertyuiop|production|encryption|correct|replace|changeme|password|"
    "insecure|asdfghjkl|battery|default|example|letmein|session|signing|staple|webhook|welcome|"
    "zxcvbnm|change|django|please|qwerty|sample|secret|string|admin|dummy|flask|fernet|guess|horse|"
    "super|token|asdf|hard|here|pass|test|this|your|dev|key"
)
# Characters that must be left besides such words. Fewer can be brute-forced.
_SHORTEST_REST: Final = 8


def weakness(*forms: str) -> str | None:
    """Return the weakness of a key as the object of "Others can guess …", or None.

    `forms`: the key as entered and, for base64, decoded.
    """
    for form in forms:
        text = form.casefold()
        rest, words = _WORDS.subn("", text)
        rest = "".join(filter(str.isalnum, rest))
        if _repeats(text):
            return REPEATED
        if _is_sequence(text):
            return SEQUENCE
        is_short = len(rest) < _SHORTEST_REST or _repeats(rest) or _is_sequence(rest)
        if form in _EXAMPLES or (words and is_short):
            return KNOWN
    return None


def _repeats(text: str) -> bool:
    """Return whether the text repeats a shorter one, with or without a separator."""
    return any(
        all(text[at] == text[at - length] for at in range(length, len(text)))
        for length in range(1, (len(text) + 1) // 2 + 1)
    )


def _is_sequence(text: str) -> bool:
    """Return whether three in four characters follow the previous one by one of two steps."""
    steps = Counter(ord(after) - ord(before) for before, after in pairwise(text))
    usual = sum(times for _, times in steps.most_common(2))
    return usual * 4 >= steps.total() * 3
