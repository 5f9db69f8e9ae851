"""Addresses of the lines that explain a status, a reason and every code that the log can show."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Final

from flask import url_for

from portal.engine.reasons import Reason, reason_for_code

CODES: Final = range(100, 1000)  # three digits, as the line of an answer has them


def help_url(reason: Reason, code: int | None = None) -> str:
    """The address of the line that explains how an attempt ended."""
    return url_for("help_status.delivery_status", _anchor=anchor_of(reason, code))


def code_url(code: int) -> str:
    """The address of the line that explains a code."""
    return url_for("help_status.delivery_status", _anchor=str(code))


def anchor_of(reason: Reason, code: int | None = None) -> str:
    """The code, where it is what the reason was read from; else the reason."""
    return str(code) if code is not None and reason_for_code(code) is reason else str(reason)


@cache
def codes_by_reason() -> Mapping[Reason | None, Sequence[int]]:
    """The codes that each reason is read from, ascending; those of success under None."""
    found: dict[Reason | None, list[int]] = defaultdict(list)
    for code in CODES:
        found[reason_for_code(code)].append(code)
    return found


def in_words(codes: Sequence[int]) -> str:
    """Ascending codes with their neighbours drawn together: "500, 501, 505 to 599"."""
    return ", ".join(_spans(codes))


def _spans(codes: Sequence[int]) -> Iterator[str]:
    ends = [place for place, (a, b) in enumerate(pairwise(codes), 1) if b != a + 1]
    for first, last in pairwise([0, *ends, len(codes)]):
        span = codes[first:last]
        if len(span) > 2:
            yield f"{span[0]} to {span[-1]}"
        else:
            yield from map(str, span)
