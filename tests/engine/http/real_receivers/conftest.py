"""Fixtures of the tests with real receivers."""

from collections.abc import Iterator

import pytest

from portal.engine.http.transport import Transport
from tests.engine.http.real_receivers.send import open_guard
from tests.support import netns
from tests.support.receiver import Receiver


@pytest.fixture
def transport() -> Iterator[Transport]:
    """Yield a transport that may reach this machine."""
    transport = Transport(open_guard())
    yield transport
    transport.close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Yield a well-behaved receiver."""
    with Receiver() as receiver:
        yield receiver


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run tests marked `netns` in their own network namespace, and nowhere else."""
    return netns.run_apart(pyfuncitem)
