"""Read the timing and result of a request from a finished libcurl handle, bounded for storage."""

import errno
import logging
import re
import ssl
from collections.abc import Hashable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, time, timedelta
from io import BytesIO
from typing import Final, NamedTuple

import pycurl
import requests
from requests.structures import CaseInsensitiveDict

from portal.engine.http.address_guard import host_of, is_named
from portal.engine.http.curl_handle import CurlHandle, Order
from portal.engine.reasons import NEVER_LEFT, Reason, reason_for_code
from portal.lib.dates import LAST_DAY
from portal.lib.typed_text import storable

MAX_TEXT = 16 * 1024
"""Characters of the response's body that are kept as text."""
MAX_DETAIL = 500
MAX_KEPT_HEADERS = 100
MAX_KEPT_HEADER_NAME = 100
MAX_KEPT_HEADER_VALUE = 2048

_CHARSET = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)
# Supported besides UTF-8. Every other codec is either rare or open to abuse.
_LATIN = frozenset({"iso-8859-1", "latin-1", "latin1", "windows-1252", "us-ascii"})


class Phases(NamedTuple):
    """Seconds from the start of the request to the end of each phase. They never decrease.

    None means that the phase wasn't reached or doesn't exist. A reused connection has no lookup,
    connect, or TLS phase, and plain HTTP has no TLS phase. `first_byte` is set once a whole line of
    the response has arrived.

    `again` is separate. It is the time of a resend, or of the reconnect for it, after a reused
    connection ended before a response. The receiver might have read the request twice. The other
    phases are then those of the second time.
    """

    name_lookup: float | None = None
    connect: float | None = None
    tls: float | None = None
    first_byte: float | None = None
    total: float | None = None
    again: float | None = None


class Exchange(NamedTuple):
    """One request that has ended.

    `reason` is None only for success, a complete 2xx response. `code` is set once a response's
    headers are complete, even if its body then times out. `error` is set without a usable response,
    `response` with one. `peer` is the connected address as `ip:port`. `text` and `response_headers`
    are cut for storage. `truncated` means that the response was longer. `detail` is one line of
    technical text, without URL, header values, or body. `is_unreached`: there was no connection to
    send it over, which can be the sender's own fault.
    """

    key: Hashable
    request: requests.PreparedRequest
    reason: Reason | None
    code: int | None = None
    error: requests.RequestException | None = None
    phases: Phases = Phases()
    peer: str | None = None
    reused_connection: bool = False
    certificate_ends_at: datetime | None = None
    phrase: str = ""
    response_headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    detail: str = ""
    is_unreached: bool = False

    @property
    def text(self) -> str:
        """Return at most `MAX_TEXT` characters of the body that any database can store."""
        charset = _CHARSET.search(self.header("Content-Type") or "")
        latin = charset is not None and charset[1].lower() in _LATIN
        text = self.body.decode("cp1252" if latin else "utf-8", "replace")[:MAX_TEXT]
        return storable(text)

    @property
    def location(self) -> str | None:
        """Return the target of a redirect as the receiver wrote it."""
        return self.header("Location")

    @property
    def response(self) -> requests.Response | None:
        """Return a new `requests.Response` on each access, or None without a usable response."""
        if self.code is None or self.error is not None:
            return None
        response = requests.Response()
        response.status_code = self.code
        response.reason = self.phrase
        response.url = self.request.url or ""
        response.request = self.request
        response.headers = CaseInsensitiveDict(self.response_headers)
        response.raw = BytesIO(self.body)
        response.encoding = requests.utils.get_encoding_from_headers(response.headers)
        response.elapsed = timedelta(seconds=self.phases.total or 0.0)
        return response

    def header(self, name: str) -> str | None:
        """Return the first response header with this name, ignoring case."""
        lower = name.lower()
        for own, value in self.response_headers:
            if own.lower() == lower:
                return value
        return None


def one_line(text: str) -> str:
    """Return technical text for a table cell, as one line of bounded length."""
    return storable(" ".join(text.split()))[:MAX_DETAIL]


class Head(NamedTuple):
    """The head of the final response. `complete`: its blank line has arrived."""

    complete: bool
    phrase: str
    headers: tuple[tuple[str, str], ...]


def read_head(lines: Iterable[bytes]) -> Head:
    """Parse raw header lines, without informational responses (1xx) and trailers."""
    # Latin-1 has no surrogates, so only NUL can't be stored.
    text = b"".join(lines).decode("latin-1").replace("\0", "\ufffd").replace("\r\n", "\n")
    block, end, rest = text.partition("\n\n")
    while rest and block.partition(" ")[2].startswith("1"):
        block, end, rest = rest.partition("\n\n")
    status_line, *headers = block.split("\n")
    complete = bool(end) and not status_line.partition(" ")[2].startswith("1")
    return Head(complete, status_line.partition(" ")[2][4:100], tuple(_pairs(headers)))


def _pairs(lines: list[str]) -> Iterable[tuple[str, str]]:
    for line in lines[:MAX_KEPT_HEADERS]:
        name, colon, value = line.partition(":")
        if colon:
            yield name[:MAX_KEPT_HEADER_NAME], value.strip()[:MAX_KEPT_HEADER_VALUE]


class CertificateDates:
    """A cache of the end date of each open connection's certificate. Drops the oldest first.

    libcurl shows a certificate only to the request that opened the connection. Later requests on
    the connection ask here.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._by_connection: dict[int, datetime] = {}

    def end_for(self, curl: pycurl.Curl, *, is_new: bool) -> datetime | None:
        """Return the end date for a finished request. `is_new`: it did the TLS handshake."""
        if is_new:
            return self._remember(curl.getinfo(pycurl.CONN_ID), _end_shown(curl))
        # Skips the call to libcurl if all receivers use plain HTTP.
        return (
            self._by_connection.get(curl.getinfo(pycurl.CONN_ID)) if self._by_connection else None
        )

    def _remember(self, connection: int, end: datetime | None) -> datetime | None:
        if end is not None:
            self._by_connection[connection] = end
            if len(self._by_connection) > self._capacity:
                del self._by_connection[next(iter(self._by_connection))]
        return end


# A certificate without an end has 9999-12-31, which not every time zone can show.
LAST_END: Final = datetime.combine(LAST_DAY, time.max, UTC)


def _end_shown(curl: pycurl.Curl) -> datetime | None:
    """Return the `Expire date` of the chain's first certificate, which is the receiver's."""
    chain = curl.getinfo(pycurl.INFO_CERTINFO)
    for field, value in chain[0] if chain else ():
        if field == "Expire date":
            with suppress(ValueError):  # "Bad time value"
                end = datetime.fromtimestamp(ssl.cert_time_to_seconds(value), UTC)
                return min(end, LAST_END)
    return None


log = logging.getLogger(__name__)

# Deliveries must not reveal the address of a name inside our network.
BLOCKED_DETAIL: Final = (
    "The portal isn’t allowed to connect to this IP address. The log file shows the address and "
    "the reason."
)

_NO_TURN: Final = (
    "The DNS resolver hasn’t answered earlier lookups. This one couldn’t start in time."
)

# These end a request before any of it is sent, because of this machine or of the path. Blocked
# addresses and forbidden headers are no network problem.
_UNREACHED: Final = NEVER_LEFT - {Reason.BLOCKED, Reason.BAD_HEADERS} | {
    Reason.RESET,
    Reason.NO_REPLY,
}
# libcurl's messages for a name that isn't found, or not in time.
_RESOLVING: Final = ("Could not resolve", "Resolving timed out")
_SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_CONNECTING = pycurl.NAMELOOKUP_TIME, pycurl.CONNECT_TIME, pycurl.APPCONNECT_TIME


def exchange_of(
    handle: CurlHandle, curl_code: int, message: str, certificates: CertificateDates
) -> Exchange:
    """Return the exchange of a handle whose request libcurl has ended with this result.

    The code of a response with a complete head counts, even if we or the receiver cut its body
    short. The only exception is a 2xx whose body exceeds the deadline. It is a failure.
    """
    request = handle.request
    assert request is not None  # noqa: S101 -- a loaded handle always has one
    head = read_head(handle.head)
    code = _code(handle.curl) if head.complete else None
    was_open = handle.peer is not None and handle.curl.getinfo(pycurl.NUM_CONNECTS) == 0
    phases = _phases(handle, was_open=was_open)
    reason = _reason(handle, code, curl_code, message, phases)
    answered = code is not None and reason is not Reason.READ_TIMEOUT
    # It isn't the receiver's fault that we stop reading, so people don't get a message about it.
    was_enough = code is not None and handle.truncated
    shown = "" if was_enough else message
    is_blocked = reason is Reason.BLOCKED
    if is_blocked:
        log.warning("Sent nothing to %s: %s", host_of(request.url or ""), handle.refusal)
    detail = one_line(BLOCKED_DETAIL if is_blocked else shown)
    return Exchange(
        key=handle.key,
        request=request,
        reason=reason,
        code=code,
        error=None if answered or reason is None else exception_for(reason, detail, request),
        phases=phases,
        peer=None if is_blocked else _peer(handle.peer),
        reused_connection=was_open,
        certificate_ends_at=certificates.end_for(handle.curl, is_new=phases.tls is not None),
        phrase=head.phrase,
        response_headers=head.headers,
        body=bytes(handle.body),
        truncated=handle.truncated or (answered and curl_code != pycurl.E_OK),
        detail=detail,
        is_unreached=reason is not None and _is_unreached(handle, reason, curl_code, message),
    )


def unsendable(
    key: Hashable,
    request: requests.PreparedRequest,
    reason: Reason,
    error: requests.RequestException,
) -> Exchange:
    """Return the exchange of a request that was never sent."""
    return Exchange(key, request, reason, error=error, detail=one_line(str(error)))


def without_turn(order: Order) -> Exchange:
    """Return the exchange of a request whose name lookup never started."""
    late = requests.exceptions.ConnectTimeout(_NO_TURN, request=order.request)
    waited = unsendable(order.key, order.request, Reason.DNS, late)
    return waited._replace(is_unreached=True)


def _is_unreached(handle: CurlHandle, reason: Reason, curl_code: int, message: str) -> bool:
    if not _is_connecting(handle, message) or curl_code == pycurl.E_URL_MALFORMAT:
        return False
    if reason is Reason.BLOCKED:  # a name can resolve differently on each machine
        return handle.request is not None and is_named(handle.request.url or "")
    return reason in _UNREACHED or handle.socket_errno in _SCARCE


def _is_connecting(handle: CurlHandle, message: str) -> bool:
    """Return whether the request has no connection.

    This includes a reused connection that ended before its name failed to resolve.
    """
    return handle.is_connecting or message.startswith(_RESOLVING)


def _reason(
    handle: CurlHandle, code: int | None, curl_code: int, message: str, phases: Phases
) -> Reason | None:
    if handle.refusal is not None and not handle.opened:
        return Reason.BLOCKED
    if handle.has_given_up:
        return Reason.NO_REPLY
    if code is not None:
        if curl_code == pycurl.E_OPERATION_TIMEDOUT and 200 <= code <= 299:
            return Reason.READ_TIMEOUT
        return reason_for_code(code)
    if curl_code == pycurl.E_OK or (curl_code == pycurl.E_GOT_NOTHING and handle.head):
        return Reason.BAD_REPLY
    progress = Progress(
        name_found=phases.name_lookup is not None or handle.reopened is not None,
        connected=phases.connect is not None,
        request_began=not _is_connecting(handle, message),
        errno=handle.socket_errno or handle.curl.getinfo(pycurl.OS_ERRNO),
    )
    return reason_for_curl(curl_code, message, progress)


def _code(curl: pycurl.Curl) -> int | None:
    code: int = curl.getinfo(pycurl.RESPONSE_CODE)
    # libcurl also reads other numbers, but they aren't final HTTP status codes.
    return code if 200 <= code <= 599 else None


def _phases(handle: CurlHandle, *, was_open: bool) -> Phases:
    getinfo, waited = handle.curl.getinfo, handle.waited
    again = handle.again if handle.reopened is None else handle.reopened
    # libcurl's clock and ours start at different moments.
    total = max(waited + getinfo(pycurl.TOTAL_TIME), again or 0.0)
    # libcurl sets this even if no data arrived.
    first_byte = waited + getinfo(pycurl.STARTTRANSFER_TIME) if handle.head else None
    if was_open:  # without lookup and connect
        return Phases(first_byte=first_byte, total=total, again=again)
    # libcurl reports 0 for a missing phase.
    lookup, connect, tls = map(getinfo, _CONNECTING)
    return Phases(
        name_lookup=waited + lookup if lookup else None,
        connect=waited + connect if connect else None,
        tls=waited + tls if tls else None,
        first_byte=first_byte,
        total=total,
        again=again,
    )


def _peer(peer: tuple[str, int] | None) -> str | None:
    if peer is None:
        return None
    host, port = peer
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_BY_ERRNO = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ECONNRESET: Reason.REFUSED,
    errno.ETIMEDOUT: Reason.CONNECT_TIMEOUT,
    errno.ENETUNREACH: Reason.UNREACHABLE,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.EADDRNOTAVAIL: Reason.UNREACHABLE,
    errno.EAFNOSUPPORT: Reason.UNREACHABLE,
    errno.EACCES: Reason.UNREACHABLE,
    errno.EPERM: Reason.UNREACHABLE,
}

# CURLE_TOO_LARGE, for which pycurl has no name.
_TOO_LARGE = 100

_BY_CURL_CODE = {
    pycurl.E_URL_MALFORMAT: Reason.DNS,
    pycurl.E_COULDNT_RESOLVE_HOST: Reason.DNS,
    pycurl.E_GOT_NOTHING: Reason.NO_REPLY,
    pycurl.E_SEND_ERROR: Reason.RESET,
    pycurl.E_UNSUPPORTED_PROTOCOL: Reason.BAD_REPLY,
    pycurl.E_FTP_WEIRD_SERVER_REPLY: Reason.BAD_REPLY,
    pycurl.E_PARTIAL_FILE: Reason.BAD_REPLY,
    pycurl.E_WRITE_ERROR: Reason.BAD_REPLY,
    pycurl.E_BAD_CONTENT_ENCODING: Reason.BAD_REPLY,
    _TOO_LARGE: Reason.BAD_REPLY,
    pycurl.E_SSL_CONNECT_ERROR: Reason.TLS_OTHER,
    pycurl.E_SSL_CERTPROBLEM: Reason.TLS_OTHER,
    pycurl.E_SSL_CIPHER: Reason.TLS_OTHER,
    pycurl.E_SSL_ISSUER_ERROR: Reason.TLS_UNTRUSTED,
}

# OpenSSL's and libcurl's messages for a refused certificate. The first match counts.
_CERTIFICATE_WORDS = (
    ("certificate has expired", Reason.TLS_EXPIRED),
    ("certificate is not yet valid", Reason.TLS_EXPIRED),
    ("subject name", Reason.TLS_NAME),
    ("hostname mismatch", Reason.TLS_NAME),
    ("ip address mismatch", Reason.TLS_NAME),
    ("self-signed", Reason.TLS_UNTRUSTED),
    ("self signed", Reason.TLS_UNTRUSTED),
    ("issuer", Reason.TLS_UNTRUSTED),
    ("unable to verify", Reason.TLS_UNTRUSTED),
    ("untrusted", Reason.TLS_UNTRUSTED),
)

_EXCEPTIONS: dict[Reason, type[requests.RequestException]] = {
    Reason.CONNECT_TIMEOUT: requests.ConnectTimeout,
    Reason.READ_TIMEOUT: requests.ReadTimeout,
    Reason.TLS_EXPIRED: requests.exceptions.SSLError,
    Reason.TLS_UNTRUSTED: requests.exceptions.SSLError,
    Reason.TLS_NAME: requests.exceptions.SSLError,
    Reason.TLS_OTHER: requests.exceptions.SSLError,
    Reason.BAD_HEADERS: requests.exceptions.InvalidHeader,
}


class Progress(NamedTuple):
    """The progress of a request when libcurl gave up."""

    name_found: bool
    connected: bool
    request_began: bool
    errno: int


def reason_for_curl(code: int, message: str, progress: Progress) -> Reason:
    """Return the reason for a libcurl error without a usable response."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return _timeout(progress)
    if code == pycurl.E_COULDNT_CONNECT:
        return _BY_ERRNO.get(progress.errno, Reason.INTERNAL)
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return _certificate(message)
    if code == pycurl.E_RECV_ERROR:
        # libcurl reports this for a broken connection and for a head beyond its limits.
        return Reason.BAD_REPLY if "header" in message.lower() else Reason.RESET
    return _BY_CURL_CODE.get(code, Reason.INTERNAL)


def exception_for(
    reason: Reason, detail: str, request: requests.PreparedRequest
) -> requests.RequestException:
    """Return the exception that requests would raise."""
    return _EXCEPTIONS.get(reason, requests.ConnectionError)(detail, request=request)


def _timeout(progress: Progress) -> Reason:
    if progress.request_began:
        return Reason.READ_TIMEOUT
    if progress.connected:
        # The port is open but doesn't speak TLS.
        return Reason.TLS_OTHER
    return Reason.CONNECT_TIMEOUT if progress.name_found else Reason.DNS


def _certificate(message: str) -> Reason:
    words = message.lower()
    return next((reason for part, reason in _CERTIFICATE_WORDS if part in words), Reason.TLS_OTHER)
