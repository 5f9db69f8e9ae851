"""What libcurl's result means: its error code → reason → exception of requests."""

import errno
from typing import NamedTuple

import pycurl
import requests

from portal.engine.reason_keys import Reason

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

# CURLE_TOO_LARGE, which pycurl does not name.
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

# OpenSSL's and libcurl's words for a certificate that was refused; the first that matches.
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
    """How far a request had come when libcurl gave it up."""

    name_found: bool
    connected: bool
    request_began: bool
    errno: int


def reason_for_curl(code: int, message: str, progress: Progress) -> Reason:
    """The reason for a libcurl error after which no answer can be used."""
    if code == pycurl.E_OPERATION_TIMEDOUT:
        return _timeout(progress)
    if code == pycurl.E_COULDNT_CONNECT:
        return _BY_ERRNO.get(progress.errno, Reason.INTERNAL)
    if code == pycurl.E_PEER_FAILED_VERIFICATION:
        return _certificate(message)
    if code == pycurl.E_RECV_ERROR:
        # libcurl says "receive error" of a broken connection and of a head beyond its limits.
        return Reason.BAD_REPLY if "header" in message.lower() else Reason.RESET
    return _BY_CURL_CODE.get(code, Reason.INTERNAL)


def exception_for(
    reason: Reason, detail: str, request: requests.PreparedRequest
) -> requests.RequestException:
    """The exception by which requests would have reported this."""
    return _EXCEPTIONS.get(reason, requests.ConnectionError)(detail, request=request)


def _timeout(progress: Progress) -> Reason:
    if progress.request_began:
        return Reason.READ_TIMEOUT
    if progress.connected:
        # The port is open, but nobody there speaks TLS.
        return Reason.TLS_OTHER
    return Reason.CONNECT_TIMEOUT if progress.name_found else Reason.DNS


def _certificate(message: str) -> Reason:
    words = message.lower()
    return next((reason for part, reason in _CERTIFICATE_WORDS if part in words), Reason.TLS_OTHER)
