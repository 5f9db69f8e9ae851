"""How much a file may hold, to the last row, column and letter; and how it is written."""

import pytest

from portal.lib.csv_cells import write_csv
from portal.lib.spreadsheets.sheets import UnreadableError, read_csv


def test_the_largest_file_has_twenty_thousand_rows() -> None:
    assert len(read_csv(b"name\n" + b"a\n" * 20_000).rows) == 20_000
    with pytest.raises(UnreadableError, match=r"more than 20,000 rows\. Split it into several"):
        read_csv(b"name\n" + b"a\n" * 20_001)


def test_the_widest_file_has_two_hundred_columns() -> None:
    def wide(columns: int) -> bytes:
        return f"{','.join(f'c{n}' for n in range(columns))}\na\n".encode()

    assert len(read_csv(wide(200)).columns) == 200
    with pytest.raises(UnreadableError, match="more than 200 columns"):
        read_csv(wide(201))


def test_a_cell_is_kept_up_to_its_longest() -> None:
    (row,) = read_csv(b"name\n" + b"a" * 20_001 + b"\n").rows
    assert row.cells["name"] == "a" * 20_000


def test_blank_lines_count_as_a_spreadsheet_counts_them() -> None:
    assert [row.number for row in read_csv(b"name\n\na\n\n\nb\n").rows] == [3, 6]


def test_a_row_that_breaks_off_is_named_by_its_number() -> None:
    with pytest.raises(UnreadableError, match="Row 1,002 cannot be read as CSV"):
        read_csv(b"name\n" + b"a\n" * 1000 + b'"b\n')


def test_the_heading_is_read_as_people_write_it() -> None:
    for heading, columns in (
        ("Name,Serial  Number", ["name", "serial_number"]),
        ("name;model,year", ["name;model", "year"]),  # as many of each: it is a comma
        ("name;model;a,b", ["name", "model", "a,b"]),
        (" NAME ,,", ["name"]),
        ("'=name,a", ["=name", "a"]),
    ):
        assert list(read_csv(f"{heading}\nx\n".encode()).columns) == columns, heading


def test_a_cell_has_the_line_ends_that_we_keep() -> None:
    (row,) = read_csv(b'notes,name\r\n"one\r\ntwo", a \r\n').rows
    assert row.cells == {"notes": "one\ntwo", "name": "a"}


def test_what_is_left_over_is_told_by_its_beginning_and_blanks_are_not() -> None:
    (row,) = read_csv(b"name\na, ,%s,later\n" % (b"x" * 50)).rows
    assert f"“{'x' * 40}” is left over" in row.problem


def test_each_piece_of_a_written_file_is_one_row_and_the_first_has_the_mark() -> None:
    assert list(write_csv([("a", None), ("=b", 'c"d'), ("e,f", -1)])) == [
        "\ufeffa,\r\n",
        '\'=b,"c""d"\r\n',
        '"e,f",-1\r\n',
    ]
