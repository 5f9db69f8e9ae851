"""Build the help rows that explain failure reasons, and the URL of each."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Final, NamedTuple

from flask import url_for

from portal.engine.reasons import (
    Explanation,
    Reason,
    ReasonGroup,
    alike,
    explain,
    reason_for_code,
    reasons_in,
)

STATUSES: Final = "delivery-status"
CODES: Final = range(100, 1000)  # three digits, as in a response's status line


class ReasonRow(NamedTuple):
    """One reason in words. Reasons with the same words share a row with all their anchors."""

    words: Explanation
    anchors: Sequence[str]
    codes: str


def help_url(reason: Reason, code: int | None = None) -> str:
    """Return the URL of the help row for an attempt's result."""
    is_read_from_code = code is not None and reason_for_code(code) is reason
    return anchor_url(str(code) if is_read_from_code else reason)


def anchor_url(anchor: str) -> str:
    """Return the URL of the help row for a reason or a status code."""
    return url_for("help.show", name=STATUSES, _anchor=anchor)


@cache
def reason_rows(group: ReasonGroup) -> Sequence[ReasonRow]:
    """Return the rows of a group, in table order."""
    return [_row(alike(reason)) for reason in reasons_in(group) if alike(reason)[0] is reason]


def _row(reasons: Sequence[Reason]) -> ReasonRow:
    codes = [code for code in CODES if reason_for_code(code) in reasons]
    words = f"{'Code' if len(codes) == 1 else 'Codes'} {in_words(codes)}" if codes else ""
    return ReasonRow(explain(reasons[0], host=""), [*reasons, *map(str, codes)], words)


def in_words(codes: Sequence[int]) -> str:
    """Join ascending codes, with ranges for three or more in a row: "500, 501, 505 to 599"."""
    return ", ".join(_spans(codes))


def _spans(codes: Sequence[int]) -> Iterator[str]:
    for _, pairs in groupby(enumerate(codes), lambda pair: pair[1] - pair[0]):
        span = [str(code) for _, code in pairs]
        yield f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(span)
