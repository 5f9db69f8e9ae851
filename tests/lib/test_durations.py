"""Lengths of time are words that a person says."""

from datetime import UTC, datetime, timedelta
from typing import Final

from portal.lib.clock import utcnow
from portal.lib.durations import in_words, relative

NOW = datetime(2025, 2, 4, 12, 0, tzinfo=UTC)


LENGTHS: Final[list[tuple[float, str]]] = [
    (-3, "0 ms"),
    (0, "0 ms"),
    (0.1434, "143 ms"),
    (0.9994, "999 ms"),
    (0.9999, "1 second"),
    (1.4, "1 second"),
    (5, "5 seconds"),
    (59.4, "59 seconds"),
    (59.9, "1 minute"),
    (60, "1 minute"),
    (299, "4 minutes"),
    (3599.9, "59 minutes"),
    (3600, "1 hour"),
    (7200, "2 hours"),
    (7500, "2 h 5 min"),
    (86399, "23 h 59 min"),
    (86400, "1 day"),
    (86400 + 7200, "1 day 2 h"),
    (3 * 86400, "3 days"),
    (3 * 86400 + 4 * 3600 + 59, "3 days 4 h"),
]


def test_it_says_how_long() -> None:
    for seconds, words in LENGTHS:
        assert in_words(seconds) == words


MOMENTS: Final[list[tuple[float, str]]] = [
    (0, "just now"),
    (-59, "just now"),
    (-60, "1 minute ago"),
    (-179, "2 minutes ago"),
    (-180, "3 minutes ago"),
    (-7300, "2 hours ago"),
    (-90000, "1 day ago"),
    (2, "in 2 seconds"),
    (240, "in 4 minutes"),
    (86400 * 5, "in 5 days"),
]


def test_it_says_when_seen_from_now() -> None:
    for seconds, words in MOMENTS:
        assert relative(NOW + timedelta(seconds=seconds), NOW) == words


def test_now_knows_its_zone() -> None:
    assert utcnow().utcoffset() == timedelta(0)
