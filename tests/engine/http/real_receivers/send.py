"""Shorthands for sending through the real transport. Every wait is bounded."""

import time
from ipaddress import ip_network

from portal.engine.http.address_guard import AddressGuard
from portal.engine.http.transport import Exchange, Transport, prepare

LOOPBACK = ip_network("127.0.0.0/8")
HEADERS = (("Content-Type", "application/json"), ("User-Agent", "AssetWebhooks/test"))
BODY = b'{"event": "asset.created"}'


def open_guard() -> AddressGuard:
    """Return a guard that lets tests reach this machine."""
    return AddressGuard([LOOPBACK])


def drive_all(transport: Transport, within: float = 10) -> list[Exchange]:
    """Drive the transport until nothing is in flight. Returns the exchanges as they ended."""
    ended: list[Exchange] = []
    until = time.monotonic() + within
    while transport.in_flight and time.monotonic() < until:
        ended += transport.drive(0.2)
    assert not transport.in_flight, f"{transport.in_flight} still in flight after {within} s"
    return ended


def send(
    transport: Transport,
    url: str,
    *,
    headers: tuple[tuple[str, str], ...] = HEADERS,
    body: bytes = BODY,
    timeout: float = 2,
    opens: tuple[str, int] | None = None,
) -> Exchange:
    """Send one request and wait for its end."""
    transport.start("one", prepare(url, headers, body), timeout=timeout, opens=opens)
    (exchange,) = drive_all(transport, timeout + 1)
    return exchange
