"""Check the URL of a webhook, and check each address before we connect to it.

The second check uses the connected address, never the name.
"""

import errno
import re
import socket
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from time import monotonic
from typing import Final
from urllib.parse import SplitResult, quote, urlsplit

import idna

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network

# IANA's special-purpose registries (RFC 6890 and its updates), and some other networks.
_CLOSED_NETWORKS: tuple[tuple[IPNetwork, str], ...] = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers"),
        ("127.0.0.0/8", "loopback"),
        # A cloud's internal service for its machines, at an address that looks public.
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
        # An address with an embedded IPv4 address could reach a closed one.
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

_EMBEDDED: Final = "an embedded IPv4"
_ISATAP: Final = (
    0x5EFE  # the middle of an interface ID (RFC 5214, 6.1). The bit before it can be set.
)
_ISATAP_BITS: Final = 0xFDFF_FFFF
# A translator turns these addresses into the embedded IPv4 address. The first has one form. In the
# second, each network chooses the length of its prefix (RFC 6052, 2.2; RFC 8215).
_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_NAT64_LENGTHS: Final = (48, 56, 64, 96)

MOST_KNOWN: Final = 4096
LOOKED_UP_EVERY: Final = 30.0  # seconds, while requests ask for the port


class _Service:
    """One of our own servers, and all addresses of its name so far.

    After a failover, an earlier address can return.
    """

    __slots__ = ("_host", "_look_up_at", "_port", "addresses")

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._look_up_at = 0.0
        self.addresses: frozenset[IPAddress] = frozenset()

    def look_up(self, now: float) -> None:
        """Resolve the name again. On failure, keep the known addresses."""
        if now < self._look_up_at:
            return
        self._look_up_at = now + LOOKED_UP_EVERY
        try:
            infos = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            return
        self.addresses |= {_plain(ip_address(str(info[4][0]).partition("%")[0])) for info in infos}


class AddressGuard:
    """A guard that decides whether an address and port are open. Caches lasting decisions.

    `allowed` opens exactly its networks. In a translator's network (NAT64), only addresses with an
    embedded public or allowed address are open. `denied` networks are closed, even public or
    allowed ones. `ports`: the only open ports, or all if empty. `closed` servers (Redis, the
    database), by host and port, stay closed even if allowed. If such an address belongs to this
    machine, its port is closed on all of this machine's addresses. `closed_ports_here`: the
    portal's own ports, which are closed on every address of this machine.
    """

    __slots__ = (
        "_allowed",
        "_clock",
        "_denied",
        "_known",
        "_ports",
        "_ports_here",
        "_services",
        "_varying",
    )

    def __init__(
        self,
        allowed: Iterable[IPNetwork] = (),
        closed: Iterable[tuple[str, int]] = (),
        closed_ports_here: Iterable[int] = (),
        *,
        denied: Iterable[IPNetwork] = (),
        ports: Iterable[int] = (),
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._allowed = tuple(allowed)
        self._denied = tuple(denied)
        self._ports = frozenset(ports)
        self._clock = clock
        self._services: dict[int, list[_Service]] = {}
        for host, port in closed:
            self._services.setdefault(port, []).append(_Service(host, port))
        self._ports_here = frozenset(closed_ports_here)
        self._varying = self._ports_here | self._services.keys()
        self._known: dict[tuple[str, int, tuple[str, int] | None], str | None] = {}

    def refusal(
        self, address: str, port: int, *, opens: tuple[str, int] | None = None
    ) -> str | None:
        """Return a short technical sentence with the address if it is closed, else None.

        `opens`: one exact address and port that is open for this request alone, even if denied. It
        is the portal's own inbox. It opens no `closed` server and no other address.
        """
        # These depend on the current addresses of this machine or of a name.
        if port in self._varying:
            return self._judged(address, port, opens)
        key = address, port, opens
        if key not in self._known:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known[key] = self._judged(address, port, opens)
        return self._known[key]

    def _judged(self, address: str, port: int, opens: tuple[str, int] | None) -> str | None:
        ip = _parsed(address)
        if ip is None:
            return "The DNS resolver didn’t return an IP address."
        faces = (ip, *_translated(ip))
        is_shut_here = port in self._ports_here
        for service in self._services.get(port, ()):
            service.look_up(self._clock())
            if not service.addresses:
                unknown = "but its name doesn’t resolve"
                return f"{ip} port {port} might be one of the portal’s own services, {unknown}."
            if not service.addresses.isdisjoint(faces):
                return f"{ip} port {port} is one of the portal’s own services."
            # A server that is bound to every address also responds on 127.0.0.2.
            is_shut_here = is_shut_here or any(map(_is_this_machine, service.addresses))
        if opens is not None and port == opens[1] and ip == _parsed(opens[0]):
            return None
        if is_shut_here and any(map(_is_this_machine, faces)):
            return f"{ip} port {port} is the portal itself."
        if any(face in network for network in self._denied for face in faces):
            return f"{ip} is in WEBHOOK_DENIED_NETWORKS."
        if self._ports and port not in self._ports:
            return f"{ip} port {port} isn’t in WEBHOOK_ALLOWED_PORTS."
        kind = _closed_kind(ip)
        if kind is None or self._is_allowed(ip):
            return None
        return f"{ip} isn’t a public address ({kind})."

    def _is_allowed(self, ip: IPAddress) -> bool:
        return any(
            all(self._is_open_inside(inside) for inside in _carried(ip, network))
            for network in self._allowed
            if ip in network
        )

    def _is_open_inside(self, ip: IPv4Address) -> bool:
        return _closed_kind(ip) is None or any(ip in network for network in self._allowed)


@lru_cache(maxsize=4096)
def _parsed(address: str) -> IPAddress | None:
    try:
        return _plain(ip_address(address))
    except ValueError:
        return None


def _plain(ip: IPAddress) -> IPAddress:
    """Return the address without an IPv4-mapped prefix and without a scope."""
    if isinstance(ip, IPv4Address):
        return ip
    return ip.ipv4_mapped or IPv6Address(int(ip))


@lru_cache(maxsize=4096)
def _closed_kind(ip: IPAddress) -> str | None:
    if ip.version == 6 and int(ip) >> 32 & _ISATAP_BITS == _ISATAP:
        return _EMBEDDED
    for network, kind in _CLOSED_NETWORKS:
        if ip in network:
            return kind
    # Networks that a later Python version knows as special are closed too.
    return None if ip.is_global else "reserved"


def _translated(ip: IPAddress) -> tuple[IPv4Address, ...]:
    """Return the IPv4 address that is embedded in the well-known NAT64 network."""
    return (_form(int(ip), 96),) if ip in _NAT64 else ()


def _carried(ip: IPAddress, allowed: IPNetwork) -> Iterator[IPv4Address]:
    """Yield the IPv4 addresses that a translator can turn `ip` in the network `allowed` into.

    A network that is narrower than a translator's prefix lists exact addresses, so it yields none.
    """
    if allowed.prefixlen > 96:
        return
    if ip in _NAT64:
        yield _form(int(ip), 96)
    elif ip in _LOCAL_NAT64:
        known = allowed.prefixlen in _NAT64_LENGTHS
        for length in (allowed.prefixlen,) if known else _NAT64_LENGTHS:
            yield _form(int(ip), length)


def _form(number: int, length: int) -> IPv4Address:
    """Return the 32 bits after a prefix of `length`, without eight empty bits (RFC 6052, 2.2)."""
    if length == 96:
        return IPv4Address(number & 0xFFFF_FFFF)
    whole = number >> 64 << 56 | number & (1 << 56) - 1
    return IPv4Address(whole >> 88 - length & 0xFFFF_FFFF)


def _is_this_machine(ip: IPAddress) -> bool:
    """Return whether packets to `ip` stay on this machine, by binding to it.

    Checked each time because interfaces change. It takes a few microseconds and only runs for ports
    that are closed here.
    """
    if ip.is_loopback or ip.is_unspecified:
        return True
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(ip), 0))
    except OSError as error:
        # Any other failure (such as no more file handles) must not open a port.
        return error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
    return True


MAX_URL_LENGTH = 2048
"""Characters after normalization."""

_MISTYPED = "Check the server name in the URL for typos"
_HOST_NAME = re.compile(r"(?=.{1,253}\.?\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?\Z")
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f-\xa0\\]")


class AddressError(ValueError):
    """An unusable URL. The message is a plain sentence for the form."""


@lru_cache(maxsize=4096)
def check_url(url: str) -> str:
    """Return the URL as we send it, with scheme and host in lowercase and the host in ASCII.

    Runs when a webhook is saved and before every attempt. Addresses are not checked here but by
    `AddressGuard`. Raises `AddressError`.
    """
    if len(url) > MAX_URL_LENGTH:
        raise AddressError(f"Enter a URL with at most {MAX_URL_LENGTH} characters")
    url = url.strip(" \t\r\n")
    if _NOT_IN_A_URL.search(url):
        raise AddressError("Remove spaces and backslashes from the URL")
    parts = _split(url)
    rest = _ascii(parts.path or "/") + (f"?{_ascii(parts.query)}" if parts.query else "")
    normal = f"{parts.scheme}://{_host(parts)}{_port(parts)}{rest}"
    if len(normal) > MAX_URL_LENGTH:
        raise AddressError(f"Enter a URL with at most {MAX_URL_LENGTH} characters")
    return normal


def host_of(url: str) -> str:
    """Return the host for people, without the port, empty if the URL has none."""
    try:
        return urlsplit(url.strip()).hostname or ""
    except ValueError:
        return ""


def is_this_machine(host: str) -> bool:
    """Return whether the host is localhost or a loopback address. Looks nothing up."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_exposed(url: str) -> bool:
    """Return whether others on the network can read requests to this URL."""
    return url.startswith("http://") and not is_this_machine(host_of(url))


def is_named(url: str) -> bool:
    """Return whether the host is a name, not a numeric address in any notation.

    A name can lead to another address next time.
    """
    host = host_of(url)
    last = host.rstrip(".").rpartition(".")[2]
    return not (":" in host or last.isdigit() or last.startswith("0x"))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise AddressError(_MISTYPED) from error
    if parts.scheme not in ("http", "https") or not url[len(parts.scheme) :].startswith("://"):
        raise AddressError(
            "Enter a URL that starts with https:// or http://, such as "
            "https://erp.example.com/hooks"
        )
    if "@" in parts.netloc:
        raise AddressError(
            "Remove the user name and password from the URL. Use a custom header instead"
        )
    if "#" in url:
        raise AddressError("Remove # and everything after it from the URL")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname
    if not host:
        raise AddressError("Enter a server name after ://, such as example.com")
    if ":" in host and "%" not in host:
        return f"[{_in_brackets(host)}]"
    name = host if host.isascii() else _idna(host)
    if not _HOST_NAME.match(name):
        raise AddressError(_MISTYPED)
    return name


def _in_brackets(host: str) -> str:
    """Refuse addresses of later IP versions, which Python accepts with any characters.

    libcurl accepts none of them.
    """
    try:
        IPv6Address(host)
    except ValueError as error:
        raise AddressError(_MISTYPED) from error
    return host


def _idna(host: str) -> str:
    try:
        return idna.encode(host, uts46=True).decode("ascii").lower()
    except UnicodeError as error:
        raise AddressError(_MISTYPED) from error


def _port(parts: SplitResult) -> str:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port is None:
        return ""
    if port == 0:
        raise AddressError("Enter a port from 1 to 65535 or remove it")
    return f":{port}"


def _ascii(text: str) -> str:
    """Percent-encode non-ASCII characters and nothing else."""
    return (
        text
        if text.isascii()
        else "".join(c if c.isascii() else quote(c, errors="replace") for c in text)
    )
