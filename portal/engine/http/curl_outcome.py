"""A finished libcurl handle → the Exchange that says what came of the request."""

import errno
import logging
from collections.abc import Hashable
from typing import Final

import pycurl
import requests

from portal.engine.http.certificate_dates import CertificateDates
from portal.engine.http.curl_handle import CurlHandle, Order
from portal.engine.http.curl_verdict import Progress, exception_for, reason_for_curl
from portal.engine.http.exchange import Exchange, Phases, one_line, read_head
from portal.engine.http.url import host_of, is_named
from portal.engine.reason_keys import NEVER_LEFT, Reason, reason_for_code

log = logging.getLogger(__name__)

# Whoever sees deliveries must not learn from them what a name leads to inside our network.
BLOCKED_DETAIL: Final = "Its address may not be reached; the log file says which it is, and why."

_NO_TURN: Final = "Earlier look-ups of names have had no answer; this one had no turn in time."

# What ends a request before anything of it has left, on this machine or on the way. A blocked
# address and headers that may not be sent are nobody's trouble.
_UNREACHED: Final = NEVER_LEFT - {Reason.BLOCKED, Reason.BAD_HEADERS} | {
    Reason.RESET,
    Reason.NO_REPLY,
}
# libcurl's words for a name that is not found, or not in time.
_RESOLVING: Final = ("Could not resolve", "Resolving timed out")
_SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_CONNECTING = pycurl.NAMELOOKUP_TIME, pycurl.CONNECT_TIME, pycurl.APPCONNECT_TIME


def exchange_of(
    handle: CurlHandle, curl_code: int, message: str, certificates: CertificateDates
) -> Exchange:
    """What a handle shows once libcurl has ended its request with this result.

    An answer whose head was complete is what its code says, also when the body was cut short by
    us or by the receiver. The one exception: a 2xx whose body outlasted the deadline has failed.
    """
    request = handle.request
    assert request is not None  # noqa: S101 -- a loaded handle always has one
    head = read_head(handle.head)
    code = _code(handle.curl) if head.complete else None
    was_open = handle.peer is not None and handle.curl.getinfo(pycurl.NUM_CONNECTS) == 0
    phases = _phases(handle, was_open=was_open)
    reason = _reason(handle, code, curl_code, message, phases)
    answered = code is not None and reason is not Reason.READ_TIMEOUT
    # That we read no further is no fault of the receiver's, and nothing for people to wonder at.
    was_enough = code is not None and handle.truncated
    told = "" if was_enough else message
    is_blocked = reason is Reason.BLOCKED
    if is_blocked:
        log.warning("Sent nothing to %s: %s", host_of(request.url or ""), handle.refusal)
    detail = one_line(BLOCKED_DETAIL if is_blocked else told)
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
    """The Exchange of a request that never left."""
    return Exchange(key, request, reason, error=error, detail=one_line(str(error)))


def without_turn(order: Order) -> Exchange:
    """The Exchange of a request whose name was not even looked up."""
    late = requests.exceptions.ConnectTimeout(_NO_TURN, request=order.request)
    waited = unsendable(order.key, order.request, Reason.DNS, late)
    return waited._replace(is_unreached=True)


def _is_unreached(handle: CurlHandle, reason: Reason, curl_code: int, message: str) -> bool:
    if not _is_connecting(handle, message) or curl_code == pycurl.E_URL_MALFORMAT:
        return False
    if reason is Reason.BLOCKED:  # where a name leads to may differ from machine to machine
        return handle.request is not None and is_named(handle.request.url or "")
    return reason in _UNREACHED or handle.socket_errno in _SCARCE


def _is_connecting(handle: CurlHandle, message: str) -> bool:
    """Also where the connection that was open had ended, and its name was no longer found."""
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
    # Other numbers are no final answer of HTTP, though libcurl reads them.
    return code if 200 <= code <= 599 else None


def _phases(handle: CurlHandle, *, was_open: bool) -> Phases:
    getinfo, waited = handle.curl.getinfo, handle.waited
    again = handle.again if handle.reopened is None else handle.reopened
    # libcurl's clock and ours are not begun in the same moment.
    total = max(waited + getinfo(pycurl.TOTAL_TIME), again or 0.0)
    # libcurl fills this one in even when nothing ever came.
    first_byte = waited + getinfo(pycurl.STARTTRANSFER_TIME) if handle.head else None
    if was_open:  # nothing to be looked up or connected
        return Phases(first_byte=first_byte, total=total, again=again)
    # libcurl writes 0 for a phase that there was not.
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
