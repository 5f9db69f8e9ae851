"""Keyset paging: no gaps or repeats, and bad cursors are refused."""

import base64
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.lib.paging import Cursor, Page, UnreadableCursor, page_of


def read(table: list[int], cursor: Cursor | None, size: int) -> Page[int]:
    """Page through `table` (ids in any order) like a query with a cursor."""
    if cursor is None:
        rows = sorted(table, reverse=True)
    elif cursor.newer:
        rows = sorted(row for row in table if (row,) > cursor.key)
    else:
        rows = sorted((row for row in table if (row,) < cursor.key), reverse=True)
    return page_of(rows[: size + 1], cursor, key=lambda row: (row,), size=size)


def test_paging_down_and_up_again_shows_every_row_once() -> None:
    for count in (0, 1, 3, 4, 9, 10):
        table = list(range(1, count + 1))
        page = read(table, None, 3)
        down = [page]
        while page.older:
            page = read(table, Cursor.decode(page.older), 3)
            down.append(page)
        assert [row for page in down for row in page.rows] == table[::-1], count
        up = [page]
        while page.newer:
            page = read(table, Cursor.decode(page.newer), 3)
            up.append(page)
        assert [list(page.rows) for page in up] == [list(page.rows) for page in down[::-1]], count


def test_rows_added_meanwhile_do_not_shift_the_next_page() -> None:
    page = read([1, 2, 3, 4], None, 2)
    assert list(read([1, 2, 3, 4, 5, 6], Cursor.decode(page.older), 2).rows) == [2, 1]


def test_the_first_and_last_pages_have_no_further_cursor() -> None:
    first = read([1, 2, 3], None, 2)
    assert first.newer is None
    assert read([1, 2, 3], Cursor.decode(first.older), 2).older is None


@given(
    st.lists(st.integers(-(2**63) + 2, 2**63 - 2) | st.text(max_size=40), min_size=1, max_size=3),
    st.booleans(),
)
def test_a_cursor_survives_encoding(key: list[int | str], newer: bool) -> None:
    shape = tuple(type(part) for part in key)
    cursor = Cursor(tuple(key), newer)
    text = cursor.encode()
    assert text.replace("-", "").replace("_", "").isalnum()
    if not any(isinstance(part, str) and "\0" in part for part in key):
        assert Cursor.decode(text, shape) == cursor


def forged(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


HOSTILE = [
    "x",
    "'; drop table deliveries; --",
    "Ω",
    "=" * 40,
    "A" * 100_000,
    forged("text"),
    forged({"id": 1}),
    forged([]),
    forged([0]),
    forged([2, 5]),
    forged([None, 5]),
    forged([0, "5"]),
    forged([0, 5.5]),
    forged([0, True]),
    forged([0, None]),
    forged([0, [1]]),
    forged([0, 2**63]),
    forged([1, 2**63 - 1]),  # a page starts next to the key
    forged([True, 5]),
    forged([0, 5, 6]),
    base64.urlsafe_b64encode(b"[" * 700).decode(),
    base64.urlsafe_b64encode(b"[0," + b"9" * 600 + b"]").decode(),
    base64.urlsafe_b64encode(b"[0,NaN]").decode(),
    base64.urlsafe_b64encode(b"\xff\xfe").decode(),
]


def test_a_bad_cursor_is_refused() -> None:
    for text in HOSTILE:
        with pytest.raises(UnreadableCursor):
            Cursor.decode(text)


def test_a_deeply_nested_cursor_is_refused_near_the_recursion_limit() -> None:
    nested = base64.urlsafe_b64encode(b"[" * 700).decode()

    def read_below(frames: int) -> None:
        if frames:
            read_below(frames - 1)
        else:
            with pytest.raises(UnreadableCursor):
                Cursor.decode(nested)

    read_below(sys.getrecursionlimit() // 2)


def test_no_cursor_means_the_first_page() -> None:
    for text in (None, ""):
        assert Cursor.decode(text) is None, text


def test_text_that_a_database_refuses_is_no_cursor_key() -> None:
    for part in ("a\0b", "\ud800", chr(0xDFFF)):
        with pytest.raises(UnreadableCursor):
            Cursor.decode(forged([0, part]), (str,))


@given(st.text(max_size=60))
def test_any_text_decodes_to_a_cursor_or_is_refused(text: str) -> None:
    try:
        cursor = Cursor.decode(text)
    except UnreadableCursor:
        return
    assert cursor is None or type(cursor.key[0]) is int
