"""Fixtures shared by the tests of jobs."""

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
    """Yield a healthy receiver on loopback."""
    with Receiver() as running:
        yield running


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[PrivateValkey]:
    """Yield a Valkey that the test can kill."""
    server = PrivateValkey(tmp_path / "valkey")
    server.start()
    yield server
    server.close()


@pytest.fixture
def database(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Iterator[DatabaseExecutor]:
    """Yield an executor that retries at once and works in the test's thread."""
    del app
    monkeypatch.setattr(database_module, "PAUSE", 0.0)
    made = DatabaseExecutor(equip().engine, has_background=False)
    yield made
    made.close()
