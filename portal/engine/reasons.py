"""Why an attempt failed: the only table from cause to plain words.

The page, the log, the CSV, the API and the help page all read it. Everything here is plain
text; escaping is the work of whoever prints it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The classified cause of a failed attempt; the database stores the value."""

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
    """On whose side the cause lies."""

    RECEIVER = "receiver"
    NETWORK = "network"
    US = "us"
    YOU = "you"

    @property
    def label(self) -> str:
        """The side in plain words."""
        return _SIDE_LABELS[self]


class ReasonGroup(StrEnum):
    """The few groups by which the log is filtered; the value stands in addresses."""

    CONNECT = "connect"
    CERTIFICATE = "certificate"
    SAID_NO = "said_no"
    RECEIVER_PROBLEM = "receiver_problem"
    OUR_SIDE = "our_side"

    @property
    def label(self) -> str:
        """The group in plain words."""
        return _GROUP_LABELS[self]


# These end an attempt before a byte of the message has left.
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
# After these nobody here knows whether the receiver has taken the message.
UNCLEAR: Final = frozenset(
    {Reason.READ_TIMEOUT, Reason.RESET, Reason.NO_REPLY, Reason.BAD_REPLY, Reason.INTERRUPTED}
)

_SIDE_LABELS: Final = {
    Side.RECEIVER: "The receiver's side",
    Side.NETWORK: "The network in between",
    Side.US: "This portal",
    Side.YOU: "The settings of this webhook",
}
_GROUP_LABELS: Final = {
    ReasonGroup.CONNECT: "Could not connect",
    ReasonGroup.CERTIFICATE: "Security certificate",
    ReasonGroup.SAID_NO: "The receiver said no",
    ReasonGroup.RECEIVER_PROBLEM: "The receiver had a problem",
    ReasonGroup.OUR_SIDE: "Stopped on our side",
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
    """Return the reason that an HTTP status code stands for; None for 2xx, which is success."""
    if 200 <= code <= 299:
        return None
    return _BY_CODE.get(code) or _BY_CLASS.get(code // 100, Reason.BAD_REPLY)


HOST_LIMIT: Final = 100
LOCATION_LIMIT: Final = 200
WORD_LIMIT: Final = 64


@dataclass(frozen=True, slots=True)
class Explanation:
    """One reason in words for people who do not program; plain text, not yet escaped."""

    title: str
    what_happened: str
    next_step: str
    side: Side
    group: ReasonGroup


# With places in braces that `explain` fills in.
_Row = Explanation
_RECEIVER, _NETWORK, _US, _YOU = Side.RECEIVER, Side.NETWORK, Side.US, Side.YOU
_CONNECT, _CERTIFICATE = ReasonGroup.CONNECT, ReasonGroup.CERTIFICATE
_SAID_NO, _PROBLEM = ReasonGroup.SAID_NO, ReasonGroup.RECEIVER_PROBLEM
_OUR_SIDE = ReasonGroup.OUR_SIDE

_HUNG_UP: Final = _Row(
    "Connection closed early",
    "{host} closed the connection before it answered.",
    "Ask the receiver's owner to check their log at {time}.",
    _RECEIVER,
    _PROBLEM,
)

# Kept narrow by hand, so that it reads as the table it is.
# fmt: off
_TABLE: Final[dict[Reason, _Row]] = {
    Reason.DNS: _Row(
        "Server not found", "We could not find the server{named}.",
        "Check the address for typing mistakes. If it is right, ask its owner whether the name"
        " is set up.", _YOU, _CONNECT),
    Reason.REFUSED: _Row(
        "Connection refused", "{host} refused the connection.",
        "The server is probably stopped, or the port is wrong. Ask its owner to start it, then"
        " {retry}.", _RECEIVER, _CONNECT),
    Reason.CONNECT_TIMEOUT: _Row(
        "Timeout: no connection", "We could not reach {host} {within}.",
        "A firewall may be blocking us. Ask them to allow our address.", _NETWORK, _CONNECT),
    Reason.READ_TIMEOUT: _Row(
        "Timeout: no answer", "{host} took too long to answer.",
        "It may still have received the delivery. Ask them to answer at once and do the work"
        " afterwards.", _RECEIVER, _PROBLEM),
    Reason.UNREACHABLE: _Row(
        "No network route", "There is no network route to {host}.",
        "Tell your administrator.", _NETWORK, _CONNECT),
    Reason.RESET: _HUNG_UP,
    Reason.NO_REPLY: _HUNG_UP,
    Reason.BAD_REPLY: _Row(
        "Not a web server's answer",
        "The answer of {host} was not one that a web server gives.",
        "Check the address and the port.", _YOU, _PROBLEM),
    Reason.TLS_EXPIRED: _Row(
        "Certificate expired", "The certificate of {host} has expired.",
        "Ask its owner to renew it.", _RECEIVER, _CERTIFICATE),
    Reason.TLS_UNTRUSTED: _Row(
        "Certificate not trusted", "The certificate of {host} is not trusted.",
        "Ask its owner to use one from a public authority, with its full chain.",
        _RECEIVER, _CERTIFICATE),
    Reason.TLS_NAME: _Row(
        "Certificate for another name", "The certificate of {host} belongs to another name.",
        "Use the name in the certificate.", _YOU, _CERTIFICATE),
    Reason.TLS_OTHER: _Row(
        "No secure connection", "No secure connection to {host} could be made.",
        "Check whether the address begins with http or https, and the port.",
        _YOU, _CERTIFICATE),
    Reason.BLOCKED: _Row(
        "Private address, not sent",
        "This address is inside a private network or closed by a setting, so nothing was sent.",
        "Use a public address, or ask an administrator to allow it.", _YOU, _OUR_SIDE),
    Reason.BAD_HEADERS: _Row(
        "Custom header, not sent",
        "A custom header of this webhook may not be sent, so nothing was sent.",
        "Edit the webhook, change or remove that header, then {retry}.", _YOU, _OUR_SIDE),
    Reason.REDIRECT: _Row(
        "Redirected", "{host} redirected us to another address{location}.",
        "Edit the webhook and use the final address.", _YOU, _SAID_NO),
    Reason.BAD_REQUEST: _Row(
        "Content not accepted", "{host} did not accept the content.",
        "Under “What came back”, the page of the delivery says why. Send the help bundle to the"
        " receiver's developer.", _RECEIVER, _SAID_NO),
    Reason.AUTH: _Row(
        "Authentication rejected", "{host} rejected our authentication.",
        "Compare the secret key and the custom headers with what the receiver expects.",
        _YOU, _SAID_NO),
    Reason.FORBIDDEN: _Row(
        "Access denied", "{host} denied us access.",
        "Ask its owner for permission.", _RECEIVER, _SAID_NO),
    Reason.NOT_FOUND: _Row(
        "Nothing at this address", "{host} says that nothing is at this address.",
        "Check the part of the address after the name.", _YOU, _SAID_NO),
    Reason.METHOD: _Row(
        "Accepts no deliveries here", "{host} says that this address accepts no deliveries.",
        "Ask its owner for the webhook address.", _YOU, _SAID_NO),
    Reason.GONE: _Row(
        "Closed for good", "{host} says that this address is closed for good.",
        "{turned_off}Ask its owner for a new address.", _RECEIVER, _SAID_NO),
    Reason.CONFLICT: _Row(
        "Already received", "{host} says that it has already received this delivery.",
        "Usually there is nothing to do.", _RECEIVER, _SAID_NO),
    Reason.TOO_LARGE: _Row(
        "Too large", "The delivery is too large for {host}.",
        "Ask its owner to raise the limit.", _RECEIVER, _SAID_NO),
    Reason.RATE: _Row(
        "Asked us to slow down", "{host} asked us to slow down.",
        "{again}", _RECEIVER, _SAID_NO),
    Reason.OTHER_4XX: _Row(
        "Delivery rejected", "{host} rejected the delivery.",
        "Send the help bundle to the receiver's developer.", _RECEIVER, _SAID_NO),
    Reason.SERVER: _Row(
        "Server error", "{host} returned a server error.",
        "Our side is working. Ask the receiver's owner to check their log at {time}.",
        _RECEIVER, _PROBLEM),
    Reason.UNAVAILABLE: _Row(
        "Down or restarting", "{host} is down or restarting.",
        "Our side is working. Ask the receiver's owner to check their log at {time}.",
        _RECEIVER, _PROBLEM),
    Reason.INTERRUPTED: _Row(
        "Interrupted",
        "Sending was interrupted, and we do not know whether the delivery arrived.",
        "Usually nothing: we send it again, and its id stays the same.", _US, _OUR_SIDE),
    Reason.WEBHOOK_OFF: _Row(
        "The webhook was off", "The webhook was off.",
        "Turn it on when deliveries should go out.", _YOU, _OUR_SIDE),
    Reason.INTERNAL: _Row(
        "A problem in this portal", "There was a problem in this portal.",
        "Tell your administrator{reference}.", _US, _OUR_SIDE),
}
# fmt: on


def title(reason: Reason, code: int | None = None) -> str:
    """Return the words of the log's Result column: the plain reason, then the code if any."""
    words = _TABLE[reason].title
    return f"{words} ({code})" if code is not None else words


def explain(
    reason: Reason,
    *,
    host: str,
    seconds: float | None = None,
    time: str = "",
    again: str = "",
    location: str = "",
    code: int | None = None,
    reference: str = "",
    is_test: bool = False,
    retry: str = "",
) -> Explanation:
    """Put a reason into words.

    `host` and `location` come from outside and are bounded here; a blank `host` reads "the
    receiver". `seconds` is the limit that ran out. `time` is when the attempt was made, `again`
    when the next one comes, both already written for the reader. `reference` is the id that an
    administrator finds in the log of the portal. `is_test`: a test is made again, not retried,
    and turns nothing off. `retry`: what stands in the place of Retry for those who may not.
    """
    row = _TABLE[reason]
    host, location = _bounded(host, HOST_LIMIT), _bounded(location, LOCATION_LIMIT)
    retry = retry or ("test again" if is_test else "Retry")
    words = {
        "host": host or "the receiver",
        "named": f" {host}" if host else "",
        "within": "in time" if seconds is None else f"within {seconds:g} s",
        "time": _bounded(time, WORD_LIMIT) or "the time of the last attempt",
        "again": _next_try(_bounded(again, WORD_LIMIT), retry),
        "retry": retry,
        "turned_off": "" if is_test else "We turned the webhook off. ",
        "location": f" ({location})" if location else "",
        "reference": f", reference {reference[:WORD_LIMIT]}" if reference else "",
    }
    happened = row.what_happened.format_map(words)
    return Explanation(
        title=title(reason, code),
        # A host is written as it is; our own words ("this portal") begin with a capital.
        what_happened=happened if host and " " not in host else happened[:1].upper() + happened[1:],
        next_step=row.next_step.format_map(words),
        side=row.side,
        group=row.group,
    )


def reasons_in(group: ReasonGroup) -> Iterator[Reason]:
    """Yield the reasons of one group, in the order of the table."""
    return (reason for reason, row in _TABLE.items() if row.group is group)


def alike(reason: Reason) -> tuple[Reason, ...]:
    """Return the reasons that read the same as this one, itself among them, in their order."""
    words = title(reason)
    return tuple(other for other in Reason if title(other) == words)


def _next_try(again: str, retry: str) -> str:
    if again:
        return f"Nothing to do: we retry {again}."
    slower = "Usually nothing: we slow down automatically."
    return f"{slower} If no retry is planned, wait, then {retry}."


def _bounded(text: str, limit: int) -> str:
    """One printable line of at most `limit` characters; bidi and control characters dropped."""
    line = "".join(char for char in text[: limit * 4] if char.isprintable())
    return line if len(line) <= limit else line[: limit - 1] + "…"
