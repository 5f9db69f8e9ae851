"""CSV files: reading files of other programs, and writing safe ones."""

import csv
import io
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.lib.csv_cells import plain_cell, safe_cell, write_csv
from portal.lib.spreadsheets.sheets import (
    CUT_OFF,
    NO_TEXT,
    WINDOWS,
    Sheet,
    UnreadableError,
    read_csv,
    read_text,
)
from portal.lib.typed_text import tidy


def test_every_separator_line_end_and_byte_order_mark_is_read() -> None:
    for end in ("\n", "\r\n"):
        for between in (",", ";", "\t"):
            for mark in ("", "\ufeff"):
                lines = [
                    between.join(["Name", " Asset Tag ", ""]),
                    between.join(['"A, b; c"', " X-1 ", ""]),
                ]
                sheet = read_csv((mark + end.join([*lines, "", between * 2, ""])).encode())
                assert list(sheet.columns) == ["name", "asset_tag"], (mark, between, end)
                assert [(row.number, row.cells) for row in sheet.rows] == [
                    (2, {"name": "A, b; c", "asset_tag": "X-1"})
                ], (mark, between, end)


def test_invisible_characters_are_left_out_of_a_cell() -> None:
    assert read_csv("name\n\u200e\ufeffmark\u200b\n".encode()).rows[0].cells["name"] == "mark"


def test_an_unusable_file_gets_an_explanation() -> None:
    for content, sentence in (
        (b"", "empty"),
        (b"name\n", "no rows"),
        (b"name,Name\na,b\n", "duplicate column name"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "Choose a CSV, Excel, or OpenDocument file"),
        (b"name\nB\x81rostuhl\n", "Choose a CSV, Excel, or OpenDocument file"),
        (b"name\n" + b"a" * 200_000 + b"\n", "Row 2 isn’t valid CSV"),
        (b'name,notes\na,b\nc,"d\ne,f\n', "Row 3 isn’t valid CSV. Check its quotation"),
        (b'name,notes\na,"12" pipe"\n', "Row 2 isn’t valid CSV"),
        (b'"name\na\n', "Row 1 isn’t valid CSV"),
        (",".join(map(str, range(200_000))).encode(), "more than 200 columns"),
        (b"name\n" + b"\n" * 2_000_000, "no rows"),
    ):
        with pytest.raises(UnreadableError, match=sentence):
            read_csv(content)


def test_a_short_line_or_trailing_blanks_are_no_problem() -> None:
    sheet = read_csv(b"name,model\na\nb,c,, \n")
    assert [row.cells for row in sheet.rows] == [{"name": "a"}, {"name": "b", "model": "c"}]
    assert not any(row.problem for row in sheet.rows)


def test_a_line_with_more_cells_than_headings_is_a_problem() -> None:
    sheet = read_csv(b"asset_tag,name\nA-1,Desk, large\nA-2,Chair\n")
    assert [row.problem for row in sheet.rows] == [
        "The row has more cells than the headings. “large” has no column. "
        "Put quotation marks around text with a comma",
        "",
    ]
    semicolons = read_csv(b"asset_tag;name\nA-1;Desk;large\n")
    assert "text with a semicolon" in semicolons.rows[0].problem


COLUMNS = ("asset_tag", "name", "notes")


# Characters with a meaning to CSV readers, spreadsheets, or our own tidying.
PIECES = st.sampled_from(
    [
        *",;\"'\r\n\t =-@\0",
        "\r\n",
        '""',
        "\ufeff",
        "\u200b",
        "\u2028",
        "\x85",
        "\x1c",
        "\uff1d",
        "ä",
    ]
)


CELL = st.lists(PIECES | st.characters(exclude_categories=["Cs"]), max_size=6).map("".join)


HEADS = st.sampled_from(
    [b"asset_tag,name,notes\n", b"name;asset_tag\r\n", b'\xef\xbb\xbf"NAME"\n', b""]
)


def sheet_or_refusal(content: bytes) -> Sheet:
    """Read a sheet, or return one without rows if the file is refused."""
    try:
        return read_csv(content)
    except UnreadableError:
        return Sheet((), ())


def rows_with_something(sheet: Sheet) -> list[dict[str, str]]:
    """Return the nonempty cells of each row that has any."""
    rows = [{name: text for name, text in row.cells.items() if text} for row in sheet.rows]
    return [row for row in rows if row]


def written(rows: list[dict[str, str]]) -> bytes:
    """Return these rows as a CSV file with the columns in `COLUMNS`."""
    lines = [COLUMNS, *(tuple(row.get(name, "") for name in COLUMNS) for row in rows)]
    return "".join(write_csv(lines)).encode()


@given(
    HEADS, st.binary(max_size=60) | st.lists(CELL, max_size=9).map(lambda c: ",".join(c).encode())
)
@example(b"name\n", b"=1\n")
@example(b"name;notes\n", b'\'=1;"a\r\nb"\n')
def test_any_file_is_refused_or_reads_back_the_same(head: bytes, rest: bytes) -> None:
    sheet = sheet_or_refusal(head + rest)
    known = [
        {name: text for name, text in row.items() if name in COLUMNS}
        for row in rows_with_something(sheet)
    ]
    kept = [row for row in known if row]
    if kept:
        again = read_csv(written(kept))
        assert rows_with_something(again) == kept
        assert not any(row.problem for row in again.rows)


# Cells as the register stores them.
KEPT = CELL.map(tidy)


@given(st.lists(st.tuples(KEPT, KEPT, KEPT), min_size=1, max_size=4))
@example([("", "", tidy("a\r\r\nb\r\u200b\nc\rd"))])
def test_a_written_sheet_reads_back(rows: list[tuple[str, str, str]]) -> None:
    lines = [dict(zip(COLUMNS, cells, strict=True)) for cells in rows]
    filled = [{name: text for name, text in line.items() if text} for line in lines]
    sheet = sheet_or_refusal(written(lines))
    assert rows_with_something(sheet) == [row for row in filled if row]
    assert not any(row.problem for row in sheet.rows)


def test_the_largest_file_has_twenty_thousand_rows() -> None:
    assert len(read_csv(b"name\n" + b"a\n" * 20_000).rows) == 20_000
    with pytest.raises(UnreadableError, match="more than 20,000 rows"):
        read_csv(b"name\n" + b"a\n" * 20_001)


def test_the_widest_file_has_two_hundred_columns() -> None:
    def wide(columns: int) -> bytes:
        return f"{','.join(f'c{n}' for n in range(columns))}\na\n".encode()

    assert len(read_csv(wide(200)).columns) == 200
    with pytest.raises(UnreadableError, match="more than 200 columns"):
        read_csv(wide(201))


def test_a_cell_is_cut_at_20000_characters() -> None:
    (row,) = read_csv(b"name\n" + b"a" * 20_001 + b"\n").rows
    assert row.cells["name"] == "a" * 20_000


def test_blank_lines_count_in_row_numbers() -> None:
    assert [row.number for row in read_csv(b"name\n\na\n\n\nb\n").rows] == [3, 6]


def test_a_broken_row_is_named_by_its_number() -> None:
    with pytest.raises(UnreadableError, match="Row 1,002 isn’t valid CSV"):
        read_csv(b"name\n" + b"a\n" * 1000 + b'"b\n')


def test_headings_are_normalized() -> None:
    for heading, columns in (
        ("Name,Serial  Number", ["name", "serial_number"]),
        ("name;model,year", ["name;model", "year"]),  # equally many of both, so it is a comma
        ("name;model;a,b", ["name", "model", "a,b"]),
        (" NAME ,,", ["name"]),
        ("'=name,a", ["=name", "a"]),
    ):
        assert list(read_csv(f"{heading}\nx\n".encode()).columns) == columns, heading


def test_line_ends_in_a_cell_are_normalized() -> None:
    (row,) = read_csv(b'notes,name\r\n"one\r\ntwo", a \r\n').rows
    assert row.cells == {"notes": "one\ntwo", "name": "a"}


def test_extra_cells_are_named_by_their_beginning_and_blanks_are_not() -> None:
    (row,) = read_csv(b"name\na, ,%s,later\n" % (b"x" * 50)).rows
    assert f"“{'x' * 40}” has no column" in row.problem


def test_each_piece_of_a_written_file_is_one_row() -> None:
    assert list(write_csv([("a", None), ("=b", 'c"d'), ("e,f", -1)])) == [
        "\ufeffa,\r\n",
        '\'=b,"c""d"\r\n',
        '"e,f",-1\r\n',
    ]


def test_formulas_become_text() -> None:
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


def test_formulas_after_other_separators_become_text() -> None:
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


def test_harmless_text_is_unchanged() -> None:
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


# Characters with a meaning to spreadsheets or to us.
MEANINGS = st.lists(st.sampled_from(" ;,\t\r\n'\"=+-@\uff1d\u00a0\x85x")).map("".join)


@given(
    st.lists(
        st.lists(MEANINGS | st.text(st.characters(exclude_categories=["Cs"])), min_size=1),
        min_size=1,
    )
)
def test_every_row_survives_the_file(rows: list[list[str]]) -> None:
    pieces = list(write_csv(rows))
    assert len(pieces) == len(rows)
    file = io.StringIO("".join(pieces).removeprefix("\ufeff"), newline="")
    assert [[plain_cell(cell) for cell in row] for row in csv.reader(file)] == rows


# However the line is split and its quotation marks are read, no cell is a formula.
@given(st.lists(MEANINGS, min_size=1, max_size=3), st.sampled_from(",;\t"))
@example(["x", '"\n=1'], ",")
def test_no_other_split_of_a_line_yields_a_formula(row: list[str], between: str) -> None:
    (line,) = write_csv([row], between)
    for cell in re.split("[,;\t\r\n]", line.removeprefix("\ufeff")):
        assert not cell.strip(' "\u00a0\x85').startswith(tuple("=+-@\uff1d"))


TEXT = "name;Größe\nBürostuhl;5 €\n"


def test_each_encoding_is_read_and_a_guess_is_reported() -> None:
    for encoding, guess in (
        ("utf-8", ""),
        ("utf-8-sig", ""),
        ("utf-16", ""),
        ("utf-16-le", ""),
        ("utf-16-be", ""),
        ("utf-32", ""),
        ("cp1252", WINDOWS),
    ):
        sheet = read_csv(TEXT.encode(encoding))
        assert list(sheet.columns) == ["name", "größe"], encoding
        assert list(sheet.headings) == ["name", "Größe"], encoding
        assert sheet.rows[0].cells == {"name": "Bürostuhl", "größe": "5 €"}, encoding
        assert (sheet.origin.encoding, sheet.origin.separator) == (guess, ";"), encoding


def test_excels_unicode_text_with_tabs_is_read() -> None:
    sheet = read_csv("name\tRaum\r\nStuhl\tÖtz\r\n".encode("utf-16"))
    assert sheet.rows[0].cells == {"name": "Stuhl", "raum": "Ötz"}
    assert sheet.origin.separator == "\t"


def test_binary_or_cut_off_content_is_refused() -> None:
    for content, sentence in (
        (TEXT.encode("utf-16")[:-1], CUT_OFF),
        (b"\xff\xfe\x00\xd8", CUT_OFF),
        (b"\xff\xfe\0\0" + b"\xff" * 4, CUT_OFF),
        (b"name\nB\x9drostuhl\n", NO_TEXT),
        (b"%PDF-1.7\n\xb5\xed\xae\x02", NO_TEXT),
        (bytes(range(256)), NO_TEXT),
        (b"\x7fELF\x02\x01\x01" + b"\0" * 40 + b"\xff", NO_TEXT),
    ):
        with pytest.raises(UnreadableError) as refused:
            read_text(content)
        assert str(refused.value) == sentence, content


def test_a_byte_order_mark_alone_is_an_empty_file() -> None:
    for content in (b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b""):
        with pytest.raises(UnreadableError, match="This one is empty"):
            read_csv(content)


def test_a_heading_is_kept_as_written_up_to_200_characters() -> None:
    sheet = read_csv(f" Serien Nr. ,'=x,,{'h' * 300}\na,b,c,d\n".encode())
    assert list(sheet.headings) == ["Serien Nr.", "=x", "h" * 200]
    assert list(sheet.columns) == ["serien_nr.", "=x", "h" * 200]
