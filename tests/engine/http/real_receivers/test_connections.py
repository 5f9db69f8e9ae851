"""Connections: failures before a request is sent, reuse, and isolation."""

import errno
import gc
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import certifi
import pycurl
import pytest

from portal.engine.http import name_lookups
from portal.engine.http.address_guard import AddressGuard
from portal.engine.http.curl_handle import Acknowledgements, CurlHandle, Order, Sockets
from portal.engine.http.transport import Phases, Transport
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers import hostile
from tests.engine.http.real_receivers.hostile import MEGABYTE, OK_HEAD, HostileServer, Visit
from tests.engine.http.real_receivers.send import (
    BODY,
    HEADERS,
    LOOPBACK,
    drive_all,
    open_guard,
    prepare,
    send,
)
from tests.support.receiver import Receiver


def test_a_stopped_server_refuses_until_it_is_back(
    transport: Transport, receiver: Receiver
) -> None:
    assert send(transport, receiver.url).reason is None
    receiver.stop()
    exchange = send(transport, receiver.url)
    assert exchange.reason is Reason.REFUSED
    assert exchange.phases.connect is None
    receiver.start()
    assert send(transport, receiver.url).reason is None


def test_a_full_backlog_is_a_connect_timeout(transport: Transport) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            assert one.connect_ex(address) == errno.EINPROGRESS
        exchange = send(transport, f"http://127.0.0.1:{address[1]}/", timeout=1)
        for one in waiting:
            one.close()
    assert exchange.reason is Reason.CONNECT_TIMEOUT, exchange.detail
    assert exchange.phases.name_lookup is not None


def test_phases_never_decrease_and_the_peer_is_named(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.answer(delay=0.1)
    exchange = send(transport, receiver.url)
    phases = exchange.phases
    assert phases.name_lookup is not None
    assert phases.connect is not None
    assert phases.first_byte is not None
    assert phases.total is not None
    assert 0 < phases.name_lookup <= phases.connect < phases.first_byte <= phases.total
    assert phases.first_byte >= 0.09
    assert phases.tls is None
    assert exchange.peer == f"127.0.0.1:{receiver.port}"
    again = send(transport, receiver.url).phases  # over the connection that is open
    assert again.first_byte is not None
    assert again.total is not None
    assert 0.09 <= again.first_byte <= again.total
    assert again == Phases(first_byte=again.first_byte, total=again.total)


def test_a_connection_is_kept_open_for_the_next_request(
    transport: Transport, receiver: Receiver
) -> None:
    exchanges = [send(transport, receiver.url) for _ in range(5)]
    assert receiver.connections_seen == 1
    assert [e.reused_connection for e in exchanges] == [False, True, True, True, True]
    assert {e.peer for e in exchanges} == {f"127.0.0.1:{receiver.port}"}


def test_a_stale_connection_causes_no_failure(transport: Transport) -> None:
    with HostileServer(hostile.answering_once_then_closing) as server:
        for _ in range(5):
            assert send(transport, server.url).reason is None
            time.sleep(0.02)
        assert server.visits == 5


def test_a_request_on_a_dying_connection_is_sent_again_and_reported(
    transport: Transport,
) -> None:
    """libcurl resends by itself, so counts of requests and attempts can differ."""
    with HostileServer(hostile.answering_once_then_hanging_up_on_the_next) as server:
        first, second = (send(transport, server.url) for _ in range(2))
        assert (first.reason, second.reason) == (None, None), second.detail
        assert first.phases.again is None
        assert second.phases.again is not None
        assert second.phases.total is not None
        assert 0 < second.phases.again <= second.phases.total
        assert server.visits == 2


def test_a_resent_request_that_is_refused_reports_the_resend(
    transport: Transport,
) -> None:
    def leaving_with_the_second(visit: Visit) -> None:
        visit.read_request()
        visit.send(OK_HEAD + b"Content-Length: 0\r\n\r\n")
        visit.read_request()
        server.stop_listening()

    with HostileServer(leaving_with_the_second) as server:
        assert send(transport, server.url).reason is None
        exchange = send(transport, server.url)
    assert (exchange.reason, exchange.is_unreached) == (Reason.REFUSED, True)
    assert exchange.phases.again is not None
    assert exchange.phases.total is not None
    assert 0 < exchange.phases.again <= exchange.phases.total


def test_a_server_that_never_starts_tls_ends_by_the_connect_patience(
    transport: Transport,
) -> None:
    with HostileServer(hostile.silent) as server:
        url = server.url.replace("http:", "https:")
        transport.start(1, prepare(url, HEADERS, BODY), timeout=60, patience=0.2)
        (exchange,) = drive_all(transport)
    assert exchange.reason is Reason.TLS_OTHER


def test_a_request_that_kills_its_connections_is_sent_at_most_twice(
    transport: Transport,
) -> None:
    """By default, libcurl would try six of its open connections."""
    poison, requests = b"poison", list[bytes]()

    def dying_of_poison(visit: Visit) -> None:
        while True:
            requests.append(visit.read_request())
            if poison in requests[-1]:
                return visit.reset()
            visit.send(OK_HEAD + b"Content-Length: 0\r\n\r\n")

    with HostileServer(dying_of_poison) as server:
        for number in range(8):
            transport.start(number, prepare(server.url, (), BODY), timeout=2)
        assert {other.reason for other in drive_all(transport)} == {None}
        exchange = send(transport, server.url, body=poison)
    assert exchange.reason is Reason.RESET
    assert exchange.phases.again is not None
    assert sum(poison in request for request in requests) == 2


def test_a_private_address_is_blocked_before_connecting(
    receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    transport = Transport(AddressGuard())
    for host in ("127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"):
        exchange = send(transport, f"http://{host}:{receiver.port}/")
        assert exchange.reason is Reason.BLOCKED, (host, exchange.detail)
        assert "isn’t allowed to connect" in exchange.detail
        assert "isn’t a public address" in caplog.messages[-1]
        assert exchange.peer is None
    transport.close()
    assert receiver.connections_seen == 0


def test_an_inbox_connection_is_never_reused_by_another_webhook(receiver: Receiver) -> None:
    guard = AddressGuard([LOOPBACK], closed_ports_here=[receiver.port])
    transport = Transport(guard)
    inbox = ("127.0.0.1", receiver.port)
    assert send(transport, receiver.url, opens=inbox).reason is None
    for url in (receiver.url, f"http://127.0.0.2:{receiver.port}/"):
        exchange = send(transport, url)
        assert (exchange.reason, exchange.peer) == (Reason.BLOCKED, None)
    assert send(transport, receiver.url, opens=inbox).reason is None
    transport.close()
    assert len(receiver.received) == 2


def test_the_inbox_opens_no_other_port(receiver: Receiver) -> None:
    transport = Transport(AddressGuard())
    exchange = send(transport, receiver.url, opens=("127.0.0.1", receiver.port + 1))
    assert exchange.reason is Reason.BLOCKED
    transport.close()
    assert receiver.connections_seen == 0


def test_proxy_variables_and_netrc_are_ignored(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1/")
    (tmp_path / ".netrc").write_text("default login ours password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    transport = Transport(open_guard())
    assert send(transport, receiver.url).reason is None
    transport.close()
    assert receiver.received[0].header("Authorization") is None


def test_cookies_are_not_kept(transport: Transport, receiver: Receiver) -> None:
    receiver.answer(headers=[("Set-Cookie", "session=1; Path=/")])
    send(transport, receiver.url)
    send(transport, receiver.url)
    assert all(received.header("Cookie") is None for received in receiver.received)


def test_hanging_receivers_do_not_delay_the_others(
    transport: Transport, receiver: Receiver
) -> None:
    with HostileServer(hostile.hanging) as hanging:
        for number in range(20):
            transport.start(("slow", number), prepare(hanging.url, (), BODY), timeout=2.5)
        for number in range(100):
            transport.start(("quick", number), prepare(receiver.url, (), BODY), timeout=10)
        exchanges = drive_all(transport)
    quick = [e for e in exchanges if e.key[0] == "quick"]
    assert exchanges[:100] == quick
    assert all(e.reason is None for e in quick)
    assert all(e.reason is Reason.READ_TIMEOUT for e in exchanges[100:])


def test_five_hundred_concurrent_requests_all_arrive(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.answer(delay=0.05)
    for number in range(500):
        transport.start(number, prepare(receiver.url, (), b"%d" % number), timeout=10)
    assert (transport.in_flight, transport.free) == (500, 12)
    exchanges = drive_all(transport)
    assert sorted(exchange.key for exchange in exchanges) == list(range(500))
    assert all(exchange.reason is None for exchange in exchanges)
    assert sorted(int(r.body) for r in receiver.received) == list(range(500))
    assert (transport.in_flight, transport.free) == (0, 512)


@pytest.mark.parametrize("known_for", [60.0, 0.0])
def test_requests_to_a_resolved_name_run_concurrently(
    transport: Transport, monkeypatch: pytest.MonkeyPatch, known_for: float
) -> None:
    """The address is cached, or a connection is open or being opened."""
    monkeypatch.setattr(name_lookups, "_KNOWN_FOR", known_for)
    together, have_met, requests = threading.Barrier(2), list[int](), list[bytes]()

    def waiting_for_the_other(visit: Visit) -> None:
        while True:
            requests.append(visit.read_request())
            if len(requests) > 1:
                with suppress(threading.BrokenBarrierError):
                    have_met.append(together.wait(5))
            visit.send(OK_HEAD + b"Content-Length: 0\r\n\r\n")

    with HostileServer(waiting_for_the_other) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        assert send(transport, url).reason is None
        for number in range(2):
            transport.start(number, prepare(url, (), BODY), timeout=10)
        assert [each.reason for each in drive_all(transport)] == [None, None]
    assert sorted(have_met) == [0, 1]


def test_drive_respects_its_limit_and_uses_no_cpu_while_waiting(
    transport: Transport,
) -> None:
    began = time.monotonic()
    assert transport.drive(5) == []
    with HostileServer(hostile.hanging) as server:
        transport.start(1, prepare(server.url, (), BODY), timeout=20)
        assert transport.drive(0) == []
        assert transport.drive(0.2) == []
        assert 0.2 <= time.monotonic() - began < 4
        computed = []
        for _ in range(3):  # the garbage collector can run during one of them
            before = time.thread_time()
            assert transport.drive(0.1) == []
            computed.append(time.thread_time() - before)
        assert min(computed) < 0.005
        assert transport.abandon() == [1]
    assert transport.in_flight == 0


def test_abandoned_requests_leave_nothing_behind(transport: Transport, receiver: Receiver) -> None:
    with HostileServer(hostile.dripping(OK_HEAD, b"X: 1\r\n")) as server:
        for number in range(5):
            transport.start(number, prepare(server.url, (), BODY), timeout=20)
        transport.drive(0.2)
        transport.start(5, prepare("ftp://127.0.0.1/", (), BODY), timeout=20)  # ends at once
        assert sorted(transport.abandon()) == [0, 1, 2, 3, 4, 5]
        assert transport.in_flight == 0
    exchange = send(transport, receiver.url)
    assert exchange.reason is None
    assert exchange.header("X") is None


def test_no_more_than_max_in_flight_requests_can_start(receiver: Receiver) -> None:
    transport = Transport(open_guard(), max_in_flight=1)
    transport.start(1, prepare(receiver.url, (), BODY), timeout=1)
    with pytest.raises(RuntimeError, match="slots are in use"):
        transport.start(2, prepare(receiver.url, (), BODY), timeout=1)
    transport.close()


def test_a_request_past_its_deadline_ends_at_once() -> None:
    handle = CurlHandle(open_guard(), certifi.where())
    with HostileServer(hostile.silent) as server:
        request = prepare(server.url, HEADERS, BODY)
        lines = [f"{name}: {value}" for name, value in HEADERS]
        order = Order(
            "late", request, server.url, lines, time.monotonic() - 9, 2.0, None, False, 2.0
        )
        handle.load(order, waited=9.0)
        with pytest.raises(pycurl.error) as ended:
            handle.curl.perform()
    assert ended.value.args[0] == pycurl.E_OPERATION_TIMEDOUT
    handle.curl.close()


def test_a_closed_transport_watches_no_sockets(receiver: Receiver) -> None:
    gc.collect()  # garbage of earlier tests
    before = watching()
    transport = Transport(open_guard())
    assert send(transport, receiver.url).reason is None
    assert watching() == before + 1
    transport.close()
    assert watching() == before


def watching() -> int:
    """Count the open epoll handles of this process."""
    files = Path("/proc/self/fd").iterdir()
    return sum(link.is_symlink() and "eventpoll" in str(link.readlink()) for link in files)


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


def test_a_socket_with_data_is_ready(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.note(pycurl.POLL_IN, ours.fileno())
    assert sockets.ready(0) == []
    theirs.send(b"x")
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_a_writable_socket_is_ready(sockets: Sockets, pair: Pair) -> None:
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


def test_a_removed_socket_is_not_reported_after_a_hangup(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.note(pycurl.POLL_IN, ours.fileno())
    sockets.note(pycurl.POLL_REMOVE, ours.fileno())
    theirs.close()
    assert sockets.ready(0.05) == []
    sockets.note(pycurl.POLL_IN, ours.fileno())
    assert sockets.ready(1) == [(ours.fileno(), pycurl.CSELECT_IN)]


def test_a_new_socket_with_a_reused_descriptor_is_watched(sockets: Sockets) -> None:
    """The same event mask could be mistaken for the old registration."""
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


def test_an_unwatched_socket_is_not_readable(sockets: Sockets, pair: Pair) -> None:
    ours, theirs = pair
    sockets.watch(ours.fileno())
    theirs.send(b"x")
    assert sockets.ready(1) == []
    assert sockets.readable == {ours.fileno()}
    sockets.unwatch(ours.fileno())
    assert sockets.readable == set()
    assert not sockets.is_watching
    sockets.watch(ours.fileno())  # its number can belong to another socket by then


def test_a_closed_socket_can_be_unwatched_later(sockets: Sockets, pair: Pair) -> None:
    ours, _ = pair
    number = ours.fileno()
    sockets.watch(number)
    ours.close()
    sockets.unwatch(number)
    assert not sockets.is_watching


@pytest.fixture(params=["127.0.0.1", "::1"])
def unheard(request: pytest.FixtureRequest) -> Iterator[list[socket.socket]]:
    """Yield sockets that connect to a full backlog, so that nothing acknowledges them."""
    is_of_ipv6 = ":" in request.param
    if is_of_ipv6 and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    family = socket.AF_INET6 if is_of_ipv6 else socket.AF_INET
    with socket.socket(family) as full:
        full.bind((request.param, 0))
        full.listen(0)
        made = [socket.socket(family) for _ in range(6)]
        for sock in made:
            sock.setblocking(False)
            sock.connect_ex(full.getsockname())
        yield made[3:]
        for sock in made:
            sock.close()


def test_missing_acknowledgments_of_the_latest_sockets_are_known(
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
    with socket.socket(fileno=os.dup2(unheard[0].fileno(), number)):  # reuses the number
        assert not known.is_missing(places[1])
    assert known.is_missing(places[2])


def test_received_data_is_acknowledged() -> None:
    known = Acknowledgements(2)
    server = socket.create_server(("127.0.0.1", 0))
    ours = socket.create_connection(server.getsockname())
    with server, ours, server.accept()[0] as theirs:
        known.note(ours.getsockname(), ours.fileno())
        ours.send(b"x")
        theirs.recv(1)
        assert not known.is_missing(ours.getsockname())


ROUNDS, POSTS_AT_ONCE = 10, 50


def resident_bytes() -> int:
    """Return the resident memory of this process in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def test_five_hundred_hostile_responses_do_not_leak_memory(transport: Transport) -> None:
    body = hostile.pouring(OK_HEAD + b"\r\n", b"x" * MEGABYTE, 3)
    heads = hostile.pouring(OK_HEAD, b"X: " + b"y" * 1000 + b"\r\n", 200)
    with HostileServer(body) as large, HostileServer(heads) as endless:
        sizes = []
        for _ in range(ROUNDS):
            for number in range(POSTS_AT_ONCE):
                url = (large, endless)[number % 2].url
                transport.start(number, prepare(url, (), BODY), timeout=10)
            drive_all(transport, within=20)
            sizes.append(resident_bytes())
    assert sizes[-1] - sizes[0] < 20 * MEGABYTE, sizes


def handles() -> int:
    return sum(isinstance(each, CurlHandle) for each in gc.get_objects())


def test_sequential_requests_use_one_curl_handle(transport: Transport, receiver: Receiver) -> None:
    gc.collect()  # garbage of earlier tests
    before = handles()
    for _ in range(3):
        assert send(transport, receiver.url).reason is None
    assert handles() == before + 1
