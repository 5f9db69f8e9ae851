"""A spreadsheet shows what we export and runs none of it."""

import csv
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import example, given
from hypothesis import strategies as st

from portal.lib.csv_cells import plain_cell, safe_cell, write_csv


def test_text_that_a_spreadsheet_would_run_becomes_text() -> None:
    for text in (
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "  =1",
        '"=1',
        "\tplain",
        "\uff1d1+1",
        "'=1",
        '=HYPERLINK("http://x","y")',
        "-2+3+cmd|' /C calc'!A0",
    ):
        assert safe_cell(text) == f"'{text}", text


def test_a_formula_that_begins_where_other_programs_split_a_line_becomes_text() -> None:
    for text, cell in (
        ("x;=1+1;y", "x;'=1+1;y"),
        ("x,=1,+1,y", "x,'=1,'+1,y"),
        ("x\t@SUM(A1)", "x\t'@SUM(A1)"),
        ('x; "\u00a0=1', "x;' \"\u00a0=1"),
        ("x;'=1", "x;''=1"),
        ("=1;-1", "'=1;'-1"),
        ("x\n=1\r\n-1", "x\n'=1\r\n'-1"),
        ('{"a": 1, "b": -1}', '{"a": 1, "b": -1}'),
    ):
        assert safe_cell(text) == cell, text


def test_harmless_text_stays_as_it_is() -> None:
    for text in ("", "Laptop", "5-port switch", "a=b", "'quoted'", "it's", "Ω"):
        assert safe_cell(text) == text, text


def test_values_are_written_plainly() -> None:
    for value, cell in (
        (None, ""),
        (-5, "-5"),
        (Decimal("-12.50"), "-12.50"),
        (True, "True"),
        (date(2025, 2, 4), "2025-02-04"),
        (datetime(2025, 2, 4, 12, 0, 0, 999, tzinfo=UTC), "2025-02-04T12:00:00+00:00"),
    ):
        assert safe_cell(value) == cell, value


# Whatever means something to a spreadsheet or to us.
PIECES = st.lists(st.sampled_from(" ;,\t\r\n'\"=+-@\uff1d\u00a0\x85x")).map("".join)


@given(st.text() | PIECES)
def test_what_we_export_reads_back_exactly(text: str) -> None:
    assert plain_cell(safe_cell(text)) == text


@given(
    st.lists(
        st.lists(PIECES | st.text(st.characters(exclude_categories=["Cs"])), min_size=1), min_size=1
    )
)
def test_every_row_survives_the_file(rows: list[list[str]]) -> None:
    pieces = list(write_csv(rows))
    assert len(pieces) == len(rows)
    file = io.StringIO("".join(pieces).removeprefix("\ufeff"), newline="")
    assert [[plain_cell(cell) for cell in row] for row in csv.reader(file)] == rows


# However the line is split, and whatever is thought of its quotation marks, no cell is a formula.
@given(st.lists(PIECES, min_size=1, max_size=3), st.sampled_from(",;\t"))
@example(["x", '"\n=1'], ",")
def test_no_program_finds_a_formula_in_a_line_that_it_splits_otherwise(
    row: list[str], between: str
) -> None:
    (line,) = write_csv([row], between)
    for cell in re.split("[,;\t\r\n]", line.removeprefix("\ufeff")):
        assert not cell.strip(' "\u00a0\x85').startswith(tuple("=+-@\uff1d"))
