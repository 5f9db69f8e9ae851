"""Which addresses a delivery may reach, in this installation."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from itertools import product
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from portal.config.settings import Settings
from portal.engine.http.address_guard import AddressGuard, IPAddress

DEFAULT_PORTS: Final = {"postgresql": 5432, "redis": 6379, "rediss": 6379}


def guard(settings: Settings) -> AddressGuard:
    """Which addresses a delivery may reach: never Redis, the database or the portal itself."""
    return AddressGuard(
        settings.webhook_allowed_networks,
        closed=[
            pair
            for url in (settings.redis_url, settings.database_url)
            for pair in _addresses_behind(url)
        ],
        closed_ports_here=[settings.port],
        denied=settings.webhook_denied_networks,
        ports=settings.webhook_allowed_ports,
    )


def _addresses_behind(url: str) -> Iterator[tuple[IPAddress, int]]:
    """Where a server's URL leads. One on a socket or in a file has no address."""
    for host, port in _servers_of_postgresql(url) if url.startswith("postgresql") else _server(url):
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError:
            continue  # nobody reaches it by that name now, and without Redis a worker starts anew
        for _family, _type, _protocol, _name, address in found:
            yield ip_address(str(address[0]).partition("%")[0]), port


def _server(url: str) -> Iterator[tuple[str, int]]:
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    if parts.hostname and port:
        yield parts.hostname, port


def _servers_of_postgresql(url: str) -> Iterator[tuple[str, int]]:
    """Several may stand behind the question mark, each with its own port; a path is a socket.

    Every one is paired with every port: closing a pair too many harms nobody.
    """
    parts = make_url(url)
    query = {name: ",".join(values).split(",") for name, values in parts.normalized_query.items()}
    listed = [each.partition(":") for each in query.get("host", ()) if not each.startswith("/")]
    hosts = [parts.host, *(host for host, _, _ in listed)]
    ports = [parts.port, *query.get("port", ()), *(port for _, _, port in listed)]
    known = {int(port) for port in ports if port} or {DEFAULT_PORTS["postgresql"]}
    return product(filter(None, hosts), known)
