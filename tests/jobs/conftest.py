"""What the tests of jobs share."""

from collections.abc import Iterator

import pytest

from tests.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A healthy receiver on loopback."""
    with Receiver() as running:
        yield running
