"""Without WAL a COMMIT waits for readers: it is repeated, and what it holds is not lost."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from portal.database import engine
from portal.database.engine import sqlite_module

SENTENCE = "the COMMIT is repeated"


class LeavesWhenTold(logging.Handler):
    """Ends a reader's transaction at the `after`-th repetition."""

    def __init__(self, reader: sqlite_module.Connection, after: int) -> None:
        super().__init__()
        self.reader, self.left = reader, after

    def emit(self, record: logging.LogRecord) -> None:
        if SENTENCE in record.getMessage():
            self.left -= 1
            if self.left == 0:
                self.reader.rollback()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with sqlite_module.connect(tmp_path / "portal.sqlite") as connection:
        connection.execute("PRAGMA journal_mode=TRUNCATE")
        connection.execute("CREATE TABLE t (word TEXT)")
    connection.close()
    return tmp_path / "portal.sqlite"


@pytest.fixture
def reader(path: Path) -> Iterator[sqlite_module.Connection]:
    """Somebody in the middle of reading."""
    connection = sqlite_module.connect(path, isolation_level=None)
    connection.execute("BEGIN")
    connection.execute("SELECT * FROM t").fetchall()
    yield connection
    connection.close()


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite_module.Connection]:
    """Somebody who has written and is about to commit, through our driver."""
    factory = engine.patient(sqlite_module)
    connection = sqlite_module.connect(path, isolation_level=None, timeout=0.01, factory=factory)
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO t VALUES ('kept')")
    yield connection
    connection.close()


def words(path: Path) -> list[str]:
    connection = sqlite_module.connect(path)
    found = [word for (word,) in connection.execute("SELECT word FROM t")]
    connection.close()
    return found


@pytest.mark.parametrize("tries", [1, engine.COMMITS - 1])
def test_a_commit_that_a_reader_holds_up_is_repeated_and_not_rolled_back(
    path: Path, reader: sqlite_module.Connection, writer: sqlite_module.Connection, tries: int
) -> None:
    leaves = LeavesWhenTold(reader, tries)
    engine.log.addHandler(leaves)
    try:
        writer.commit()
    finally:
        engine.log.removeHandler(leaves)
    assert leaves.left == 0
    assert words(path) == ["kept"]


def test_a_reader_who_stays_ends_it_with_an_error_and_nothing_written(
    path: Path, reader: sqlite_module.Connection, writer: sqlite_module.Connection
) -> None:
    with pytest.raises(sqlite_module.OperationalError, match="locked"):
        writer.commit()
    writer.rollback()
    reader.rollback()
    assert words(path) == []


def test_another_error_is_not_repeated(path: Path, writer: sqlite_module.Connection) -> None:
    writer.rollback()
    writer.execute("PRAGMA foreign_keys=ON")
    writer.execute("CREATE TABLE a (id INTEGER PRIMARY KEY)")
    writer.execute("CREATE TABLE b (a INTEGER REFERENCES a (id) DEFERRABLE INITIALLY DEFERRED)")
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("INSERT INTO b VALUES (1)")
    with pytest.raises(sqlite_module.IntegrityError):
        writer.commit()
