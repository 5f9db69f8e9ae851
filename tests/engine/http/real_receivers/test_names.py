"""Names and private addresses, each test in an isolated network.

The private addresses exist in that network, with a server that would answer. If the guard failed,
the test would see the request arrive.
"""

import time

import pytest

from portal.engine.http.address_guard import AddressGuard
from portal.engine.http.transport import BareProbes, Connected, Transport, prepare
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers.name_server import NameServer
from tests.engine.http.real_receivers.send import drive_all, send
from tests.support.receiver import Receiver

PUBLIC = "93.184.215.14"
PRIVATE = "10.0.0.1"
METADATA = "169.254.169.254"


@pytest.mark.netns(addresses=[PRIVATE], hosts={"erp.example.com": PRIVATE})
def test_a_name_of_a_private_address_is_blocked_and_only_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    transport = Transport(AddressGuard())
    with Receiver(host=PRIVATE) as inside:
        exchange = send(transport, f"http://erp.example.com:{inside.port}/")
    assert exchange.reason is Reason.BLOCKED
    assert PRIVATE not in repr(exchange)
    (line,) = caplog.messages
    assert line == f"Sent nothing to erp.example.com: {PRIVATE} isn’t a public address (private)."
    assert inside.connections_seen == 0


@pytest.mark.netns(addresses=[PUBLIC, METADATA])
def test_a_redirect_to_the_metadata_service_is_not_followed() -> None:
    transport = Transport(AddressGuard())
    target = f"http://{METADATA}/latest/meta-data/"
    with Receiver(host=METADATA, port=80) as metadata, Receiver(host=PUBLIC) as public:
        public.answer(307, headers=[("Location", target)])
        exchange = send(transport, public.url)
        assert (exchange.code, exchange.reason) == (307, Reason.REDIRECT)
        assert exchange.location == target
        assert exchange.peer == f"{PUBLIC}:{public.port}"
        assert send(transport, target).reason is Reason.BLOCKED
    assert metadata.connections_seen == 0


@pytest.mark.netns(addresses=[PUBLIC, PRIVATE])
def test_dns_rebinding_to_a_private_address_is_blocked() -> None:
    with (
        NameServer({"rebind.example.com": [PUBLIC, PRIVATE]}) as names,
        Receiver(host=PUBLIC, port=8080) as public,
        Receiver(host=PRIVATE, port=8080) as inside,
    ):
        first, second = Transport(AddressGuard()), Transport(AddressGuard())
        url = "http://rebind.example.com:8080/"
        assert send(first, url).reason is None
        assert send(second, url).reason is Reason.BLOCKED
        # A lookup is cached for a minute, so there is no second query and no rebinding.
        public.stop()
        public.start()
        assert send(first, url).reason is None
        assert len(names.asked) == 2
    assert inside.connections_seen == 0


@pytest.mark.netns
def test_an_unknown_name_is_a_dns_failure() -> None:
    transport = Transport(AddressGuard())
    with NameServer({}):
        exchange = send(transport, "http://no-such-name.example.com/")
    assert exchange.reason is Reason.DNS
    assert exchange.phases.name_lookup is None


@pytest.mark.netns
def test_without_a_name_server_a_name_is_a_dns_failure() -> None:
    transport = Transport(AddressGuard())
    began = time.monotonic()
    exchange = send(transport, "http://erp.example.com/", timeout=2)
    assert exchange.reason is Reason.DNS
    assert time.monotonic() - began < 10


@pytest.mark.netns
def test_an_address_without_a_route_is_unreachable() -> None:
    exchange = send(Transport(AddressGuard()), "http://93.184.215.14/")
    assert exchange.reason is Reason.UNREACHABLE, exchange.detail


@pytest.mark.netns(addresses=[PUBLIC])
def test_the_portals_port_is_blocked_at_its_public_address_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Receiver(host=PUBLIC) as portal, Receiver(host=PUBLIC) as other:
        transport = Transport(AddressGuard(closed_ports_here=[portal.port]))
        exchange = send(transport, portal.url)
        assert exchange.reason is Reason.BLOCKED
        assert "the portal itself" in caplog.text
        assert "the portal itself" not in exchange.detail
        assert send(transport, other.url).reason is None
    assert portal.connections_seen == 0


HANGING = [f"hang{number}.example.com" for number in range(24)]


@pytest.mark.netns(addresses=[PUBLIC])
def test_24_hanging_lookups_do_not_delay_a_healthy_name() -> None:
    transport = Transport(AddressGuard())
    with (
        NameServer({"erp.example.com": [PUBLIC]}, silent=HANGING),
        Receiver(host=PUBLIC, port=8080),
        Receiver(host=PUBLIC, port=8081),
    ):
        assert send(transport, "http://erp.example.com:8080/").reason is None
        for host in HANGING:
            transport.start(host, prepare(f"http://{host}/", (), b""), timeout=8)
        # One cached address, and one that libcurl has to look up.
        for port in (8080, 8081):
            transport.start(port, prepare(f"http://erp.example.com:{port}/", (), b""), timeout=6)
        ended = drive_all(transport, within=12)
    healthy, hung = ended[:2], ended[2:]
    assert {exchange.key: exchange.reason for exchange in healthy} == {8080: None, 8081: None}
    assert {exchange.reason for exchange in hung} == {Reason.DNS}
    assert len(hung) == len(HANGING)
    transport.close()


@pytest.mark.netns(addresses=[PUBLIC])
def test_abandoned_lookups_leave_threads_for_a_healthy_host(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The resolver waits longer than the requests, so its threads outlive them.
    monkeypatch.setenv("RES_OPTIONS", "timeout:4 attempts:1")
    transport = Transport(AddressGuard())
    with (
        NameServer({"erp.example.com": [PUBLIC]}, silent=HANGING),
        Receiver(host=PUBLIC, port=8080),
        Receiver(host=PUBLIC, port=8081),
    ):
        assert send(transport, "http://erp.example.com:8080/").reason is None
        for batch in (HANGING[:8], HANGING[8:16], HANGING[16:]):
            for host in batch:
                transport.start(host, prepare(f"http://{host}/", (), b""), timeout=0.4)
            assert {exchange.reason for exchange in drive_all(transport)} == {Reason.DNS}
        assert send(transport, "http://erp.example.com:8081/", timeout=2).reason is None


@pytest.mark.netns(addresses=[PUBLIC])
def test_a_burst_to_one_host_looks_its_name_up_once() -> None:
    transport = Transport(AddressGuard())
    with NameServer({"erp.example.com": [PUBLIC]}) as names, Receiver(host=PUBLIC, port=80) as erp:
        for number in range(30):
            transport.start(number, prepare("http://erp.example.com/", (), b""), timeout=5)
        assert transport.in_flight == 30
        ended = drive_all(transport)
    assert [exchange.reason for exchange in ended] == [None] * 30
    assert names.asked == ["erp.example.com"]
    assert len(erp.received) == 30
    transport.close()


@pytest.mark.netns(addresses=[PUBLIC])
def test_a_lookup_dropped_by_abandon_is_not_cached() -> None:
    transport = Transport(AddressGuard())
    url = f"http://{HANGING[0]}/"
    with NameServer({}, silent=HANGING), Receiver(host=PUBLIC) as receiver:
        transport.start("dropped", prepare(url, (), b""), timeout=5)
        assert transport.abandon() == ["dropped"]
        assert send(transport, receiver.url).reason is None
        for number in range(2):
            transport.start(number, prepare(url, (), b""), timeout=0.5)
        # The second request waits for its turn to look the name up. It has no connection either.
        assert set(transport.unheard(0)) == {0, 1}
        drive_all(transport)


@pytest.mark.netns(addresses=[PUBLIC])
def test_aborting_a_hanging_lookup_delays_no_other_request() -> None:
    """Include a request that waits for its turn to look the name up."""
    transport = Transport(AddressGuard())
    request = prepare(f"http://{HANGING[0]}/", (), b"")
    with NameServer({}, silent=HANGING), Receiver(host=PUBLIC) as receiver:
        for number in range(3):
            transport.start(number, request, timeout=20)
        transport.drive(0.1)
        began = time.monotonic()
        assert transport.abort({0, 2}) == set(), "nothing was sent"
        assert set(transport.unheard(0)) == {1}
        assert transport.abort({1}) == set()
        assert send(transport, receiver.url).reason is None
        assert (transport.in_flight, time.monotonic() - began < 3) == (0, True)


@pytest.mark.netns
def test_a_bare_probe_does_not_wait_for_a_silent_resolver(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RES_OPTIONS", "timeout:5 attempts:1")
    probes = BareProbes(AddressGuard())
    with NameServer({}, silent=HANGING):
        began = time.monotonic()
        url = f"http://{HANGING[0]}/"
        assert probes.connect([url], timeout=0.3) == {url: Connected(is_open=False, address=None)}
        assert time.monotonic() - began < 4
    probes.close()


@pytest.mark.netns
def test_requests_waiting_for_a_lookup_do_not_block_and_time_out() -> None:
    transport = Transport(AddressGuard())
    with NameServer({}, silent=HANGING):
        began = time.monotonic()
        for number in range(10):
            transport.start(number, prepare(f"http://{HANGING[1]}/", (), b""), timeout=20)
        for _ in range(100):
            transport.drive(0)
        assert time.monotonic() - began < 3  # drive(0) must not wait
        transport.abandon()
        began = time.monotonic()
        for number in range(3):
            transport.start(number, prepare(f"http://{HANGING[0]}/", (), b""), timeout=0.5)
        ended = drive_all(transport)
    assert [(each.reason, each.is_unreached) for each in ended] == [(Reason.DNS, True)] * 3
    assert time.monotonic() - began < 10
