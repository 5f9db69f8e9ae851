"""Any file that people have: CSV, Excel, OpenDocument; two workbooks are open at a time."""

import pytest
from flask import Flask

from portal.extensions import settings
from portal.lib.file_lock import FileLock
from portal.services.core.refusals import Refusal
from portal.services.csv import import_file
from tests.lib.spreadsheets.workbook_files import cells_of, ods, xlsx

ROWS = [["name", "notes"], ["Chair", "red"]]


@pytest.mark.parametrize("content", [b"name,notes\nChair,red\n", xlsx(cells_of(ROWS)), ods(ROWS)])
def test_they_all_read_the_same(app: Flask, content: bytes) -> None:
    assert [row.cells for row in import_file.read(content).rows] == [
        {"name": "Chair", "notes": "red"}
    ]


def test_two_workbooks_are_open_at_a_time_on_a_machine(app: Flask) -> None:
    content = xlsx(cells_of(ROWS))
    folder = settings().instance_dir / import_file.FOLDER
    folder.mkdir(exist_ok=True)
    first, second = (FileLock.take(folder / str(number)) for number in range(2))
    with pytest.raises(Refusal, match="Other workbooks are being read") as refused:
        import_file.read(content)
    assert refused.value.field == "file"
    assert import_file.read(b"name\nChair\n").rows  # a text needs no place
    assert first is not None
    assert second is not None
    second.release()
    for _ in range(3):
        assert import_file.read(content).rows
    first.release()


def test_what_cannot_be_read_is_refused_at_the_field(app: Flask) -> None:
    with pytest.raises(Refusal, match="cut off or damaged") as refused:
        import_file.read(b"PK\x03\x04")
    assert refused.value.field == "file"
