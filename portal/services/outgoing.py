"""From a claim to the request that goes out: address, headers, signatures, and what we may show."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url

from portal.config import Settings
from portal.delivery.address import AddressGuard, IPAddress
from portal.delivery.payload import wire_time
from portal.delivery.signing import request_headers
from portal.lib.clock import utcnow
from portal.services import vault
from portal.services.claiming import Claim

MASK: Final = "••••"
DEFAULT_PORTS: Final = {"postgresql": 5432, "redis": 6379, "rediss": 6379}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request ready to go. `shown` are its headers with the admin's own values masked."""

    url: str
    headers: list[tuple[str, str]]
    shown: list[list[str]]
    body: bytes


def compose(claim: Claim, version: str) -> Outgoing:
    """Build the request of one attempt; signatures carry the present moment.

    Raises `HeaderError` or `SecretError` (both ValueError), and `VaultError`.
    """
    webhook = claim.webhook
    custom = vault.open_headers(webhook.id, webhook.headers_enc) if webhook.headers_enc else []
    secret = vault.open_secret(webhook.id, webhook.secret_enc) if webhook.secret_enc else None
    overlaps = webhook.old_secret_enc and webhook.old_until and webhook.old_until > utcnow()
    old = vault.open_secret(webhook.id, webhook.old_secret_enc) if overlaps else None
    headers = request_headers(
        event=claim.event,
        timestamp=wire_time(claim.occurred_at),
        message_id=str(claim.public_id),
        version=version,
        body=claim.body,
        sent_at=int(time.time()),
        secret=old or secret,
        next_secret=secret if old else None,
        custom=custom,
    )
    masked = {name.lower() for name, _ in custom}
    shown = [[n, MASK if n.lower() in masked else v] for n, v in headers.items()]
    return Outgoing(webhook.url, list(headers.items()), shown, claim.body)


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
    )


def _addresses_behind(url: str) -> Iterator[tuple[IPAddress, int]]:
    """Where a server's URL leads. One on a socket or in a file has no address."""
    if url.startswith("postgresql"):
        parts = make_url(url)
        host, port = parts.host, parts.port or DEFAULT_PORTS["postgresql"]
    else:
        split = urlsplit(url)
        host, port = split.hostname, split.port or DEFAULT_PORTS.get(split.scheme, 0)
    if not host or not port:
        return
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return  # nobody can reach it by that name now; the pump asks again when it next starts
    for _family, _type, _protocol, _name, address in found:
        yield ip_address(str(address[0]).partition("%")[0]), port
