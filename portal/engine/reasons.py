"""The reasons why attempts fail, in the only table from cause to plain words.

The page, the log, the CSV, the API, and the help page read it. All texts here are plain, so the
code that prints them must escape them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final


class Reason(StrEnum):
    """The classified cause of a failed attempt. The database stores the value."""

    DNS = "dns"
    REFUSED = "refused"
    CONNECT_TIMEOUT = "connect_timeout"
    READ_TIMEOUT = "read_timeout"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    NO_REPLY = "no_reply"
    BAD_REPLY = "bad_reply"
    TLS_EXPIRED = "tls_expired"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_NAME = "tls_name"
    TLS_OTHER = "tls_other"
    BLOCKED = "blocked"
    BAD_HEADERS = "bad_headers"
    REDIRECT = "redirect"
    BAD_REQUEST = "bad_request"
    AUTH = "auth"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD = "method"
    GONE = "gone"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE = "rate"
    OTHER_4XX = "other_4xx"
    SERVER = "server"
    UNAVAILABLE = "unavailable"
    INTERRUPTED = "interrupted"
    WEBHOOK_OFF = "webhook_off"
    INTERNAL = "internal"


class Side(StrEnum):
    """The side responsible for the cause."""

    RECEIVER = "receiver"
    NETWORK = "network"
    US = "us"
    YOU = "you"

    @property
    def label(self) -> str:
        """Return the side in plain words."""
        return _SIDE_LABELS[self]


class ReasonGroup(StrEnum):
    """The groups that filter the log. URLs contain the value."""

    CONNECT = "connect"
    CERTIFICATE = "certificate"
    SAID_NO = "said_no"
    RECEIVER_PROBLEM = "receiver_problem"
    OUR_SIDE = "our_side"

    @property
    def label(self) -> str:
        """Return the group in plain words."""
        return _GROUP_LABELS[self]


# These end an attempt before any byte of the delivery is sent.
NEVER_LEFT: Final = frozenset(
    {
        Reason.DNS,
        Reason.REFUSED,
        Reason.CONNECT_TIMEOUT,
        Reason.UNREACHABLE,
        Reason.TLS_EXPIRED,
        Reason.TLS_UNTRUSTED,
        Reason.TLS_NAME,
        Reason.TLS_OTHER,
        Reason.BLOCKED,
        Reason.BAD_HEADERS,
    }
)
# After these, we don't know whether the receiver accepted the delivery.
UNCLEAR: Final = frozenset(
    {Reason.READ_TIMEOUT, Reason.RESET, Reason.NO_REPLY, Reason.BAD_REPLY, Reason.INTERRUPTED}
)
# After these, each attempt fails until someone edits the webhook.
NEEDS_EDIT: Final = frozenset({Reason.BAD_HEADERS, Reason.REDIRECT})

_SIDE_LABELS: Final = {
    Side.RECEIVER: "Receiver",
    Side.NETWORK: "Network",
    Side.US: "This portal",
    Side.YOU: "Webhook settings",
}
_GROUP_LABELS: Final = {
    ReasonGroup.CONNECT: "Couldn’t connect",
    ReasonGroup.CERTIFICATE: "Security certificate",
    ReasonGroup.SAID_NO: "Rejected by the receiver",
    ReasonGroup.RECEIVER_PROBLEM: "Receiver problem",
    ReasonGroup.OUR_SIDE: "Not sent by this portal",
}

_BY_CODE: Final = {
    400: Reason.BAD_REQUEST,
    401: Reason.AUTH,
    403: Reason.FORBIDDEN,
    404: Reason.NOT_FOUND,
    405: Reason.METHOD,
    407: Reason.AUTH,
    409: Reason.CONFLICT,
    410: Reason.GONE,
    413: Reason.TOO_LARGE,
    422: Reason.BAD_REQUEST,
    429: Reason.RATE,
    502: Reason.UNAVAILABLE,
    503: Reason.UNAVAILABLE,
    504: Reason.UNAVAILABLE,
}
_BY_CLASS: Final = {3: Reason.REDIRECT, 4: Reason.OTHER_4XX, 5: Reason.SERVER}


def reason_for_code(code: int) -> Reason | None:
    """Return the reason for an HTTP status code, or None for a success (2xx)."""
    if 200 <= code <= 299:
        return None
    return _BY_CODE.get(code) or _BY_CLASS.get(code // 100, Reason.BAD_REPLY)


KEY: Final = "the secret key with the one"
HEADERS: Final = "the custom headers with the ones"
TOKEN: Final = "the token in the custom headers with the one"  # noqa: S105 - words
KEY_OR_HEADERS: Final = "the secret key and the custom headers with the ones"
HOST_LIMIT: Final = 100
LOCATION_LIMIT: Final = 200
WORD_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason in words for people who don't program, as plain text that isn't escaped."""

    title: str
    what_happened: str
    next_step: str
    side: Side
    group: ReasonGroup


# With placeholders in braces that `explain` replaces.
_Row = Explanation
_RECEIVER, _NETWORK, _US, _YOU = Side.RECEIVER, Side.NETWORK, Side.US, Side.YOU
_CONNECT, _CERTIFICATE = ReasonGroup.CONNECT, ReasonGroup.CERTIFICATE
_SAID_NO, _PROBLEM = ReasonGroup.SAID_NO, ReasonGroup.RECEIVER_PROBLEM
_OUR_SIDE = ReasonGroup.OUR_SIDE

_CLOSED_EARLY: Final = _Row(
    "Connection closed early",
    "{host} closed the connection before it responded.",
    "Ask the receiver’s team to check their logs at {time}.",
    _RECEIVER,
    _PROBLEM,
)

# Formatted by hand to read like a table.
# fmt: off
_TABLE: Final[dict[Reason, _Row]] = {
    Reason.DNS: _Row(
        "Server not found", "We couldn’t find the server{named}.",
        "Check the URL for typos. If it’s correct, ask the receiver’s team to check their DNS.",
        _YOU, _CONNECT),
    Reason.REFUSED: _Row(
        "Connection refused", "{host} refused the connection.",
        "Usually, the server isn’t running or the port is wrong. Ask the receiver’s team to "
        "check both.", _RECEIVER, _CONNECT),
    Reason.CONNECT_TIMEOUT: _Row(
        "Timeout: no connection", "We couldn’t reach {host} {within}.",
        "A firewall might be blocking us. Ask the receiver’s team to allow our IP address.",
        _NETWORK, _CONNECT),
    Reason.READ_TIMEOUT: _Row(
        "Timeout: no response", "{host} took too long to respond.",
        "The delivery might still have arrived. Ask the receiver’s team to respond first and "
        "process afterward.", _RECEIVER, _PROBLEM),
    Reason.UNREACHABLE: _Row(
        "No network route", "There is no network route to {host}.",
        "Contact your administrator.", _NETWORK, _CONNECT),
    Reason.RESET: _CLOSED_EARLY,
    Reason.NO_REPLY: _CLOSED_EARLY,
    Reason.BAD_REPLY: _Row(
        "Not an HTTP response", "{host} didn’t send a valid HTTP response.",
        "Check the URL and the port.", _YOU, _PROBLEM),
    Reason.TLS_EXPIRED: _Row(
        "Certificate expired", "{hosts} certificate has expired.",
        "Ask the receiver’s team to renew the certificate.", _RECEIVER, _CERTIFICATE),
    Reason.TLS_UNTRUSTED: _Row(
        "Certificate not trusted", "{hosts} certificate isn’t trusted.",
        "Ask the receiver’s team to use a certificate from a public authority, including the full"
        " chain.", _RECEIVER, _CERTIFICATE),
    Reason.TLS_NAME: _Row(
        "Certificate for a different name", "{hosts} certificate is for a different name.",
        "Use the certificate’s name in the URL.", _YOU, _CERTIFICATE),
    Reason.TLS_OTHER: _Row(
        "No secure connection", "We couldn’t make a secure connection to {host}.",
        "Check the URL’s port and prefix (http:// or https://).", _YOU, _CERTIFICATE),
    Reason.BLOCKED: _Row(
        "Private address, not sent",
        "Not sent. The URL is on a private network or blocked by a setting.",
        "Use a public URL or ask an administrator to allow this one.", _YOU, _OUR_SIDE),
    Reason.BAD_HEADERS: _Row(
        "Custom header, not sent",
        "Not sent. This webhook has a custom header that isn’t allowed.",
        "Edit the webhook and change or remove that header.", _YOU, _OUR_SIDE),
    Reason.REDIRECT: _Row(
        "Redirected", "{host} redirected us to {target}.",
        "Edit the webhook and enter the final URL.", _YOU, _SAID_NO),
    Reason.BAD_REQUEST: _Row(
        "Content not accepted", "{host} didn’t accept the content.",
        "Check the response for the reason. Then send the diagnostics to the receiver’s team.",
        _RECEIVER, _SAID_NO),
    Reason.AUTH: _Row(
        "Authentication rejected", "{host} rejected our authentication.",
        "Either side might be wrong. Compare {secrets} the receiver expects.",
        _YOU, _SAID_NO),
    Reason.FORBIDDEN: _Row(
        "Access denied", "{host} denied us access.",
        "Ask the receiver’s team to give us access.", _RECEIVER, _SAID_NO),
    Reason.NOT_FOUND: _Row(
        "Not found", "{host} has nothing at this URL.",
        "Check the URL for typos.", _YOU, _SAID_NO),
    Reason.METHOD: _Row(
        "POST not allowed", "{host} doesn’t accept POST requests at this URL.",
        "Ask the receiver’s team for the webhook URL.", _YOU, _SAID_NO),
    Reason.GONE: _Row(
        "Permanently closed", "{host} reports that this URL is permanently closed.",
        "Ask the receiver’s team whether there’s a new URL.", _RECEIVER, _SAID_NO),
    Reason.CONFLICT: _Row(
        "Already received", "{host} already received this delivery.",
        "Usually, no action is needed.", _RECEIVER, _SAID_NO),
    Reason.TOO_LARGE: _Row(
        "Too large", "The delivery is too large for {host}.",
        "Ask the receiver’s team to raise the limit.", _RECEIVER, _SAID_NO),
    Reason.RATE: _Row(
        "Rate limited", "{host} asked us to slow down.",
        "Usually, no action is needed. We slow down automatically.", _RECEIVER, _SAID_NO),
    Reason.OTHER_4XX: _Row(
        "Delivery rejected", "{host} rejected the delivery.",
        "Ask the receiver’s team why they rejected the delivery.", _RECEIVER, _SAID_NO),
    Reason.SERVER: _Row(
        "Server error", "{host} returned a server error.",
        "Ask the receiver’s team to check their logs at {time}.", _RECEIVER, _PROBLEM),
    Reason.UNAVAILABLE: _Row(
        "Down or restarting", "{host} is down or restarting.",
        "Ask the receiver’s team to check their logs at {time}.", _RECEIVER, _PROBLEM),
    Reason.INTERRUPTED: _Row(
        "Interrupted",
        "Sending was interrupted. We don’t know whether the delivery arrived.",
        "Usually, no action is needed. We’ll make another attempt "
        "with the same ID.", _US, _OUR_SIDE),
    Reason.WEBHOOK_OFF: _Row(
        "The webhook was off", "The webhook was off.",
        "Turn it on to send deliveries.", _YOU, _OUR_SIDE),
    Reason.INTERNAL: _Row(
        "Problem in this portal", "This portal had an internal error.",
        "Contact your administrator{reference}.", _US, _OUR_SIDE),
}
# fmt: on


def title(reason: Reason, code: int | None = None) -> str:
    """Return the text of the log's Result column: the plain reason, then the code if any."""
    words = _TABLE[reason].title
    return f"{words} ({code})" if code is not None else words


def explain(
    reason: Reason,
    *,
    host: str,
    seconds: float | None = None,
    time: str = "",
    location: str = "",
    code: int | None = None,
    reference: str = "",
    secrets: str = KEY_OR_HEADERS,
) -> Explanation:
    """Put a reason into words.

    `host` and `location` are untrusted and truncated here. A blank `host` reads "the receiver".
    `seconds` is the expired timeout. `time` is the attempt's time, formatted for the reader.
    `reference` is the ID that an administrator finds in the portal's log. `secrets` is the result
    of `secrets_in_question`.
    """
    row = _TABLE[reason]
    host, location = _bounded(host, HOST_LIMIT), _bounded(location, LOCATION_LIMIT)
    words = {
        "host": host or "the receiver",
        "hosts": f"{host or 'the receiver'}’s",
        "named": f" {host}" if host else "",
        "within": "in time" if seconds is None else f"within {seconds:g} s",
        "time": _bounded(time, WORD_LIMIT) or "the last attempt’s time",
        "target": location or "another URL",
        "reference": f" (reference {reference[:WORD_LIMIT]})" if reference else "",
        "secrets": secrets,
    }
    happened = row.what_happened.format_map(words)
    return Explanation(
        title=title(reason, code),
        # A host keeps its case. Our own words ("this portal") get a capital.
        what_happened=happened if host and " " not in host else happened[:1].upper() + happened[1:],
        next_step=row.next_step.format_map(words),
        side=row.side,
        group=row.group,
    )


def secrets_in_question(said: str, *, is_signed: bool) -> str:
    """Return the secrets to compare after a rejection. `said`: the receiver's sentence."""
    if is_signed and "signature" in said.lower():
        return KEY
    if "token" in said.lower():
        return TOKEN
    return KEY_OR_HEADERS if is_signed else HEADERS


def reasons_in(group: ReasonGroup) -> Iterator[Reason]:
    """Yield the reasons of one group, in the order of the table."""
    return (reason for reason, row in _TABLE.items() if row.group is group)


@cache
def alike(reason: Reason) -> tuple[Reason, ...]:
    """Return all reasons with the same title, including this one, in their order."""
    words = title(reason)
    return tuple(other for other in Reason if title(other) == words)


def _bounded(text: str, limit: int) -> str:
    """Return one line of at most `limit` characters, without bidi and control characters."""
    line = "".join(char for char in text[: limit * 4] if char.isprintable())
    return line if len(line) <= limit else line[: limit - 1] + "…"
