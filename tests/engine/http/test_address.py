"""The address guard: a table of addresses, and a comparison with Python's own judgment."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.http.address_guard import AddressGuard

# Kind of address → examples.
CLOSED = {
    "unspecified": "0.0.0.0 0.1.2.3 ::",
    "private": "10.0.0.0 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 "
    "192.168.0.1 192.168.255.255 ::ffff:10.0.0.1 fc00::1 fd12:3456::1",
    "shared by a provider's customers": "100.64.0.1 100.127.255.255",
    "loopback": "127.0.0.1 127.1.2.3 ::1 ::ffff:127.0.0.1",
    "internal to a cloud": "168.63.129.16",
    "link-local": "169.254.0.1 169.254.169.254 fe80::1 fe80::1%eth0",
    "reserved": "192.0.0.1 192.0.0.9 240.0.0.1 255.255.255.255 2001::1 2001:1::1",
    "for documentation only": "192.0.2.1 198.51.100.1 203.0.113.1 2001:db8::1 3fff::1",
    "an IPv6 relay": "192.88.99.1",
    "for measurements only": "198.18.0.1 198.19.255.255",
    "multicast": "224.0.0.1 239.255.255.255 ff02::1 ff0e::1",
    "an embedded IPv4": "::7f00:1 ::ffff:0:127.0.0.1 64:ff9b::7f00:1 "
    "64:ff9b::808:808 64:ff9b:1::1 2002:7f00:1:: 2002:808:808::",
    "discard-only": "100::1",
    "segment routing": "5f00::1",
    "site-local": "fec0::1",
}

OPEN = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "168.63.129.15",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.167.255.255",
    "193.0.0.1",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "2001:200::1",
    "2003::1",
    "::ffff:8.8.8.8",
]


def test_a_non_public_address_is_refused_with_its_kind() -> None:
    for address, kind in ((part, kind) for kind, text in CLOSED.items() for part in text.split()):
        read = ip_address(address.partition("%")[0])
        shown = getattr(read, "ipv4_mapped", None) or read
        refusal = AddressGuard().refusal(address, 443)
        assert refusal == f"{shown} isn’t a public address ({kind})."


def test_a_public_address_is_allowed() -> None:
    for address in OPEN:
        assert AddressGuard().refusal(address, 443) is None


ANY_ADDRESS = st.one_of(
    st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)
)


@given(ANY_ADDRESS)
def test_no_address_that_python_calls_special_is_allowed(ip: IPv4Address | IPv6Address) -> None:
    if AddressGuard().refusal(str(ip), 443) is None:
        judged = getattr(ip, "ipv4_mapped", None) or ip
        assert judged.is_global
        assert not judged.is_multicast


@given(st.integers(0, 2**32 - 1).map(IPv4Address))
def test_a_mapped_address_is_judged_like_its_ipv4_address(ip: IPv4Address) -> None:
    guard = AddressGuard([ip_network("10.0.0.0/8")])
    mapped = f"::ffff:{ip}"
    assert (guard.refusal(str(ip), 80) is None) == (guard.refusal(mapped, 80) is None)


def test_exactly_the_allowed_networks_are_open() -> None:
    guard = AddressGuard([ip_network("10.1.0.0/16"), ip_network("fd00::/8")])
    assert guard.refusal("10.1.2.3", 80) is None
    assert guard.refusal("::ffff:10.1.2.3", 80) is None
    assert guard.refusal("fd00::1", 80) is None
    assert guard.refusal("10.2.0.1", 80) is not None
    assert guard.refusal("fe80::1", 80) is not None


def test_redis_and_the_database_stay_closed_in_an_allowed_network() -> None:
    guard = AddressGuard([ip_network("10.0.0.0/8")], closed=[("10.0.0.5", 6379)])
    closed = "10.0.0.5 port 6379 is one of the portal’s own services."
    assert guard.refusal("10.0.0.5", 6379) == closed
    assert guard.refusal("::ffff:10.0.0.5", 6379) == closed
    assert guard.refusal("10.0.0.5", 6379, opens=("10.0.0.5", 6379)) == closed
    assert guard.refusal("10.0.0.5", 80) is None
    assert guard.refusal("10.0.0.6", 6379) is None


def test_a_service_on_this_machine_is_closed_on_all_its_addresses() -> None:
    guard = AddressGuard([ip_network("127.0.0.0/8")], closed=[("127.0.0.1", 6379)])
    assert guard.refusal("127.0.0.2", 6379) is not None
    assert guard.refusal("127.0.0.2", 6380) is None


class Names:
    """A resolver that knows one name, and a clock."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.now = self.asked = 0.0

    def look_up(self, host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        self.asked += 1
        if self.address is None:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self.address, port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names()
    monkeypatch.setattr(socket, "getaddrinfo", made.look_up)
    return made


def test_a_service_is_closed_at_its_current_and_past_addresses(
    names: Names,
) -> None:
    allowed, services = [ip_network("10.0.0.0/8")], [("database", 5432)]
    guard = AddressGuard(allowed, services, clock=lambda: names.now)
    names.address = "10.0.0.5"
    assert guard.refusal("10.0.0.5", 5432) is not None
    assert guard.refusal("10.0.0.6", 5432) is None
    names.now, names.address = 30.0, "10.0.0.6"
    assert guard.refusal("10.0.0.6", 5432) is not None
    names.now, names.address = 60.0, None
    for address in ("10.0.0.5", "10.0.0.6"):
        assert guard.refusal(address, 5432) is not None
    assert guard.refusal("10.0.0.7", 5432) is None


def test_the_port_of_an_unresolved_service_is_closed_until_it_resolves(
    names: Names,
) -> None:
    guard = AddressGuard([], [("database", 5432)], clock=lambda: names.now)
    refusal = guard.refusal("8.8.8.8", 5432) or ""
    assert refusal.startswith("8.8.8.8 port 5432 might be one of the portal’s own services, ")
    names.now, names.address = 30.0, "10.0.0.5"
    assert guard.refusal("8.8.8.8", 5432) is None


def test_service_names_are_looked_up_only_for_their_ports_and_cached(
    names: Names,
) -> None:
    guard = AddressGuard([], [("database", 5432)], clock=lambda: names.now)
    assert guard.refusal("8.8.8.8", 443) is None
    assert names.asked == 0
    for _ in range(3):
        guard.refusal("8.8.8.8", 5432)
    assert names.asked == 1


def own_address() -> str:
    """Return a non-loopback address of this machine, or else loopback. Sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def test_the_portals_own_port_is_closed_on_every_address_of_this_machine() -> None:
    everything = [ip_network("0.0.0.0/0"), ip_network("::/0")]
    guard = AddressGuard(everything, closed_ports_here=[8000])
    for address in ("127.0.0.1", "127.9.9.9", "::", "::1", "::ffff:127.0.0.1", own_address()):
        refusal = guard.refusal(address, 8000) or ""
        assert refusal.endswith(" port 8000 is the portal itself."), address
        assert guard.refusal(address, 8001) is None, address
    assert guard.refusal("8.8.8.8", 8000) is None


def test_the_inbox_is_open_at_one_address_and_port() -> None:
    guard = AddressGuard(closed_ports_here=[8000])
    inbox = ("127.0.0.1", 8000)
    assert guard.refusal("127.0.0.1", 8000, opens=inbox) is None
    assert guard.refusal("127.0.0.1", 8000) is not None
    assert guard.refusal("127.0.0.2", 8000, opens=inbox) is not None
    assert guard.refusal("127.0.0.1", 8001, opens=inbox) is not None
    assert guard.refusal("::1", 8000, opens=inbox) is not None


def test_text_that_is_no_address_is_refused() -> None:
    for address in ("", "example.com", "1.2.3", "0x7f000001", "::1::"):
        words = "The DNS resolver didn’t return an IP address."
        assert AddressGuard().refusal(address, 80) == words, address


ISATAP = ["2a00:1450:4001::5efe:10.0.0.1", "2a00:1450:4001::200:5efe:8.8.8.8"]


def test_an_isatap_address_is_refused() -> None:
    for address in ISATAP:
        refusal = AddressGuard().refusal(address, 443) or ""
        assert refusal.endswith(" isn’t a public address (an embedded IPv4)."), address
        assert AddressGuard([ip_network(address)]).refusal(address, 443) is None, address


# (allowed prefix, translated private address in it, translated public address in it)
TRANSLATORS = [
    ("64:ff9b::/96", "64:ff9b::10.0.0.1", "64:ff9b::8.8.8.8"),
    ("64:ff9b::/32", "64:ff9b::169.254.169.254", "64:ff9b::8.8.8.8"),
    ("64:ff9b:1:7::/96", "64:ff9b:1:7::10.0.0.1", "64:ff9b:1:7::8.8.8.8"),
    ("64:ff9b:1:7::/64", "64:ff9b:1:7:a:0:100::", "64:ff9b:1:7:8:808:800::"),
    ("64:ff9b:1:700::/56", "64:ff9b:1:70a:0:1::", "64:ff9b:1:708:8:808::"),
    ("64:ff9b:1::/48", "64:ff9b:1:a00:0:100::", "64:ff9b:1:808:8:800::"),
]


def test_a_translated_private_address_is_closed_in_an_allowed_prefix() -> None:
    for prefix, inside, outside in TRANSLATORS:
        guard = AddressGuard([ip_network(prefix)])
        assert guard.refusal(inside, 443) is not None, prefix
        assert guard.refusal(outside, 443) is None, prefix
        both = AddressGuard(
            [ip_network(prefix), ip_network("10.0.0.0/8"), ip_network("169.254.0.0/16")]
        )
        assert both.refusal(inside, 443) is None, prefix


def test_every_reading_of_an_ambiguous_translated_address_must_be_public() -> None:
    guard = AddressGuard([ip_network("::/0")])
    assert guard.refusal("64:ff9b:1::10.0.0.1", 443) is not None
    assert guard.refusal("64:ff9b:1:a00:0:100::", 443) is not None
    assert guard.refusal("64:ff9b:1:808:8:808:808:808", 443) is None


def test_a_translated_network_can_be_opened_by_itself() -> None:
    guard = AddressGuard([ip_network("64:ff9b::a00:0/104")])
    assert guard.refusal("64:ff9b::10.0.0.1", 443) is None
    assert guard.refusal("64:ff9b::172.16.0.1", 443) is not None


def test_services_are_closed_at_their_translated_addresses_too() -> None:
    allowed = [ip_network("64:ff9b::/96"), ip_network("10.0.0.0/8"), ip_network("127.0.0.0/8")]
    guard = AddressGuard(allowed, [("10.0.0.5", 6379)], [8000])
    assert guard.refusal("64:ff9b::10.0.0.5", 6379) is not None
    assert guard.refusal("64:ff9b::127.0.0.1", 8000) is not None
    assert guard.refusal("64:ff9b::10.0.0.5", 443) is None


def test_a_denied_network_is_closed_even_if_public_or_allowed() -> None:
    denied = [ip_network("8.8.0.0/16"), ip_network("10.1.0.0/16"), ip_network("2a00:1450::/32")]
    allowed = [ip_network("10.0.0.0/8"), ip_network("8.8.8.0/24"), ip_network("64:ff9b::/96")]
    guard = AddressGuard(allowed, denied=denied)
    for address in ("8.8.8.8", "10.1.2.3", "::ffff:10.1.2.3", "64:ff9b::8.8.8.8", "2a00:1450::1"):
        refusal = guard.refusal(address, 443) or ""
        assert refusal.endswith(" is in WEBHOOK_DENIED_NETWORKS."), address
    for address in ("8.9.8.8", "10.2.2.3", "64:ff9b::8.9.8.8"):
        assert guard.refusal(address, 443) is None, address
    assert guard.refusal("10.1.2.3", 8000, opens=("10.1.2.3", 8000)) is None


def test_with_a_port_list_only_those_ports_and_the_inbox_are_open() -> None:
    guard = AddressGuard([ip_network("10.0.0.0/8")], ports=[443, 8443])
    assert guard.refusal("8.8.8.8", 443) is None
    assert guard.refusal("10.0.0.1", 8443) is None
    refusal = "8.8.8.8 port 80 isn’t in WEBHOOK_ALLOWED_PORTS."
    assert guard.refusal("8.8.8.8", 80) == refusal
    assert guard.refusal("127.0.0.1", 8000, opens=("127.0.0.1", 8000)) is None


def test_an_iterator_of_ports_works_more_than_once() -> None:
    guard = AddressGuard(ports=iter([443, 8443]))
    for address in ("8.8.8.8", "1.1.1.1"):
        assert guard.refusal(address, 8443) is None
        assert guard.refusal(address, 443) is None
