"""What the tests of jobs share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

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
