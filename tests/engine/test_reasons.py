"""Every cause has words that a person who does not program can act on."""

import re

import pytest

from portal.engine.reasons import (
    Reason,
    ReasonGroup,
    Side,
    explain,
    reason_for_code,
    reasons_in,
    title,
)

CODES = [
    (200, None),
    (204, None),
    (299, None),
    (300, Reason.REDIRECT),
    (302, Reason.REDIRECT),
    (304, Reason.REDIRECT),
    (400, Reason.BAD_REQUEST),
    (401, Reason.AUTH),
    (402, Reason.OTHER_4XX),
    (403, Reason.FORBIDDEN),
    (404, Reason.NOT_FOUND),
    (405, Reason.METHOD),
    (407, Reason.AUTH),
    (408, Reason.OTHER_4XX),
    (409, Reason.CONFLICT),
    (410, Reason.GONE),
    (413, Reason.TOO_LARGE),
    (418, Reason.OTHER_4XX),
    (422, Reason.BAD_REQUEST),
    (429, Reason.RATE),
    (500, Reason.SERVER),
    (501, Reason.SERVER),
    (502, Reason.UNAVAILABLE),
    (503, Reason.UNAVAILABLE),
    (504, Reason.UNAVAILABLE),
    (599, Reason.SERVER),
    (100, Reason.BAD_REPLY),
    (101, Reason.BAD_REPLY),
    (0, Reason.BAD_REPLY),
    (999, Reason.BAD_REPLY),
    (-1, Reason.BAD_REPLY),
]

FULL = {"host": "erp.example.com", "seconds": 5, "time": "10:42"}


def test_each_code_has_its_reason() -> None:
    assert [(code, reason_for_code(code)) for code, _ in CODES] == CODES


def test_every_reason_reads_as_finished_sentences() -> None:
    for reason in Reason:
        for facts in (FULL, {"host": ""}):
            told = explain(reason, **facts)
            for sentence in (told.what_happened, told.next_step):
                assert re.fullmatch(r"\S.*\.", sentence), sentence
                assert "{" not in sentence
                assert "  " not in sentence
            assert told.title
            assert told.side in Side
            assert told.group in ReasonGroup
            text = f"{told.title} {told.what_happened} {told.next_step}".lower()
            assert not re.search(r"\b(invalid|please|sorry|error occurred|oops)\b", text)


def test_it_puts_the_code_after_the_plain_reason() -> None:
    assert title(Reason.SERVER, 500) == "Server error (500)"
    assert title(Reason.DNS) == "Server not found"


def test_a_hostile_location_stays_one_short_line() -> None:
    told = explain(Reason.REDIRECT, host="h" * 900, location="a\r\nb\x00\u202e" + "{x}" * 50_000)
    assert len(told.what_happened) < 400
    assert told.what_happened.isprintable()
    assert "ab{x}" in told.what_happened
    # Nor is a megabyte of it read.
    hidden = explain(Reason.REDIRECT, host="h", location="\0" * 1_000_000 + "behind")
    assert "behind" not in hidden.what_happened


@pytest.mark.parametrize(
    ("reason", "name", "limit", "sentence"),
    [
        (Reason.REFUSED, "host", 100, "{} refused the connection."),
        (Reason.REDIRECT, "location", 200, "another URL ({})."),
        (Reason.RESET, "time", 64, "Ask the receiver’s team to check their logs at {}."),
    ],
)
def test_what_comes_from_outside_is_told_up_to_a_length(
    reason: Reason, name: str, limit: int, sentence: str
) -> None:
    def told(text: str) -> str:
        found = explain(reason, **{"host": "a.example", name: text})
        return f"{found.what_happened} {found.next_step}"

    assert sentence.format("x" * limit) in told("x" * limit)
    assert sentence.format("x" * (limit - 1) + "…") in told("x" * (limit + 1))
    # What cannot be printed is left out, and four times as much is looked at.
    assert sentence.format("x") in told("\0" * (4 * limit - 1) + "xy")


def test_every_reason_is_in_exactly_one_group() -> None:
    grouped = [reason for group in ReasonGroup for reason in reasons_in(group)]
    assert sorted(grouped) == sorted(Reason)
