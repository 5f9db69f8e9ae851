"""Exchanges that never reached the receiver, so that another sender can try."""

import resource
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from time import monotonic

import pytest

from portal.engine.http.address_guard import AddressGuard
from portal.engine.http.exchange import Exchange
from portal.engine.http.transport import BareProbes, Connected, Transport, prepare
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers import hostile
from tests.engine.http.real_receivers.hostile import HostileServer
from tests.engine.http.real_receivers.send import BODY, HEADERS, drive_all, send
from tests.faults.support.lossy_wire import CLIENTS, FAR, NEAR, lossy_wire
from tests.support.ports import free_port
from tests.support.processes import until
from tests.support.receiver import Receiver

SHORT_PATIENCE = 2.0


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no more files while the block runs."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(file.name) for file in Path("/proc/self/fd").iterdir())
    taken = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    try:
        while True:
            try:
                taken.append(socket.socket())
            except OSError:
                break
        yield
    finally:
        for sock in taken:
            sock.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def told(exchange: Exchange) -> tuple[Reason | None, bool]:
    return exchange.reason, exchange.is_unreached


def test_a_refused_connection_and_an_unknown_name_are_unreached(transport: Transport) -> None:
    assert told(send(transport, f"http://127.0.0.1:{closed_port()}/")) == (Reason.REFUSED, True)
    unknown = send(transport, "http://nobody.invalid/", timeout=8)
    assert told(unknown) == (Reason.DNS, True)


def test_a_receiver_without_tls_is_unreached(transport: Transport, receiver: Receiver) -> None:
    exchange = send(transport, f"https://127.0.0.1:{receiver.port}/")
    assert told(exchange) == (Reason.TLS_OTHER, True)


@pytest.mark.parametrize(
    ("serve", "reason"),
    [
        (hostile.hanging, Reason.READ_TIMEOUT),
        (hostile.resetting, Reason.RESET),
        (hostile.hanging_up, Reason.NO_REPLY),
    ],
)
def test_a_sent_request_is_not_unreached(
    transport: Transport, serve: hostile.Script, reason: Reason
) -> None:
    with HostileServer(serve) as server:
        assert told(send(transport, server.url, timeout=1)) == (reason, False)


def test_responses_and_unusable_requests_are_not_unreached(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.answer(503)
    assert told(send(transport, receiver.url)) == (Reason.UNAVAILABLE, False)
    assert told(send(transport, "ftp://127.0.0.1/")) == (Reason.DNS, False)
    odd = send(transport, receiver.url, headers=(("Bad name", "1"),))
    assert told(odd) == (Reason.BAD_HEADERS, False)
    assert not odd.truncated


def test_a_blocked_name_is_unreached_but_a_blocked_address_is_not(receiver: Receiver) -> None:
    transport = Transport(AddressGuard())
    for host, is_named in (
        ("localhost", True),
        ("127.0.0.1", False),
        ("0x7f.1", False),
        ("2130706433", False),
        ("[::ffff:127.0.0.1]", False),
    ):
        exchange = send(transport, f"http://{host}:{receiver.port}/")
        assert told(exchange) == (Reason.BLOCKED, is_named), host
    transport.close()


def test_running_out_of_file_handles_is_the_senders_failure(
    transport: Transport, receiver: Receiver
) -> None:
    assert told(send(transport, receiver.url)) == (None, False)
    with no_more_files():
        exchange = send(transport, f"http://127.0.0.1:{receiver.port + 1}/")
    assert told(exchange) == (Reason.INTERNAL, True)


def test_without_file_handles_the_portals_port_stays_blocked() -> None:
    guard = AddressGuard([ip_network("0.0.0.0/0")], closed_ports_here=[8000])
    with no_more_files():
        refusals = [guard.refusal("10.9.8.7", port) for port in (8000, 8001)]
    assert refusals == ["10.9.8.7 port 8000 is the portal itself.", None]
    assert guard.refusal("10.9.8.7", 8000) is None


def test_a_slow_response_is_no_connect_failure(transport: Transport, receiver: Receiver) -> None:
    """The request is acknowledged on a new connection and on a reused one."""
    receiver.answer(delay=0.4)
    for _ in range(2):
        transport.start(1, prepare(receiver.url, HEADERS, BODY), timeout=2)
        transport.drive(0.3)
        assert transport.in_flight == 1
        assert transport.unheard(0.2) == []
        drive_all(transport)


def test_requests_waiting_for_a_connection_are_known(
    transport: Transport, receiver: Receiver
) -> None:
    receiver.answer(delay=0.6)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        transport.start("slow", prepare(url, HEADERS, BODY), timeout=2)
        transport.start("quick", prepare(receiver.url, HEADERS, BODY), timeout=2)
        assert transport.unheard(0.2) == []
        transport.drive(0.3)
        assert transport.unheard(0.2) == ["slow"]
        drive_all(transport)
        for one in waiting:
            one.close()
    assert transport.unheard(0.2) == []


@pytest.mark.netns
def test_a_cut_path_is_noticed_in_seconds() -> None:
    port = free_port()
    transport = Transport(AddressGuard([ip_network(CLIENTS)]))
    with lossy_wire(port) as wire, Receiver(host=NEAR, port=port):
        request = prepare(f"http://{FAR}:{port}/", HEADERS, BODY)

        def go() -> tuple[Exchange, float]:
            began = monotonic()
            transport.start(1, request, timeout=20, patience=SHORT_PATIENCE)
            (exchange,) = drive_all(transport, 25)
            return exchange, monotonic() - began

        assert told(go()[0]) == (None, False)
        wire.is_cut = True
        transport.start("early", request, timeout=20, patience=SHORT_PATIENCE)
        transport.drive(0.6)
        assert transport.unheard(0.5) == ["early"], "the request was not acknowledged"
        drive_all(transport, 25)
        wire.is_cut = False
        assert told(go()[0]) == (None, False)
        wire.is_cut = True
        warm, took = go()
        assert told(warm) == (Reason.CONNECT_TIMEOUT, True), warm.detail
        assert warm.phases.again is not None, "the receiver may have read it"
        assert took < 2 * SHORT_PATIENCE + 1.5
        cold, took = go()
        assert told(cold) == (Reason.CONNECT_TIMEOUT, True), cold.detail
        assert took < SHORT_PATIENCE + 1
        assert cold.phases.again is None
        wire.is_cut = False
        assert told(go()[0]) == (None, False)
    transport.close()


@pytest.mark.netns
def test_many_dead_connections_do_not_delay_the_failure() -> None:
    """By default, libcurl would try them one by one and report no reply."""
    for is_told in (False, True):
        port = free_port()
        transport = Transport(AddressGuard([ip_network(CLIENTS)]))
        request = prepare(f"http://{FAR}:{port}/", HEADERS, BODY)
        with lossy_wire(port) as wire, Receiver(host=NEAR, port=port) as receiver:
            receiver.answer(delay=0.2)
            for number in range(6):
                transport.start(number, request, timeout=20, patience=SHORT_PATIENCE)
            assert {exchange.reason for exchange in drive_all(transport)} == {None}
            if is_told:
                receiver.stop()
            else:
                wire.is_cut = True
            began = monotonic()
            transport.start("late", request, timeout=20, patience=SHORT_PATIENCE)
            (late,) = drive_all(transport, 25)
            assert monotonic() - began < 2 * SHORT_PATIENCE + 1.5
            assert told(late) == (Reason.REFUSED if is_told else Reason.CONNECT_TIMEOUT, True)
        transport.close()


def opened(found: dict[str, Connected]) -> set[str]:
    """Return the URLs that could be connected to."""
    return {url for url, result in found.items() if result.is_open}


def test_a_bare_probe_does_not_connect_to_unusable_urls(receiver: Receiver) -> None:
    probes = BareProbes(AddressGuard([ip_network("127.0.0.0/8")]))
    local = f"127.0.0.1:{receiver.port}/"
    odd, good = (f"ftp://{local}", f"http://ana@{local}"), f"http://{local}"
    found = probes.connect([*odd, good], timeout=1)
    assert found == {
        **dict.fromkeys(odd, Connected(is_open=False, address=None)),
        good: Connected(is_open=True, address="127.0.0.1"),
    }
    probes.close()
    assert until(lambda: receiver.connections_seen > 0)
    assert receiver.connections_seen == 1


def test_a_bare_probe_returns_the_address_of_each_name() -> None:
    probes = BareProbes(AddressGuard([ip_network("127.0.0.0/8")]))
    port = closed_port()
    found = probes.connect([f"http://localhost:{port}/", f"http://127.0.0.1:{port}/"], timeout=1)
    assert {each.is_open for each in found.values()} == {False}
    assert {each.address for each in found.values()} <= {"127.0.0.1", "::1"}
    probes.close()


@pytest.mark.netns
def test_a_bare_probe_sends_nothing_and_obeys_the_guard() -> None:
    port = free_port()
    with lossy_wire(port) as wire, Receiver(host=NEAR, port=port) as receiver:
        far, closed = f"http://{FAR}:{port}/", f"http://{NEAR}:{free_port()}/"
        open_to_all = BareProbes(AddressGuard([ip_network(CLIENTS)]))
        assert opened(open_to_all.connect([far, closed], timeout=1)) == {far}
        tls = f"https://{FAR}:{port}/"
        assert opened(open_to_all.connect([tls], timeout=1)) == set(), "nobody speaks TLS there"
        assert opened(BareProbes(AddressGuard()).connect([far], timeout=1)) == set()
        wire.is_cut = True
        began = monotonic()
        found = open_to_all.connect([far, closed], timeout=1)
        assert found[far] == Connected(is_open=False, address=FAR)
        assert opened(found) == set()
        assert monotonic() - began < 2.5
        assert receiver.received == []
