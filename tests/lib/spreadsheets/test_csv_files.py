"""Files as people's programs write them."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from portal.lib.csv_cells import write_csv
from portal.lib.spreadsheets.sheets import MOST_ROWS, Sheet, UnreadableError, read_csv
from portal.lib.typed_text import tidy


def test_it_reads_either_kind_of_file() -> None:
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


def test_what_nobody_can_see_is_left_out_of_a_cell() -> None:
    assert read_csv("name\n\u200e\ufeffmark\u200b\n".encode()).rows[0].cells["name"] == "mark"


def test_it_says_what_to_do_about_a_file_it_cannot_use() -> None:
    for content, sentence in (
        (b"", "empty"),
        (b"name\n", "no rows"),
        (b"name,Name\na,b\n", "name is there twice"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0", "This is no CSV, Excel or OpenDocument file"),
        (b"name\nB\x81rostuhl\n", "This is no CSV, Excel or OpenDocument file"),
        (b"name\n" + b"a" * 200_000 + b"\n", "Row 2 cannot be read as CSV"),
        (b'name,notes\na,b\nc,"d\ne,f\n', "Row 3 cannot be read as CSV. Look at its quotation"),
        (b'name,notes\na,"12" pipe"\n', "Row 2 cannot be read as CSV"),
        (b'"name\na\n', "Row 1 cannot be read as CSV"),
        (b"name\n" + b"a\n" * (MOST_ROWS + 1), "more than 20,000 rows"),
        (",".join(map(str, range(200_000))).encode(), "more than 200 columns"),
        (b"name\n" + b"\n" * 2_000_000, "no rows"),
    ):
        with pytest.raises(UnreadableError, match=sentence):
            read_csv(content)


def test_no_cell_turns_the_text_around_it_round() -> None:
    sheet = read_csv("name,serial_number\nمضخة,\u202aSN-1\u202c\n".encode())
    assert sheet.rows[0].cells == {"name": "مضخة", "serial_number": "SN-1"}


def test_a_short_line_is_no_trouble_and_blanks_at_the_end_are_none() -> None:
    sheet = read_csv(b"name,model\na\nb,c,, \n")
    assert [row.cells for row in sheet.rows] == [{"name": "a"}, {"name": "b", "model": "c"}]
    assert not any(row.problem for row in sheet.rows)


def test_a_line_with_more_cells_than_the_heading_loses_nothing_unsaid() -> None:
    sheet = read_csv(b"asset_tag,name\nA-1,Desk, large\nA-2,Chair\n")
    assert [row.problem for row in sheet.rows] == [
        "It has more cells than the heading: “large” is left over. "
        "Put a text that has a comma in it between quotation marks",
        "",
    ]
    semicolons = read_csv(b"asset_tag;name\nA-1;Desk;large\n")
    assert "a semicolon in it" in semicolons.rows[0].problem


COLUMNS = ("asset_tag", "name", "notes")
# Whatever means something to a reader of CSV, a spreadsheet or our own tidying.
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
    """The sheet, without a row where it was refused."""
    try:
        return read_csv(content)
    except UnreadableError:
        return Sheet((), ())


def rows_with_something(sheet: Sheet) -> list[dict[str, str]]:
    """The cells that say something, of each row that has one."""
    rows = [{name: text for name, text in row.cells.items() if text} for row in sheet.rows]
    return [row for row in rows if row]


def written(rows: list[dict[str, str]]) -> bytes:
    """These rows as we write them, for the columns that we know."""
    lines = [COLUMNS, *(tuple(row.get(name, "") for name in COLUMNS) for row in rows)]
    return "".join(write_csv(lines)).encode()


@given(
    HEADS, st.binary(max_size=60) | st.lists(CELL, max_size=9).map(lambda c: ",".join(c).encode())
)
@example(b"name\n", b"=1\n")
@example(b"name;notes\n", b'\'=1;"a\r\nb"\n')
def test_any_file_ends_in_a_refusal_or_a_sheet_that_reads_back(head: bytes, rest: bytes) -> None:
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


# As the register keeps them.
KEPT = CELL.map(tidy)


@given(st.lists(st.tuples(KEPT, KEPT, KEPT), min_size=1, max_size=4))
@example([("", "", tidy("a\r\r\nb\r\u200b\nc\rd"))])
def test_a_sheet_that_we_wrote_reads_back(rows: list[tuple[str, str, str]]) -> None:
    lines = [dict(zip(COLUMNS, cells, strict=True)) for cells in rows]
    said = [{name: text for name, text in line.items() if text} for line in lines]
    sheet = sheet_or_refusal(written(lines))
    assert rows_with_something(sheet) == [row for row in said if row]
    assert not any(row.problem for row in sheet.rows)
