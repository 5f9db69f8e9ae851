"""Any file that people have: CSV, Excel, OpenDocument; two are read at a time, beside us."""

import io
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from flask import Flask

from portal.extensions import settings
from portal.lib.file_lock import FileLock
from portal.lib.spreadsheets.sheets import Sheet
from portal.services.core.refusals import Refusal
from portal.services.csv import import_task
from tests.lib.spreadsheets.workbook_files import cells_of, ods, xlsx

ROWS = [["name", "notes"], ["Chair", "red"]]
CSV, EXCEL = b"name,notes\nChair,red\n", xlsx(cells_of(ROWS))
# As many columns as a file may have.
WIDEST = b",".join(b"c%d" % number for number in range(200)) + (b"\n" + b"ab," * 200) * 5_000


def read(content: bytes) -> Sheet:
    return import_task.read_upload(io.BytesIO(content))


def test_they_all_read_the_same(app: Flask) -> None:
    for content in (CSV, EXCEL, ods(ROWS)):
        sheet = read(content)
        for _ in range(2):  # as often as somebody asks
            assert [(row.number, row.cells) for row in sheet.rows] == [
                (2, {"name": "Chair", "notes": "red"})
            ]


@contextmanager
def both_places_taken() -> Iterator[FileLock]:
    folder = settings().instance_dir / import_task.READING_FOLDER
    folder.mkdir(exist_ok=True)
    first, second = (FileLock.take(folder / str(number)) for number in range(2))
    assert first is not None
    assert second is not None
    yield second
    first.release()
    second.release()


def test_two_files_are_read_at_a_time_on_a_machine(app: Flask) -> None:
    for content in (CSV, EXCEL):
        with both_places_taken() as second:
            with pytest.raises(Refusal, match="Other files are being read") as refused:
                read(content)
            assert refused.value.field == "file"
            second.release()
            for _ in range(3):
                assert list(read(content).rows)


def test_what_cannot_be_read_is_refused_at_the_field(app: Flask) -> None:
    with pytest.raises(Refusal, match="cut off or damaged") as refused:
        read(b"PK\x03\x04")
    assert refused.value.field == "file"


def test_a_large_text_takes_no_memory_of_ours(app: Flask) -> None:
    for content, count in (
        (b"," * (4 << 20), None),
        (b"name\n" + b"," * (4 << 20), None),
        (WIDEST, 5_000),
    ):
        file = io.BytesIO(content)
        tracemalloc.start()
        try:
            if count is None:
                with pytest.raises(Refusal, match="more than 200 columns"):
                    import_task.read_upload(file)
            else:
                assert sum(1 for _ in import_task.read_upload(file).rows) == count
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert most < 1 << 20, content
