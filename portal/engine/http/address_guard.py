"""May we connect to this address? Judged on the connected address, never on the name."""

import errno
import socket
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from portal.engine.http.url import AddressError, check_url, host_of

__all__ = ["AddressError", "AddressGuard", "IPAddress", "IPNetwork", "check_url", "host_of"]

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# The special-purpose registries of IANA (RFC 6890 and its updates), and what lies beyond them.
_CLOSED_NETWORKS: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers"),
        ("127.0.0.0/8", "loopback"),
        # A cloud's own service to its machines, at an address that looks public.
        ("168.63.129.16/32", "internal to a cloud"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation only"),
        ("192.88.99.0/24", "an IPv6 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for measurements only"),
        ("198.51.100.0/24", "for documentation only"),
        ("203.0.113.0/24", "for documentation only"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        # Everything that carries an IPv4 address inside could reach a closed one.
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "an embedded IPv4"),
        ("::ffff:0:0:0/96", "an embedded IPv4"),
        ("64:ff9b::/96", "an embedded IPv4"),
        ("64:ff9b:1::/48", "an embedded IPv4"),
        ("100::/64", "discard-only"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation only"),
        ("2002::/16", "an embedded IPv4"),
        ("3fff::/20", "for documentation only"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)


class AddressGuard:
    """Decides about one address and port at a time; frozen, and cheap enough for every request.

    `allowed` opens exactly the networks it lists. `closed` pairs (Redis, the database) stay shut
    whatever is allowed; where such an address is this machine's own, its port is shut on all of
    them. `closed_ports_here` are the portal's own ports, shut on every address of this machine.
    """

    __slots__ = ("_allowed", "_closed", "_ports_here")

    def __init__(
        self,
        allowed: Iterable[IPNetwork] = (),
        closed: Iterable[tuple[IPAddress, int]] = (),
        closed_ports_here: Iterable[int] = (),
    ) -> None:
        self._allowed = tuple(allowed)
        self._closed = frozenset((_plain(address), port) for address, port in closed)
        # A server bound to every address answers on 127.0.0.2 as well as on 127.0.0.1.
        own = {port for address, port in self._closed if _is_this_machine(address)}
        self._ports_here = frozenset(closed_ports_here) | own

    def refusal(
        self, address: str, port: int, *, opens: tuple[str, int] | None = None
    ) -> str | None:
        """Why we may not connect, as a short technical sentence; None when we may.

        `opens` is one exact address and port that is open for this request alone: the portal's
        own inbox. It opens neither a `closed` pair nor anything beside itself.
        """
        ip = _parsed(address)
        if ip is None:
            return "The resolver returned something that is not an IP address."
        if (ip, port) in self._closed:
            return f"{ip} port {port} is one of the portal's own services."
        if opens is not None and port == opens[1] and ip == _parsed(opens[0]):
            return None
        if port in self._ports_here and _is_this_machine(ip):
            return f"{ip} port {port} is the portal itself."
        kind = _closed_kind(ip)
        if kind is None or any(ip in network for network in self._allowed):
            return None
        return f"{ip} is not a public address ({kind})."


@lru_cache(maxsize=4096)
def _parsed(address: str) -> IPAddress | None:
    try:
        return _plain(ip_address(address))
    except ValueError:
        return None


def _plain(ip: IPAddress) -> IPAddress:
    """The address without an IPv4-mapped wrapping and without a scope."""
    if isinstance(ip, IPv4Address):
        return ip
    return ip.ipv4_mapped or IPv6Address(int(ip))


@lru_cache(maxsize=4096)
def _closed_kind(ip: IPAddress) -> str | None:
    for network, kind in _CLOSED_NETWORKS:
        if ip in network:
            return kind
    # What a later Python knows to be special is closed as well.
    return None if ip.is_global else "reserved"


def _is_this_machine(ip: IPAddress) -> bool:
    """Whether packets to `ip` stay on this machine: only own addresses can be bound.

    Asked anew each time, since interfaces come and go; it costs a few microseconds, and only
    for ports that are closed here.
    """
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError as error:
        # Any other failure (no more file handles, say) must not open a port.
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True
