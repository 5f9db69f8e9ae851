"""The sockets that are watched for libcurl."""

import socket
from collections.abc import Iterator

import pycurl
import pytest

from portal.engine.http.sockets import Sockets

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def sockets() -> Iterator[Sockets]:
    made = Sockets()
    yield made
    made.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_who_has_something_to_read_is_ready(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.note(pycurl.POLL_IN, ours.fileno())
    assert sockets.ready(0) == []
    theirs.send(b"x")
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_who_can_be_written_to_is_ready(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.note(pycurl.POLL_INOUT, ours.fileno())
    theirs.send(b"x")
    both = pycurl.CSELECT_IN | pycurl.CSELECT_OUT
    assert sockets.ready(1) == [(ours.fileno(), both)]
    sockets.note(pycurl.POLL_IN, ours.fileno())
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_one_that_rests_is_nobodys_business_also_when_the_other_side_hangs_up(
    sockets: Sockets, pair: Pair
) -> None:
    ours, theirs = pair
    sockets.note(pycurl.POLL_IN, ours.fileno())
    sockets.note(pycurl.POLL_REMOVE, ours.fileno())
    theirs.close()
    assert sockets.ready(0.05) == []
    sockets.note(pycurl.POLL_IN, ours.fileno())
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_one_that_rested_is_watched_again(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.note(pycurl.POLL_IN, ours.fileno())
    sockets.note(pycurl.POLL_REMOVE, ours.fileno())
    sockets.note(pycurl.POLL_IN, ours.fileno())
    theirs.send(b"x")
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_who_gets_the_number_of_one_that_was_closed_is_watched_as_well(sockets: Sockets) -> None:
    """Also for the same thing, which could be taken for what is registered already."""
    first, other = socket.socketpair()
    number = first.fileno()
    sockets.note(pycurl.POLL_IN, number)
    sockets.note(pycurl.POLL_REMOVE, number)
    first.close()
    other.close()
    second, theirs = socket.socketpair()
    with second, theirs:
        assert second.fileno() == number, "the system gives out the lowest free number"
        sockets.note(pycurl.POLL_IN, number)
        theirs.send(b"x")
        assert sockets.ready(1) == [(number, pycurl.CSELECT_IN)]


def test_one_that_is_watched_no_more_has_not_rung(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.watch(ours.fileno())
    theirs.send(b"x")
    assert sockets.ready(1) == []
    assert sockets.rung == {ours.fileno()}
    sockets.unwatch(ours.fileno())
    assert sockets.rung == set()
    assert not sockets.is_watching
    sockets.watch(ours.fileno())  # its number may be another's by then
