"""Clocks, durations in words, public ids, and excerpts of differing texts."""

import subprocess
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from portal.config.settings import ROOT
from portal.lib.clock import utcnow
from portal.lib.durations import in_words, relative
from portal.lib.ids import public_id
from portal.lib.typed_text import excerpts

DIFFERENCE = """
from time import monotonic
from portal.lib.clock import since_boot
print(since_boot() - monotonic())
"""


def test_since_boot_counts_time_in_suspend() -> None:
    """Run in a time namespace that looks suspended for a thousand seconds."""
    asleep = ["unshare", "--time", "--fork", "--boottime", "1000"]
    command = [*asleep, sys.executable, "-c", DIFFERENCE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) >= 999


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


def test_a_duration_is_shown_in_words() -> None:
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


def test_a_moment_is_shown_relative_to_now() -> None:
    for seconds, words in MOMENTS:
        assert relative(NOW + timedelta(seconds=seconds), NOW) == words


def test_utcnow_has_a_zone() -> None:
    assert utcnow().utcoffset() == timedelta(0)


def test_ids_are_unique_and_in_order_of_time() -> None:
    ids = [public_id() for _ in range(1000)]
    assert ids == sorted(set(ids))


def test_an_id_is_a_plain_uuid_of_version_7() -> None:
    made = public_id()
    assert type(made) is uuid.UUID
    assert made.version == 7


def test_excerpts_begin_near_the_first_difference() -> None:
    for before, after, shown in (
        ("Lamp", "Desk lamp", ("Lamp", "Desk lamp")),
        ("", "x" * 50, ("", "x" * 30 + "…")),
        ("a" * 30, "b" * 32, ("a" * 30, "b" * 32)),
        ("a" * 30, "b" * 33, ("a" * 30, "b" * 30 + "…")),
        (
            "a long note that ends in one word: black",
            "a long note that ends in one word: white, and goes on",
            ("… word: black", "… word: white, and goes on"),
        ),
        (
            "x" * 40 + "1" + "y" * 40,
            "x" * 40 + "2",
            ("…" + "x" * 7 + "1" + "y" * 22 + "…", "…" + "x" * 7 + "2"),
        ),
    ):
        assert excerpts(before, after, longest=30) == shown, before


@given(st.text("ab \n", max_size=90), st.text("ab \n", max_size=90), st.text("ab", max_size=400))
def test_different_texts_look_different_and_no_side_is_too_long(
    before: str, after: str, same: str
) -> None:
    shown = excerpts(same + before, same + after, longest=60)
    assert max(map(len, shown)) <= 62
    assert (shown[0] == shown[1]) == (before == after)
    assert excerpts(*shown, longest=60) == shown
