"""Each way in which libcurl says that nothing came of a request, and the reason that people see."""

import errno

import certifi

from portal.engine.http import exchange as exchange_module
from portal.engine.http.curl_handle import CurlHandle
from portal.engine.http.exchange import Progress, exception_for, reason_for_curl
from portal.engine.http.transport import prepare
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers.send import open_guard

# By number, as libcurl documents them: https://curl.se/libcurl/c/libcurl-errors.html
CODES = [
    (1, Reason.BAD_REPLY),
    (3, Reason.DNS),
    (6, Reason.DNS),
    (8, Reason.BAD_REPLY),
    (18, Reason.BAD_REPLY),
    (23, Reason.BAD_REPLY),
    (35, Reason.TLS_OTHER),
    (52, Reason.NO_REPLY),
    (55, Reason.RESET),
    (58, Reason.TLS_OTHER),
    (59, Reason.TLS_OTHER),
    (61, Reason.BAD_REPLY),
    (83, Reason.TLS_UNTRUSTED),
    (100, Reason.BAD_REPLY),
    (2, Reason.INTERNAL),
]
CONNECTS = [
    (errno.ECONNREFUSED, Reason.REFUSED),
    (errno.ECONNRESET, Reason.REFUSED),
    (errno.ETIMEDOUT, Reason.CONNECT_TIMEOUT),
    (errno.ENETUNREACH, Reason.UNREACHABLE),
    (errno.EHOSTUNREACH, Reason.UNREACHABLE),
    (errno.EADDRNOTAVAIL, Reason.UNREACHABLE),
    (errno.EAFNOSUPPORT, Reason.UNREACHABLE),
    (errno.EACCES, Reason.UNREACHABLE),
    (errno.EPERM, Reason.UNREACHABLE),
    (errno.EMFILE, Reason.INTERNAL),
]
WORDS = [
    ("SSL certificate problem: certificate has expired", Reason.TLS_EXPIRED),
    ("SSL certificate problem: certificate is not yet valid", Reason.TLS_EXPIRED),
    ("SSL: no alternative certificate subject name matches 'a'", Reason.TLS_NAME),
    ("SSL certificate problem: Hostname mismatch", Reason.TLS_NAME),
    ("SSL certificate problem: IP address mismatch", Reason.TLS_NAME),
    ("SSL certificate problem: self-signed certificate", Reason.TLS_UNTRUSTED),
    ("SSL certificate problem: self signed certificate in chain", Reason.TLS_UNTRUSTED),
    ("unable to get local issuer certificate", Reason.TLS_UNTRUSTED),
    ("unable to verify the first certificate", Reason.TLS_UNTRUSTED),
    ("the certificate is untrusted", Reason.TLS_UNTRUSTED),
    ("something else", Reason.TLS_OTHER),
]
# The name was found, there was a connection, the request had begun.
TIMEOUTS = [
    ((False, False, False), Reason.DNS),
    ((True, False, False), Reason.CONNECT_TIMEOUT),
    ((True, True, False), Reason.TLS_OTHER),
    ((True, True, True), Reason.READ_TIMEOUT),
]


def reason(code: int, message: str = "", number: int = 0) -> Reason:
    return reason_for_curl(code, message, Progress(True, True, True, number))


def test_nothing_was_sent_again_after_the_end() -> None:
    """Two clocks say it: libcurl's, by which this one has not begun, and ours."""
    handle = CurlHandle(open_guard(), certifi.where())
    handle.reopened = 0.25
    phases = exchange_module._phases(handle, was_open=False)
    handle.curl.close()
    assert (phases.again, phases.total) == (0.25, 0.25)


def test_a_code_of_libcurl_is_a_reason() -> None:
    for code, expected in CODES:
        assert reason(code) is expected, code


def test_a_connection_fails_as_the_system_says() -> None:
    for number, expected in CONNECTS:
        assert reason(7, number=number) is expected, number


def test_a_certificate_is_refused_for_what_is_said_of_it() -> None:
    for words, expected in WORDS:
        assert reason(60, words) is expected, words


def test_time_is_up_where_the_request_had_come() -> None:
    for came, expected in TIMEOUTS:
        assert reason_for_curl(28, "", Progress(*came, errno=0)) is expected, came


def test_a_head_beyond_all_bounds_is_no_broken_connection() -> None:
    assert reason(56, "Too large response headers: 300 > 200") is Reason.BAD_REPLY
    assert reason(56, "Recv failure: Connection reset by peer") is Reason.RESET


def test_it_is_told_by_an_exception_of_requests() -> None:
    for why, name in (
        (Reason.CONNECT_TIMEOUT, "ConnectTimeout"),
        (Reason.READ_TIMEOUT, "ReadTimeout"),
        (Reason.TLS_EXPIRED, "SSLError"),
        (Reason.TLS_UNTRUSTED, "SSLError"),
        (Reason.TLS_NAME, "SSLError"),
        (Reason.TLS_OTHER, "SSLError"),
        (Reason.BAD_HEADERS, "InvalidHeader"),
        (Reason.REFUSED, "ConnectionError"),
    ):
        request = prepare("https://receiver.example.com/", {}, b"")
        told = exception_for(why, "in detail", request)
        assert (type(told).__name__, str(told)) == (name, "in detail"), why
        assert told.request is request, why
