"""What the tests of jobs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.dispatcher import database as database_module
from jobs.dispatcher.database import DatabaseExecutor
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
def database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseExecutor]:
    """One that tries again at once, and does all in the thread of the test."""
    del app
    monkeypatch.setattr(database_module, "PAUSE", 0.0)
    made = DatabaseExecutor(equip().engine, has_background=False)
    yield made
    made.close()
