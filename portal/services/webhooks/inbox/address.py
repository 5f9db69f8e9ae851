"""The address of a built-in inbox: nobody stores it, the secret key and the webhook's id give it.

A token is the id and a MAC over it, so that one that was guessed is refused without a look into
the database, and a copy of the database gives no address away.
"""

import hashlib
import hmac
import socket
from functools import lru_cache
from ipaddress import ip_address
from typing import Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from portal.engine.http.address_mask import MASK, masked_address
from portal.extensions import settings
from portal.models.webhooks import WebhookKind

ID_LENGTH: Final = 32  # a uuid in hex
MAC_LENGTH: Final = 40  # 160 bits
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Addressed(Protocol):
    """What has an address: a webhook, whole or some of its columns."""

    @property
    def kind(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def url_is_secret(self) -> bool: ...


def token_of(public_id: UUID) -> str:
    """The unguessable end of an inbox's address."""
    return public_id.hex + _mac(public_id)


def public_id_of(token: str) -> UUID | None:
    """The webhook that a token belongs to; None when it is none of ours. Asks no database."""
    if len(token) != ID_LENGTH + MAC_LENGTH or not token.isascii():
        return None
    try:
        public_id = UUID(hex=token[:ID_LENGTH])
    except ValueError:
        return None
    return public_id if hmac.compare_digest(token_of(public_id), token) else None


def inbox_url(public_id: UUID) -> str:
    """Where the worker delivers to."""
    return f"{settings().inbox_origin}/inbox/{token_of(public_id)}"


def shown_url(webhook: Addressed) -> str:
    """A webhook's address as it is shown and stored beside attempts: an inbox's without its token,
    any other without what is secret in it."""
    if webhook.kind == WebhookKind.INBOX:
        return f"{settings().inbox_origin}/inbox/{MASK}"
    return masked_address(webhook.url, is_secret=webhook.url_is_secret)


def opening() -> tuple[str, int] | None:
    """The one address and port that a delivery to an inbox may reach; None if it has no address."""
    return _opening(settings().inbox_origin)


@lru_cache(maxsize=8)
def _opening(origin: str) -> tuple[str, int] | None:
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    try:
        return str(ip_address(host)), port
    except ValueError:
        pass
    try:
        # Once a process: the one who runs the portal chose this name, and it seldom moves.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    return str(found[0][4][0]), port


def _mac(public_id: UUID) -> str:
    key, text = settings().secret_key.encode(), f"inbox:{public_id}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:MAC_LENGTH]
