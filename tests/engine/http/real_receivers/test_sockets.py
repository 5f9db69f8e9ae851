"""The sockets that are watched for libcurl."""

import os
import socket
from collections.abc import Iterator

import pycurl
import pytest

from portal.engine.http.curl_handle import Acknowledgements, Sockets

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
    sockets.note(pycurl.POLL_OUT, ours.fileno())
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_OUT)]
    sockets.note(pycurl.POLL_INOUT, ours.fileno())
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_OUT)]
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


def test_one_that_is_watched_no_more_is_not_readable(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.watch(ours.fileno())
    theirs.send(b"x")
    assert sockets.ready(1) == []
    assert sockets.readable == {ours.fileno()}
    sockets.unwatch(ours.fileno())
    assert sockets.readable == set()
    assert not sockets.is_watching
    sockets.watch(ours.fileno())  # its number may be another's by then


def test_one_that_is_closed_may_be_unwatched_later(sockets: Sockets, pair: Pair) -> None:
    ours, _ = pair
    number = ours.fileno()
    sockets.watch(number)
    ours.close()
    sockets.unwatch(number)
    assert not sockets.is_watching


@pytest.fixture(params=["127.0.0.1", "::1"])
def unheard(request: pytest.FixtureRequest) -> Iterator[list[socket.socket]]:
    """Sockets that knock at somebody who has no room: nothing acknowledges that."""
    is_of_ipv6 = ":" in request.param
    if is_of_ipv6 and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    family = socket.AF_INET6 if is_of_ipv6 else socket.AF_INET
    with socket.socket(family) as full:
        full.bind((request.param, 0))
        full.listen(0)
        made = [socket.socket(family) for _ in range(6)]
        for each in made:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        yield made[3:]
        for each in made:
            each.close()


def test_it_is_known_of_the_latest_sockets_whether_an_acknowledgement_is_missing(
    unheard: list[socket.socket],
) -> None:
    known = Acknowledgements(2)
    places = [each.getsockname()[:2] for each in unheard]
    for place, each in zip(places, unheard, strict=True):
        known.note(place, each.fileno())
    assert [known.is_missing(each) for each in places] == [False, True, True]
    assert not known.is_missing(None)
    number = unheard[1].fileno()
    unheard[1].close()
    assert not known.is_missing(places[1])
    with socket.socket(fileno=os.dup2(unheard[0].fileno(), number)):  # which has the number now
        assert not known.is_missing(places[1])
    assert known.is_missing(places[2])


def test_what_has_arrived_is_acknowledged() -> None:
    known = Acknowledgements(2)
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    with server, ours, server.accept()[0] as theirs:
        known.note(ours.getsockname(), ours.fileno())
        ours.send(b"x")
        theirs.recv(1)
        assert not known.is_missing(ours.getsockname())
