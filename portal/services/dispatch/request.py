"""From a claim to the request that goes out: address, headers, signatures, and what we may show."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, NamedTuple

from portal.engine.events.body import wire_time
from portal.engine.signing.signatures import request_headers
from portal.lib.clock import utcnow
from portal.models.webhooks import WebhookKind
from portal.services.core import vault
from portal.services.dispatch.claim_types import Claim, Target
from portal.services.webhooks.inbox.address import inbox_url, opening

MASK: Final = "••••"
SHORTEST_HIDDEN: Final = 6
SLASH: Final = r"\/"  # as some write it in JSON


class Outgoing(NamedTuple):
    """One request ready to go. `shown` are its headers with the admin's own values masked.

    `opens`: the address and port that this request alone may reach, the portal's own inbox.
    `hidden`: the webhook's secrets, in all forms in which they may be written.
    """

    url: str
    headers: Mapping[str, str]
    shown: list[tuple[str, str]]
    body: bytes
    opens: tuple[str, int] | None = None
    hidden: Sequence[str] = ()

    def masked(self, text: str, *, is_cut: bool = False) -> str:
        """A part of the answer without what it must not tell: some send back what they got.

        `is_cut`: it may end in the middle of that.
        """
        if len(text) >= SHORTEST_HIDDEN and self.opens is None:
            for form in chain(self.hidden, _signatures(self.headers)):
                text = text.replace(form, MASK)
                if is_cut:
                    text = _without_beginning(text, form)
        return text


class Opened(NamedTuple):
    """What a webhook's ciphertexts say. `own`: the names of its own headers."""

    secret: str | None
    old: str | None
    custom: Sequence[tuple[str, str]]
    own: frozenset[str]
    hidden: Sequence[str]


class Composer:
    """Builds requests, and keeps what it has decrypted for as long as one pump runs."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._opened: dict[tuple[int, bytes | None, bytes | None, bytes | None], Opened] = {}
        self._latest: tuple[Target, Opened] | None = None

    def compose(self, claim: Claim) -> Outgoing:
        """Build the request of one attempt; signatures carry the present moment.

        Raises `HeaderError` or `SecretError` (both ValueError), and `VaultError`.
        """
        webhook = claim.webhook
        opened = self._open(webhook)
        headers = request_headers(
            event=claim.event,
            timestamp=wire_time(claim.occurred_at),
            message_id=claim.public_id,
            version=self._version,
            body=claim.body,
            sent_at=int(time.time()),
            secret=opened.old or opened.secret,
            next_secret=opened.secret if opened.old else None,
            custom=opened.custom,
        )
        shown = list(headers.items())
        if opened.own:
            shown = [(name, MASK if name in opened.own else value) for name, value in shown]
        if webhook.kind == WebhookKind.INBOX:
            return Outgoing(inbox_url(webhook.public_id), headers, shown, claim.body, opening())
        return Outgoing(webhook.url, headers, shown, claim.body, None, opened.hidden)

    def _open(self, webhook: Target) -> Opened:
        # One claim brings a webhook's deliveries one after the other, with one row for all.
        if self._latest is None or self._latest[0] is not webhook:
            self._latest = webhook, self._find(webhook)
        return self._latest[1]

    def _find(self, webhook: Target) -> Opened:
        overlaps = webhook.old_until is not None and webhook.old_until > utcnow()
        old = webhook.old_secret_enc if overlaps else None
        key = (webhook.id, webhook.secret_enc, old, webhook.headers_enc)
        if key not in self._opened:
            self._opened[key] = _opened(*key)
        return self._opened[key]


def _opened(
    webhook_id: int, secret_enc: bytes | None, old_enc: bytes | None, headers_enc: bytes | None
) -> Opened:
    secret, old = (
        None if sealed is None else vault.open_secret(webhook_id, sealed)
        for sealed in (secret_enc, old_enc)
    )
    custom = () if headers_enc is None else vault.open_headers(webhook_id, headers_enc)
    values = [*(value for _, value in custom), secret, old]
    return Opened(secret, old, custom, frozenset(name for name, _ in custom), _hidden(values))


def _signatures(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if "signature" in name.lower():
            yield value
            yield value.replace("/", SLASH)


def _without_beginning(text: str, form: str) -> str:
    """The text without the first part of this form at its end."""
    lengths = range(min(len(form), len(text)), SHORTEST_HIDDEN - 1, -1)
    told = next((length for length in lengths if text.endswith(form[:length])), 0)
    return text[:-told] + MASK if told else text


def _hidden(values: Iterable[str | None]) -> Sequence[str]:
    """What may not come back in an answer, also as JSON writes it. A few letters hide nothing."""
    long = {value for value in values if value and len(value) >= SHORTEST_HIDDEN}
    written = [(value, json.dumps(value)[1:-1], value.replace("/", SLASH)) for value in long]
    return sorted({form for forms in written for form in forms}, key=len, reverse=True)
