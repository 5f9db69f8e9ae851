"""Turn a claim into its request (address, headers, signatures, and a version to show), and the
transport's exchange into a result."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain, product
from typing import Any, Final, NamedTuple
from urllib.parse import quote, quote_plus, urlsplit

from sqlalchemy.engine import make_url

from portal.config.settings import Settings
from portal.engine.events.body import wire_time
from portal.engine.formats.answers import reason_at
from portal.engine.http.address_guard import AddressGuard, host_of
from portal.engine.http.address_mask import LONGEST_WORD, MASK, SAME_IN_EACH, secrets_in
from portal.engine.http.exchange import Exchange
from portal.engine.reasons import Reason
from portal.engine.redirects import target_of
from portal.engine.retry_policy import Outcome, parse_retry_after
from portal.engine.signing.signatures import (
    SIGNATURE_HEADERS,
    STANDARD_PREFIX,
    request_headers,
)
from portal.lib.clock import common_now, utcnow
from portal.models.webhooks import WebhookKind
from portal.services.core import vault
from portal.services.dispatch.claim import Claim, Target
from portal.services.outbox.rollups import LATE
from portal.services.webhooks.rows import body_to_send, inbox_url, opening

SHORTEST_HIDDEN: Final = 6
SLASH: Final = r"\/"  # as some JSON encoders write it
# Separators between the parts of a header, as in "Bearer …" or "token=…, user=…".
_BETWEEN: Final = re.compile(r"[\s,;:=&\"']+")
_SEPARATORS: Final = re.compile(r"[/\\%]")  # of a path, in all forms


class Outgoing(NamedTuple):
    """A request ready to send. `shown`: its headers with the admin's own values masked.

    `opens`: the address and port of the portal's own inbox, which only this request can reach.
    `hidden`: the webhook's secrets and address, in all written forms.
    """

    url: str
    headers: Mapping[str, str]
    shown: list[tuple[str, str]]
    body: bytes
    opens: tuple[str, int] | None = None
    hidden: Sequence[str] = ()

    def may_be_told_in(self, answer: str) -> bool:
        """Return whether the response contains the beginning of a secret.

        One check of the whole response replaces one per part, because hardly any receiver echoes
        requests.
        """
        if self.opens is not None:
            return False
        for form in chain(self.hidden, _signatures(self.headers)):  # a third faster
            if form[:SHORTEST_HIDDEN] in answer:
                return True
        return False

    def masked(self, text: str) -> str:
        """Mask the secrets in a part of a response or error, because some receivers echo the
        request."""
        if len(text) >= SHORTEST_HIDDEN and self.opens is None:
            for form in chain(self.hidden, _signatures(self.headers)):
                if form[:SHORTEST_HIDDEN] in text:  # rare
                    text = _without_beginning(text.replace(form, MASK), form)
        return text


class Opened(NamedTuple):
    """A webhook's decrypted secrets. `own`: the names of its own headers."""

    secret: str | None
    old: str | None
    custom: Sequence[tuple[str, str]]
    own: frozenset[str]
    hidden: Sequence[str]


class Composer:
    """Builds requests and caches decrypted secrets for the life of one dispatcher."""

    def __init__(self, version: str) -> None:
        self._version = version
        self._opened: dict[tuple[Any, ...], Opened] = {}
        self._latest: tuple[Target, Opened] | None = None

    def compose(self, claim: Claim) -> Outgoing:
        """Build the request of one attempt, with signatures for the present moment.

        Raise `HeaderError` or `SecretError` (both ValueError), or `VaultError`.
        """
        webhook = claim.webhook
        opened = self._open(webhook)
        body = body_to_send(webhook.format, claim.body)
        headers = request_headers(
            event=claim.event,
            timestamp=wire_time(claim.occurred_at),
            message_id=claim.public_id,
            version=self._version,
            body=body,
            sent_at=int(utcnow().timestamp()),
            secret=opened.old or opened.secret,
            next_secret=opened.secret if opened.old else None,
            custom=opened.custom,
        )
        shown = list(headers.items())
        if opened.own:
            shown = [(name, MASK if name in opened.own else value) for name, value in shown]
        if webhook.kind == WebhookKind.INBOX:
            return Outgoing(inbox_url(webhook.public_id), headers, shown, body, opening())
        return Outgoing(webhook.url, headers, shown, body, None, opened.hidden)

    def _open(self, webhook: Target) -> Opened:
        # A claim lists a webhook's deliveries in sequence, with one `Target` for all.
        if self._latest is None or self._latest[0] is not webhook:
            self._latest = webhook, self._find(webhook)
        return self._latest[1]

    def _find(self, webhook: Target) -> Opened:
        overlaps = webhook.old_until is not None and webhook.old_until > common_now()
        old = webhook.old_secret_enc if overlaps else None
        sealed = (webhook.id, webhook.secret_enc, old, webhook.headers_enc)
        key = (*sealed, webhook.url, webhook.url_is_secret)
        if key not in self._opened:
            address = secrets_in(webhook.url, is_secret=webhook.url_is_secret)
            self._opened[key] = _opened(*sealed, address)
        return self._opened[key]


def _opened(
    webhook_id: int,
    secret_enc: bytes | None,
    old_enc: bytes | None,
    headers_enc: bytes | None,
    address: Iterable[str],
) -> Opened:
    secret, old = (
        None if sealed is None else vault.open_secret(webhook_id, sealed)
        for sealed in (secret_enc, old_enc)
    )
    custom = () if headers_enc is None else vault.open_headers(webhook_id, headers_enc)
    values = [*(value for _, value in custom), *(key for key in (secret, old) if key), *address]
    return Opened(secret, old, custom, frozenset(name for name, _ in custom), _hidden(values))


def _signatures(headers: Mapping[str, str]) -> Iterator[str]:
    for name in SIGNATURE_HEADERS:
        if value := headers.get(name):
            yield value
            yield value.replace("/", SLASH)


def _without_beginning(text: str, form: str) -> str:
    """Mask the beginning of this form at the end of the text, where it may have been cut."""
    beginning = form[:SHORTEST_HIDDEN]
    at = text.find(beginning, max(0, len(text) - len(form)))
    while at >= 0 and not form.startswith(text[at:]):
        at = text.find(beginning, at + 1)
    return text if at < 0 or _is_in_each(text[at:], form) else text[:at] + MASK


def _is_in_each(beginning: str, form: str) -> bool:
    """Return whether this beginning of an address's path is a common word, not a secret."""
    word = _SEPARATORS.split(form.lstrip(SLASH), maxsplit=1)[0]
    return word.lower() in SAME_IN_EACH and beginning.lstrip(SLASH) in word


def _hidden(values: Sequence[str]) -> Sequence[str]:
    """Return the values to hide in responses, in all written forms. A few letters are not
    hidden."""
    long = {value for value in values if len(value) >= SHORTEST_HIDDEN}
    parts = {part for value in values for part in _parts(value) if len(part) > LONGEST_WORD}
    forms = {form for text in long | parts for form in _written(text)}
    return sorted(forms, key=len, reverse=True)


def _parts(value: str) -> list[str]:
    """Split a value, because some receivers echo only the part after "Bearer" or a key without its
    prefix."""
    return [*_BETWEEN.split(value), value.removeprefix(STANDARD_PREFIX)]


def _written(text: str) -> Iterator[str]:
    """Yield the text as it is, as JSON writes it, and as a URL does."""
    yield text
    yield json.dumps(text)[1:-1]
    yield text.replace("/", SLASH)
    yield quote(text, safe="")
    yield quote_plus(text)


DEFAULT_PORTS: Final = {"postgresql": 5432, "redis": 6379, "rediss": 6379}


def guard(settings: Settings) -> AddressGuard:
    """Return the guard for deliveries, which blocks Redis, the database and the portal itself."""
    return AddressGuard(
        settings.webhook_allowed_networks,
        closed=[*_server(settings.redis_url), *_servers_of_database(settings.database_url)],
        closed_ports_here=[settings.port],
        denied=settings.webhook_denied_networks,
        ports=settings.webhook_allowed_ports,
    )


def _server(url: str) -> Iterator[tuple[str, int]]:
    parts = urlsplit(url)
    port = parts.port or DEFAULT_PORTS.get(parts.scheme, 0)
    if parts.hostname and port:
        yield parts.hostname, port


def _servers_of_database(url: str) -> Iterator[tuple[str, int]]:
    """Return the hosts and ports of a PostgreSQL URL. SQLite has none.

    The query can list several hosts, each with its own port. A path is a socket. Every host is
    paired with every port, because closing an extra pair does no harm.
    """
    if not url.startswith("postgresql"):
        return iter(())
    parts = make_url(url)
    query = {name: ",".join(values).split(",") for name, values in parts.normalized_query.items()}
    listed = [entry.partition(":") for entry in query.get("host", ()) if not entry.startswith("/")]
    hosts = [parts.host, *(host for host, _, _ in listed)]
    ports = [parts.port, *query.get("port", ()), *(port for _, _, port in listed)]
    known = {int(port) for port in ports if port} or {DEFAULT_PORTS["postgresql"]}
    return product(filter(None, hosts), known)


_PHASES = ("name", "connect", "tls", "first_byte", "total", "again")


class Result(NamedTuple):
    """The result of one attempt. `phases`: milliseconds since its start. All values are bounded.

    `is_unreached`: there was no connection. `request_body`: None if the event's own body was sent.
    """

    claim: Claim
    outcome: Outcome
    phases: dict[str, float | None]
    peer: str | None
    certificate_ends_at: datetime | None
    request_headers: Sequence[tuple[str, str]]
    response_headers: Sequence[tuple[str, str]]
    response_text: str
    is_truncated: bool
    location: str | None
    detail: str
    finished_at: datetime
    is_unreached: bool = False
    request_body: str | None = None

    @property
    def may_have_arrived(self) -> bool:
        """Return whether an unanswered request may have been read over a connection that then
        closed."""
        return self.phases.get("again") is not None

    @property
    def is_late(self) -> bool:
        """Return whether it ended so long after its event that a delivery counts as late."""
        return self.finished_at - self.claim.occurred_at > LATE

    @property
    def took_ms(self) -> int:
        """Return the milliseconds from start to end."""
        return round(self.phases.get("total") or 0)


def of_exchange(claim: Claim, exchange: Exchange, sent: Outgoing) -> Result:
    """Return the result of a sent request, with the response masked like the request."""
    now, text = utcnow(), exchange.text
    retry_after = exchange.header("Retry-After")
    location = target_of(sent.url, exchange.location) if exchange.location else None
    lines = [*chain.from_iterable(exchange.response_headers), text, exchange.detail, location or ""]
    masked = sent.masked if sent.may_be_told_in("\n".join(lines)) else str
    return Result(
        claim=claim,
        outcome=Outcome(
            _reason(claim.webhook, exchange.reason),
            exchange.code,
            parse_retry_after(retry_after, now) if retry_after else None,
            exchange.is_unreached,
        ),
        phases=_milliseconds(exchange),
        peer=exchange.peer,
        certificate_ends_at=exchange.certificate_ends_at,
        request_headers=sent.shown,
        response_headers=[
            (masked(name), masked(value)) for name, value in exchange.response_headers
        ],
        response_text=masked(text),
        is_truncated=exchange.truncated,
        location=masked(location) if location else location,
        # libcurl quotes input that it cannot parse.
        detail=masked(exchange.detail),
        finished_at=now,
        is_unreached=exchange.is_unreached,
        request_body=None if sent.body is claim.body else sent.body.decode(),
    )


def _reason(webhook: Target, reason: Reason | None) -> Reason | None:
    # The product rarely matters.
    if reason is not Reason.NOT_FOUND:
        return reason
    return reason_at(host_of(webhook.url), webhook.format, reason)


def unsent(claim: Claim, reason: Reason, detail: str) -> Result:
    """Return the result of an attempt whose request could not be composed."""
    return Result(
        claim=claim,
        outcome=Outcome(reason),
        phases={},
        peer=None,
        certificate_ends_at=None,
        request_headers=[],
        response_headers=[],
        response_text="",
        is_truncated=False,
        location=None,
        detail=detail,
        finished_at=utcnow(),
    )


def _milliseconds(exchange: Exchange) -> dict[str, float | None]:
    phases = exchange.phases
    milliseconds = {
        name: None if seconds is None else round(seconds * 1000, 1)
        for name, seconds in zip(_PHASES, phases, strict=True)
    }
    if phases.again is None:
        del milliseconds["again"]
    return milliseconds
