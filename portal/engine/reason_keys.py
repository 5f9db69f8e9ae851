"""The keys of what can go wrong: causes, sides and groups. Their words are in `reasons.py`."""

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
    """The reason that an HTTP status code stands for; None for 2xx, which is success."""
    if 200 <= code <= 299:
        return None
    return _BY_CODE.get(code) or _BY_CLASS.get(code // 100, Reason.BAD_REPLY)
