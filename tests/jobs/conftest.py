"""What the tests of jobs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.dispatcher import database_writer
from jobs.dispatcher.database_executor import DatabaseExecutor
from jobs.dispatcher.database_writer import DatabaseWriter
from tests.support.receiver import Receiver
from tests.support.valkey import PrivateValkey


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A healthy receiver on loopback."""
    with Receiver() as running:
        yield running


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[PrivateValkey]:
    """A Valkey that this test may kill."""
    server = PrivateValkey(tmp_path / "valkey")
    server.start()
    yield server
    server.close()


@pytest.fixture
def writer(app: Flask, monkeypatch: pytest.MonkeyPatch) -> DatabaseWriter:
    """One that tries again at once."""
    del app
    monkeypatch.setattr(database_writer, "PAUSE", 0.0)
    return DatabaseWriter(equip().engine)


@pytest.fixture
def executor() -> Iterator[DatabaseExecutor]:
    """One that does all at once, in the dispatcher's own thread."""
    made = DatabaseExecutor(lambda: None, works_beside=False)
    yield made
    made.close()
