"""Define the fields of a webhook, their allowed values, and the refusal of all others."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from portal.engine.conditions.predicate import (
    MOST_CONDITIONS,
    ConditionError,
    as_text,
    conditions_in,
    entered,
)
from portal.engine.events.catalogue import CATALOGUE
from portal.engine.formats.chats import CHATS
from portal.engine.formats.presets import url_mistake
from portal.engine.http.address_guard import AddressError, AddressGuard, check_url
from portal.engine.http.custom_headers import HeaderError, check_headers
from portal.engine.signing.signatures import check_secret
from portal.extensions import settings
from portal.models.webhooks import ALL_EVENTS
from portal.services.core.refusals import Refusal

LONGEST_NAME: Final = 120
EVENT_VALUES: Final = tuple(str(event.value) for event in CATALOGUE)
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
# Formats of a webhook's deliveries, by the keys in its column.
FORMATS: Final[Mapping[str | None, str]] = {
    None: "Standard JSON",
    **{key: chat.name for key, chat in CHATS.items()},
}
INSIDE: Final = "inbox"

# Values stored for one place are sent to another only after a person enters them again.
HEADER_STAYS: Final = "Enter this value again. We send the saved value only to the previous URL"
KEY_STAYS: Final = (
    "Select “Create one” or “Use my own”. "
    "We use the saved secret key only for the previous host and port"
)

Headers = tuple[tuple[str, str], ...]


class SecretMode(StrEnum):
    """Sources of the secret key."""

    KEEP = "keep"
    GENERATE = "generate"
    OWN = "own"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookOptions:
    """Values that are stored as entered, in columns of the same names."""

    name: str
    url_is_secret: bool = False
    in_order: bool = False
    conditions: str | None = None
    format: str | None = None


OPTIONS: Final = tuple(WebhookOptions.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class WebhookField:
    """A field by its name in the audit trail. `label`: its name in history and audit trail pages.

    `blamed`: words that blame later failures on its change, if receivers notice it. `fixes`: a
    change may fix failures, so it causes an attempt at once.
    """

    name: str
    label: str
    blamed: str = ""
    fixes: bool = False


# In the order of the audit trail.
WEBHOOK_FIELDS: Final = (
    WebhookField("name", "Name"),
    WebhookField("url", "URL", "the URL was edited", fixes=True),
    WebhookField("url_is_secret", "Hide this URL"),
    WebhookField("format", "Format", "the format was changed", fixes=True),
    WebhookField("events", "Events"),
    WebhookField("conditions", "Conditions"),
    WebhookField("secret_key", "Secret key", "the secret key was changed", fixes=True),
    WebhookField("custom_headers", "Custom headers", "the custom headers were edited", fixes=True),
    WebhookField("in_order", "In order", "the sending order was changed"),
    WebhookField("owner", "Owner"),
    WebhookField("status", "Status"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookValues(WebhookOptions):
    """A webhook as entered. `events`: the chosen ones, or `ALL_EVENTS` alone.

    On edit, a header with an empty value keeps the stored one. An inbox without a URL stays an
    inbox, and with a URL becomes an ordinary webhook. `owner`: a user's public id. None keeps the
    present owner, or makes the creator the owner of a new webhook.
    """

    url: str = field(repr=False)
    events: tuple[str, ...]
    secret_mode: SecretMode = SecretMode.GENERATE
    secret: str = field(default="", repr=False)
    headers: Headers = field(default=(), repr=False)
    is_active: bool = True
    owner: UUID | None = None


def place_of(url: str) -> str | None:
    """Return the scheme, host, and port of a URL, to which stored values may continue to go.

    Blank, as for the built-in inbox, gives `INSIDE`. An invalid URL gives None.
    """
    if not url:
        return INSIDE
    try:
        parts = urlsplit(check_url(url))
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except AddressError:
        return None
    return f"{parts.scheme}://{(parts.hostname or '').rstrip('.').lower()}:{port}"


def name_problem(name: str, example: str = "Nordwind ERP") -> str | None:
    """Return a sentence that refuses this name, or None."""
    if not name:
        return f"Enter a name, such as {example}"
    if len(name) > LONGEST_NAME:
        return f"Enter at most {LONGEST_NAME} characters"
    return None if name.isprintable() else "Use only letters, digits, and punctuation"


def url_problem(url: str, example: str = "https://erp.example.com/hooks") -> str | None:
    """Return a sentence that refuses this URL, or None. Looks up no host name."""
    if not url:
        return f"Enter a URL, such as {example}"
    try:
        checked = check_url(url)
        return url_mistake(checked) or _address_problem(checked)
    except AddressError as error:
        return str(error)


def events_problem(events: Sequence[str]) -> str | None:
    """Return a sentence that refuses these events, or None."""
    if not events:
        return "Choose at least one event or all events"
    if tuple(events) == (ALL_EVENTS,) or set(events) <= set(EVENT_VALUES):
        return None
    return "Choose events from the list"


def conditions_problem(text: str | None) -> str | None:
    """Return a sentence that refuses these conditions, or None."""
    conditions = conditions_in(text)
    if len(conditions) > MOST_CONDITIONS:
        return f"Enter at most {MOST_CONDITIONS} conditions"
    try:
        kept = as_text([entered(*condition) for condition in conditions])
    except ConditionError as error:
        return error.sentence
    return None if kept == text else "Enter the conditions again"


def format_problem(format_: str | None) -> str | None:
    """Return a sentence that refuses this format, or None."""
    return None if format_ in FORMATS else "Choose a format from the list"


def subscribed_to(events: Sequence[str]) -> tuple[str, ...]:
    """Return the events that are sent, in the catalog's order. `events`: as stored."""
    return tuple(value for value in EVENT_VALUES if value in events or ALL_EVENTS in events)


def secret_problem(mode: SecretMode, secret: str) -> str | None:
    """Return a sentence that refuses this secret key and never contains it, or None."""
    if mode is not SecretMode.OWN:
        return None
    return check_secret(secret) if secret else "Enter your secret key or choose another option"


def headers_problem(headers: Headers) -> str | None:
    """Return a sentence that refuses these custom headers and contains no value, or None."""
    try:
        check_headers(headers)
    except HeaderError as error:
        return str(error)
    return None


def check(values: WebhookValues, *, is_inbox: bool = False) -> None:
    """Raise `Refusal` for the first invalid value, except headers.

    `is_inbox`: the edited webhook is the built-in inbox.
    """
    for name, sentence in _problems(values, is_inbox):
        if sentence:
            raise Refusal(sentence, field=name)


def _problems(values: WebhookValues, is_inbox: bool) -> Iterator[tuple[str, str | None]]:
    yield "name", name_problem(values.name)
    yield "url", None if is_inbox and not values.url else url_problem(values.url)
    yield "format", format_problem(values.format)
    yield "events", events_problem(values.events)
    yield "conditions", conditions_problem(values.conditions)
    yield "secret", secret_problem(values.secret_mode, values.secret)


def _address_problem(url: str) -> str | None:
    """Return a sentence that refuses a port or IP address that the worker would refuse.

    Host names are judged only at send.
    """
    parts = urlsplit(url)
    ours, port = settings(), parts.port or DEFAULT_PORTS[parts.scheme]
    if ours.webhook_allowed_ports and port not in ours.webhook_allowed_ports:
        open_ones = " or ".join(map(str, ours.webhook_allowed_ports))
        return f"Enter a URL with port {open_ones}. Port {port} isn’t allowed"
    address = _literal(parts.hostname or "")
    if address is None:
        return None
    guard = AddressGuard(
        ours.webhook_allowed_networks,
        closed_ports_here=[ours.port],
        denied=ours.webhook_denied_networks,
    )
    why = guard.refusal(address, port)
    if why is None:
        return None
    return f"Enter a public URL or ask an administrator to allow this one. {why}"


def _literal(host: str) -> str | None:
    """Return the IP address that this host spells, in any notation that resolvers read."""
    host = host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return "127.0.0.1"
    try:
        return str(ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None
