"""Retry-After in every form that servers send, and in those they should not."""

from datetime import UTC, datetime
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from portal.engine.retry_policy import parse_retry_after

NOW = datetime(2025, 2, 4, 12, 0, tzinfo=UTC)
DAY = 86400


READ: Final[list[tuple[str, float]]] = [
    ("0", 0),
    ("120", 120),
    ("  120\t", 120),
    ("0120", 120),
    ("1.5", 1.5),
    ("86401", DAY),
    ("9" * 5000, DAY),
    # Nothing is read beyond its first hundred characters.
    (f"{5:0100}", 5),
    (f"{5:0101}", 0),
    ("120" + " " * 97 + "x", 120),
    ("Tue, 04 Feb 2025 12:05:00 GMT", 300),
    ("Tue, 4 Feb 2025 12:05:00 GMT", 300),
    ("Tue, 04 Feb 2025 12:05:00 UTC", 300),
    ("Tue, 04 Feb 2025 12:05:00 +0000", 300),
    ("Tuesday, 04-Feb-25 12:05:00 GMT", 300),
    ("Tue Feb  4 12:05:00 2025", 300),
    ("Tue Feb 04 12:05:00 2025", 300),
    ("Mon, 04 Feb 2025 12:05:00 GMT", 300),
    ("Tue, 04 Feb 2025 12:05:60 GMT", 359),
    ("Tue, 04 Feb 2025 11:59:00 GMT", 0),
    ("Sunday, 06-Nov-94 08:49:37 GMT", 0),
    # Of two digits, what seems more than fifty years ahead is past.
    ("Monday, 04-Feb-75 12:05:00 GMT", DAY),
    ("Tuesday, 04-Feb-76 12:05:00 GMT", 0),
    ("Thu, 31 Dec 9999 23:59:59 GMT", DAY),
]


def test_it_reads_seconds_and_all_three_forms_of_dates() -> None:
    for value, seconds in READ:
        assert parse_retry_after(value, NOW) == seconds


IGNORED: Final[list[str]] = [
    "",
    " ",
    "soon",
    "-5",
    "+5",
    "1e9",
    "inf",
    "nan",
    "0x10",
    "12 0",
    "120, 120",
    "\u0661\u0662",
    "\x00",
    "Tue, 31 Feb 2025 12:00:00 GMT",
    "Tue, 04 Feb 0000 12:00:00 GMT",
    "Tue, 04 Feb 2025 25:00:00 GMT",
    "Tue, 04 Fev 2025 12:00:00 GMT",
    "Tue, 04 Feb 2025 12:00:00 PST",
    "2025-02-04T12:05:00Z",
    "x" * 100_000,
]


def test_it_ignores_what_it_cannot_read() -> None:
    for value in IGNORED:
        assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=120))
def test_nothing_that_a_receiver_sends_can_break_it(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= DAY
