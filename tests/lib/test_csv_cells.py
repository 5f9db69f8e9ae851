"""A spreadsheet shows what we export and runs none of it."""

import csv
import io
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.lib.csv_cells import plain_cell, safe_cell, write_csv


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "  =1",
        "\tplain",
        "\uff1d1+1",
        "'=1",
        '=HYPERLINK("http://x","y")',
        "-2+3+cmd|' /C calc'!A0",
    ],
)
def test_text_that_a_spreadsheet_would_run_becomes_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "Laptop", "5-port switch", "a=b", "'quoted'", "it's", "Ω"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert safe_cell(text) == text


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        (None, ""),
        (-5, "-5"),
        (Decimal("-12.50"), "-12.50"),
        (True, "True"),
        (date(2025, 2, 4), "2025-02-04"),
        (datetime(2025, 2, 4, 12, 0, 0, 999, tzinfo=UTC), "2025-02-04T12:00:00+00:00"),
    ],
)
def test_values_are_written_plainly(value: object, cell: str) -> None:
    assert safe_cell(value) == cell


@given(st.text())
def test_what_we_export_reads_back_exactly(text: str) -> None:
    assert plain_cell(safe_cell(text)) == text


@given(
    st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1), min_size=1)
)
def test_every_row_survives_the_file(rows: list[list[str]]) -> None:
    pieces = list(write_csv(rows))
    assert len(pieces) == len(rows)
    file = io.StringIO("".join(pieces).removeprefix("\ufeff"), newline="")
    assert [[plain_cell(cell) for cell in row] for row in csv.reader(file)] == rows


def test_the_file_says_that_it_is_utf_8_and_ends_lines_as_the_standard_does() -> None:
    assert list(write_csv([["Größe", "a,b"], [1, None]])) == ['\ufeffGröße,"a,b"\r\n', "1,\r\n"]
