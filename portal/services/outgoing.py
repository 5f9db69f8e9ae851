"""From a claim to the request that goes out: address, headers, signatures, and what we may show."""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from portal.delivery.payload import wire_time
from portal.delivery.signing import request_headers
from portal.lib.clock import utcnow
from portal.models.webhooks import WebhookKind
from portal.services import vault
from portal.services.claiming import Claim
from portal.services.inbox_address import inbox_url, opening

MASK: Final = "••••"
SHORTEST_HIDDEN: Final = 6


class Outgoing(NamedTuple):
    """One request ready to go. `shown` are its headers with the admin's own values masked.

    `opens`: the address and port that this request alone may reach, the portal's own inbox.
    `hidden`: secrets, which some receivers send back in their answers.
    """

    url: str
    headers: list[tuple[str, str]]
    shown: list[list[str]]
    body: bytes
    opens: tuple[str, int] | None = None
    hidden: Sequence[str] = ()


class Composer:
    """Builds requests, and keeps what it has decrypted for as long as one pump runs."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._secrets: dict[tuple[int, bytes], str] = {}
        self._headers: dict[tuple[int, bytes], list[tuple[str, str]]] = {}

    def compose(self, claim: Claim) -> Outgoing:
        """Build the request of one attempt; signatures carry the present moment.

        Raises `HeaderError` or `SecretError` (both ValueError), and `VaultError`.
        """
        webhook = claim.webhook
        custom = self._custom(webhook.id, webhook.headers_enc)
        secret = self._secret(webhook.id, webhook.secret_enc)
        overlaps = webhook.old_until is not None and webhook.old_until > utcnow()
        old = self._secret(webhook.id, webhook.old_secret_enc) if overlaps else None
        headers = request_headers(
            event=claim.event,
            timestamp=wire_time(claim.occurred_at),
            message_id=str(claim.public_id),
            version=self._version,
            body=claim.body,
            sent_at=int(time.time()),
            secret=old or secret,
            next_secret=secret if old else None,
            custom=custom,
        )
        own = dict(custom)
        shown = [[name, MASK if name in own else value] for name, value in headers.items()]
        if webhook.kind == WebhookKind.INBOX:
            url, opens = inbox_url(webhook.public_id), opening()
            return Outgoing(url, list(headers.items()), shown, claim.body, opens)
        hidden = _hidden([*own.values(), secret, old, *_signatures(headers)])
        return Outgoing(webhook.url, list(headers.items()), shown, claim.body, hidden=hidden)

    def _secret(self, webhook_id: int, sealed: bytes | None) -> str | None:
        if sealed is None:
            return None
        key = (webhook_id, sealed)
        if key not in self._secrets:
            self._secrets[key] = vault.open_secret(webhook_id, sealed)
        return self._secrets[key]

    def _custom(self, webhook_id: int, sealed: bytes | None) -> list[tuple[str, str]]:
        if sealed is None:
            return []
        key = (webhook_id, sealed)
        if key not in self._headers:
            self._headers[key] = vault.open_headers(webhook_id, sealed)
        return self._headers[key]


def _signatures(headers: Mapping[str, str]) -> list[str]:
    return [value for name, value in headers.items() if "signature" in name.lower()]


def _hidden(values: Iterable[str | None]) -> Sequence[str]:
    """What may not come back in an answer, also as JSON writes it. A few letters hide nothing."""
    long = {value for value in values if value and len(value) >= SHORTEST_HIDDEN}
    written = [(value, json.dumps(value)[1:-1], value.replace("/", r"\/")) for value in long]
    return sorted({form for forms in written for form in forms}, key=len, reverse=True)
