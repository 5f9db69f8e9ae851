"""Excel and OpenDocument files: the cells that are read, and errors for hostile files."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from portal.lib.spreadsheets import files
from portal.lib.spreadsheets.file_child import DAMAGED
from portal.lib.spreadsheets.files import TOO_LARGE, read_file
from portal.lib.spreadsheets.sheets import Sheet, UnreadableError
from tests.lib.spreadsheets.workbook_files import MAIN, XML, cells_of, ods, text, xlsx, zipped

HEADING = cells_of([["Inventarnummer", "Bezeichnung"]])
FAR = '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'


def read_workbook(content: bytes) -> Sheet:
    sheet = read_file(io.BytesIO(content))
    return replace(sheet, rows=list(sheet.rows))


def test_cells_are_read_as_displayed() -> None:
    row = (
        f'<row r="4">{text("L-1")}<c s="1"><v>45278</v></c><c s="2"><v>45278.75</v></c>'
        '<c><v>1249.5</v></c><c><v>1234567890123</v></c><c t="b"><v>1</v></c>'
        '<c><f>0.1+0.2</f><v>0.30000000000000004</v></c><c t="e"><v>#DIV/0!</v></c>'
        '<c><f>1+1</f></c><c t="str"><f>"a"</f><v>=HYPERLINK("x")</v></c></row>'
    )
    names = [["Tag", "Day", "Time", "Cost", "Serial", "Lent", "Sum", "Wrong", "None", "Link"]]
    sheet = read_workbook(xlsx(cells_of(names) + row))
    assert list(sheet.headings) == names[0]
    (only,) = sheet.rows
    assert only.number == 4
    assert list(only.cells.values()) == [
        *("L-1", "2023-12-18", "2023-12-18 18:00", "1249.5", "1234567890123", "yes", "0.3"),
        *("", "", '=HYPERLINK("x")'),
    ]


def test_the_first_visible_nonempty_sheet_is_read() -> None:
    secret, blank, filled = (
        cells_of([["salary"], ["1"]]),
        "",
        HEADING + '<row r="2"><c><v>7</v></c></row>',
    )
    sheet = read_workbook(xlsx(secret, blank, filled, filled, hidden=1))
    assert (sheet.origin.tab, sheet.origin.other_tabs, sheet.origin.separator) == (
        "Tabelle3",
        2,
        "",
    )
    assert sheet.rows[0].cells == {"inventarnummer": "7"}


def test_a_table_can_begin_anywhere_on_its_sheet() -> None:
    rows = (
        '<row r="3"><c r="C3" t="inlineStr"><is><t>name</t></is></c></row>'
        '<row r="9"><c r="C9" t="inlineStr"><is><t>Chair</t></is></c></row>'
    )
    (row,) = read_workbook(xlsx(rows)).rows
    assert (row.number, row.cells) == (9, {"name": "Chair"})


def test_opendocument_is_read_too() -> None:
    day = (
        '<table:table-row><table:table-cell office:value-type="string"><text:p>Stuhl</text:p>'
        '</table:table-cell><table:table-cell office:value-type="date" '
        'office:date-value="2024-02-04"/><table:table-cell office:value-type="float" '
        'office:value="489.9"/></table:table-row>'
    )
    sheet = read_workbook(ods([["Bezeichnung", "Anschaffung", "Preis"]], values=day))
    assert sheet.origin.tab == "Inventar"
    assert list(sheet.rows[0].cells.values()) == ["Stuhl", "2024-02-04", "489.9"]


# LibreOffice ends each sheet like this.
REST = (
    '<table:table-row table:number-rows-repeated="1048573"><table:table-cell '
    'table:number-columns-repeated="16384"/></table:table-row>'
)
# 17 billion cells in a few bytes.
FULL = REST.replace("-cell ", '-cell office:value-type="string" ').replace(
    '"16384"/>', '"16384"><text:p>x</text:p></table:table-cell>'
)
TWO_ALIKE = (
    '<table:table-row table:number-rows-repeated="2"><table:table-cell '
    'office:value-type="string"><text:p>Tisch</text:p></table:table-cell>'
    '<table:table-cell table:number-columns-repeated="16383"/></table:table-row>'
)


def test_repeated_opendocument_rows_are_expanded() -> None:
    sheet = read_workbook(ods([["name"]], values=TWO_ALIKE + REST))
    assert [(row.number, row.cells["name"]) for row in sheet.rows] == [(2, "Tisch"), (3, "Tisch")]


def test_excels_shared_strings_are_read() -> None:
    texts = "<si><t>name</t></si><si><r><t>Büro</t></r><r><t>stuhl</t></r></si>"
    shared = f'{XML}<sst xmlns="{MAIN}">{texts}</sst>'
    rows = '<row r="1"><c t="s"><v>0</v></c></row><row r="2"><c t="s"><v>1</v></c></row>'
    (row,) = read_workbook(xlsx(rows, more={"xl/sharedStrings.xml": shared})).rows
    assert row.cells == {"name": "Bürostuhl"}


def test_macros_are_ignored() -> None:
    content = xlsx(HEADING + HEADING.replace('r="1"', 'r="2"'), more={"xl/vbaProject.bin": "Shell"})
    assert len(read_workbook(content).rows) == 1


def test_a_cell_without_a_heading_is_a_problem() -> None:
    (row,) = read_workbook(xlsx(cells_of([["name"], ["Chair", "red"]]))).rows
    assert "“red” has no column. Add a heading above it" in row.problem


def test_any_other_file_gets_an_explanation() -> None:
    for content, sentence in (
        (b"PK\x03\x04\xf1\x9a", DAMAGED),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, DAMAGED),
        (xlsx(HEADING)[:-200], DAMAGED),
        (zipped({"word/document.xml": "<w/>"}), DAMAGED),
        (xlsx('<row r="1"><c r="A1"><v>'), DAMAGED),
        (
            xlsx("", cells_of([["a"]]), hidden=2),
            "Choose a workbook with data. All sheets in this one are empty",
        ),
        (xlsx(HEADING + FAR), TOO_LARGE),
        (ods([["name"]], values=FULL), DAMAGED),
        (xlsx(HEADING), "Choose a file with data. This one has headings but no rows"),
        (
            xlsx(cells_of([["a", "A"], ["1", "2"]])),
            "Remove the duplicate column a",
        ),
    ):
        with pytest.raises(UnreadableError) as refused:
            read_workbook(content)
        assert str(refused.value) == sentence, content


def test_a_too_wide_or_too_long_sheet_is_refused() -> None:
    wide = "".join(text(f"c{number}") for number in range(300))
    with pytest.raises(UnreadableError, match="more than 200 columns"):
        read_workbook(xlsx(f'<row r="1">{wide}</row><row r="2">{wide}</row>'))
    many = cells_of([["name"]]) + "".join(
        f'<row r="{n}"><c><v>1</v></c></row>' for n in range(2, 20_004)
    )
    with pytest.raises(UnreadableError, match="more than 20,000 rows"):
        read_workbook(xlsx(many))


def test_a_file_that_expands_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    child = (
        "import sys; from portal.lib.spreadsheets import file_child\n"
        "file_child.MEMORY = 120 << 20; sys.exit(file_child.main())"
    )
    monkeypatch.setattr(files, "PROGRAM", ("-c", child))
    assert read_workbook(xlsx(cells_of([["name"], ["Chair"]]))).rows
    headings = b",".join(b"c%d" % number for number in range(200))
    for content in (
        xlsx(cells_of([["name"], ["a" * (60 << 20)]])),
        headings + (b"\n" + b"ab," * 200) * 10_000,
    ):
        with pytest.raises(UnreadableError, match="This file is too large"):
            read_workbook(content)


@pytest.mark.parametrize(
    ("program", "seconds"),
    [
        ("import time; time.sleep(60)", 0.5),
        ("import os; os.kill(os.getpid(), 9)", 5),
        ("import sys; sys.exit(3)", 5),
    ],
)
def test_a_child_that_hangs_or_dies_is_an_error(
    monkeypatch: pytest.MonkeyPatch, program: str, seconds: float
) -> None:
    monkeypatch.setattr(files, "PROGRAM", ("-c", program))
    monkeypatch.setattr(files, "SECONDS", seconds)
    with pytest.raises(UnreadableError, match="This file is too large"):
        read_workbook(xlsx(HEADING))


def test_the_child_has_limits_and_no_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", "what no child may know")
    told = tmp_path / "told"
    child = (
        "import os, resource, sys\n"
        "from portal.lib.spreadsheets import file_child\n"
        "file_child.limit()\n"
        "kinds = ('AS', 'CPU', 'FSIZE', 'NOFILE', 'CORE')\n"
        "bounds = [resource.getrlimit(getattr(resource, 'RLIMIT_' + kind))[1] for kind in kinds]\n"
        f"open({str(told)!r}, 'w').write(repr((bounds, dict(os.environ), list(sys.modules))))\n"
        "sys.exit(3)\n"
    )
    monkeypatch.setattr(files, "PROGRAM", ("-c", child))
    with pytest.raises(UnreadableError):
        read_workbook(xlsx(HEADING))
    bounds, environment, modules = eval(told.read_text())  # noqa: S307 - written by the line above
    assert bounds == [640 << 20, 10, 48 << 20, 16, 0]
    assert "SECRET_KEY" not in environment
    assert all(name.startswith("portal.lib") for name in modules if name.startswith("portal."))
    assert not {"flask", "sqlalchemy", "cryptography"} & set(modules)


def test_a_child_leaves_no_open_files() -> None:
    before = set(os.listdir("/proc/self/fd"))
    read_workbook(xlsx(cells_of([["name"], ["Chair"]])))
    assert set(os.listdir("/proc/self/fd")) == before
