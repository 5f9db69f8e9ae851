"""Exchanges: stored parts of a response, allowed headers, and failure reasons."""

import errno
from datetime import timedelta
from typing import Final

import certifi
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.http import exchange as exchange_module
from portal.engine.http.curl_handle import CurlHandle
from portal.engine.http.custom_headers import HeaderError, check_headers, refuse_header
from portal.engine.http.exchange import (
    MAX_KEPT_HEADERS,
    MAX_TEXT,
    Exchange,
    Progress,
    exception_for,
    one_line,
    read_head,
    reason_for_curl,
    storable,
)
from portal.engine.http.transport import header_lines, prepare
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers.send import open_guard


def exchange(body: bytes, content_type: str = "") -> Exchange:
    headers = (("content-type", content_type),) if content_type else ()
    request = requests.PreparedRequest()
    return Exchange("one", request, None, code=200, response_headers=headers, body=body)


@given(st.binary(max_size=200), st.sampled_from(["", "text/html; charset=Latin1", "a; charset=x"]))
def test_any_body_becomes_text_that_can_be_stored(body: bytes, content_type: str) -> None:
    text = exchange(body, content_type).text
    assert "\0" not in text
    assert text.encode("utf-8").decode("utf-8") == text


def test_the_charset_of_old_servers_is_understood() -> None:
    for name in ("ISO-8859-1", "latin-1", "Latin1", "windows-1252", '"US-ASCII"'):
        assert exchange(b"caf\xe9", f"text/plain; charset={name}").text == "café", name
    for charset in ("", "; charset=utf-8", '; charset="UTF-8"', "; charset=koi8-r"):
        assert exchange("café".encode(), f"text/plain{charset}").text == "café", charset
    assert exchange(b"+AGE-", "text/plain; charset=utf-7").text == "+AGE-"


def test_text_is_bounded() -> None:
    assert len(exchange(b"x" * 65536).text) == MAX_TEXT


def test_a_response_without_a_known_duration_took_zero() -> None:
    response = exchange(b"").response
    assert response is not None
    assert response.elapsed == timedelta(0)


LINES = st.lists(
    st.one_of(
        st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n", b"\r\n", b"\n"]),
        st.sampled_from([b"Location: /a\r\n", b": \r\n", b" folded\r\n", b"no colon\r\n"]),
        st.binary(max_size=20),
    ),
    max_size=8,
)


@given(LINES)
def test_any_head_can_be_read(lines: list[bytes]) -> None:
    head = read_head(lines)
    assert len(head.headers) <= MAX_KEPT_HEADERS
    assert all(storable(name + value) == name + value for name, value in head.headers)


def test_a_head_is_complete_at_the_final_blank_line() -> None:
    early = [b"HTTP/1.1 100 Continue\r\n", b"X: early\r\n", b"\r\n"]
    final = [b"HTTP/1.1 200 Fine\r\n", b"X: 1\r\n", b"x: 2\r\n"]
    assert not read_head([]).complete
    assert not read_head(early).complete
    assert not read_head([*early, *final]).complete
    head = read_head([*early, *final, b"\r\n", b"X: trailer\r\n"])
    assert (head.complete, head.phrase) == (True, "Fine")
    assert head.headers == (("X", "1"), ("x", "2"))


def test_the_stored_part_of_a_head_is_bounded() -> None:
    many = [f"X-{number}: {number}\r\n".encode() for number in range(MAX_KEPT_HEADERS + 1)]
    head = read_head([b"HTTP/1.1 200 OK\r\n", *many, b"\r\n"])
    assert [name for name, _ in head.headers] == [f"X-{each}" for each in range(MAX_KEPT_HEADERS)]
    long = [b"HTTP/1.1 200 " + b"o" * 200, b"\r\n", b"n" * 200, b": ", b"v" * 9999, b"\r\n\r\n"]
    head = read_head(long)
    assert (len(head.phrase), [(len(name), len(value)) for name, value in head.headers]) == (
        96,
        [(100, 2048)],
    )


def test_informational_responses_and_non_header_lines_are_skipped() -> None:
    early = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nX: 1\r\n\r\n"]
    head = read_head([*early, b"HTTP/1.1 404 Not here\r\nno field\r\nY:2\r\n\r\n"])
    assert head == (True, "Not here", (("Y", "2"),))


def test_technical_text_is_one_bounded_line() -> None:
    assert one_line("a\r\n b\0c\ud800") == "a b\ufffdc\ufffd"
    assert len(one_line("x" * 9999)) == 500


def test_header_lines_keep_their_order_and_suppress_libcurls_own() -> None:
    headers = {"Content-Type": "application/json", "X-Key": "a: b", "X-Blank": ""}
    assert header_lines(headers) == [
        "Content-Type: application/json",
        "X-Key: a: b",
        "X-Blank;",
        "Accept:",
        "Expect:",
    ]


def test_a_custom_accept_header_stays() -> None:
    assert header_lines({"accept": "text/plain"}) == ["accept: text/plain", "Expect:"]


def test_a_header_that_http_forbids_is_refused_without_its_value() -> None:
    for headers in (
        {"X-Key": "a\r\nX-Other: b"},
        {"X-Key": "a\x00"},
        {"X-Key": "ä"},
        {"X Key": "a"},
        {"X-Key:": "a"},
        {"": "a"},
        {"Host": "elsewhere.example"},
        {"transfer-encoding": "chunked"},
        {"Connection": "close"},
        {"EXPECT": "100-continue"},
        {"TE": "trailers"},
        {"upgrade": "websocket"},
        {"X-Key": "a", "x-key": "b"},
    ):
        with pytest.raises(HeaderError) as refused:
            header_lines(headers)
        assert not any(
            value and value in str(refused.value) for value in headers.values() if value != "a"
        ), headers


OWNED = [
    "Host",
    "Content-Type",
    "content-length",
    "Content-Encoding",
    "Transfer-Encoding",
    "TE",
    "Trailer",
    "Connection",
    "Keep-Alive",
    "Upgrade",
    "Expect",
    "Accept-Encoding",
    "Proxy-Authorization",
    "proxy-anything",
    "User-Agent",
    "Cookie",
    "Date",
    "Forwarded",
    "X-Forwarded-For",
    "x-forwarded-host",
    "webhook-id",
    "Webhook-Signature",
    "X-Asset-Webhook-Id",
    "x-asset-webhook-signature",
    "X-ASSET-WEBHOOK-ANYTHING",
]


FREE = ["Authorization", "X-Api-Key", "x-tenant", "Accept", "X-Forwarded", "Hostname", "1Password"]


def test_a_header_reserved_by_us_or_http_is_refused() -> None:
    for name in OWNED:
        sentence = refuse_header(name, "value")
        assert sentence is not None
        assert name in sentence


def test_any_other_header_is_allowed() -> None:
    for name in FREE:
        assert refuse_header(name, "Bearer abc.def=; ~!") is None, name


def test_an_invalid_header_name_is_refused() -> None:
    for name in ("", "-X", "X_Y", "X Y", "X:Y", "Ü", "X\r\nY", "X\n", "a" * 65, "X\0"):
        assert refuse_header(name, "value") is not None, name


UNSENDABLE: Final[list[str]] = [
    "",
    "a\r\nX-Evil: 1",
    "a\n",
    "a\0",
    "ü",
    "a\tb",
    "a" * 1001,
    " a",
    "a ",
    " ",
    "\x7f",
]


def test_an_unsendable_header_value_is_refused() -> None:
    for value in UNSENDABLE:
        sentence = refuse_header("X-Key", value)
        assert sentence is not None
        assert "X-Key" in sentence


def test_a_refusal_never_shows_the_value() -> None:
    for value in ("Bearer s3cret\n", " s3cret", "s3cret" * 200):
        assert "s3cret" not in str(refuse_header("X-Key", value))


def test_the_longest_name_and_value_are_allowed() -> None:
    assert refuse_header("a" * 64, "a" * 1000) is None


def test_twenty_headers_are_allowed_and_twenty_one_are_not() -> None:
    pairs = [(f"X-{number}", "1") for number in range(21)]
    check_headers(pairs[:20])
    with pytest.raises(HeaderError, match="at most 20"):
        check_headers(pairs)


def test_a_duplicate_name_is_refused_in_any_case() -> None:
    with pytest.raises(HeaderError, match="duplicate header x-key"):
        check_headers([("X-Key", "1"), ("x-key", "2")])


def test_the_first_forbidden_header_is_named() -> None:
    with pytest.raises(HeaderError, match="Cookie"):
        check_headers([("X-Key", "1"), ("Cookie", "2"), ("Host", "3")])


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


# (name found, connected, request started)
TIMEOUTS = [
    ((False, False, False), Reason.DNS),
    ((True, False, False), Reason.CONNECT_TIMEOUT),
    ((True, True, False), Reason.TLS_OTHER),
    ((True, True, True), Reason.READ_TIMEOUT),
]


def reason(code: int, message: str = "", number: int = 0) -> Reason:
    return reason_for_curl(code, message, Progress(True, True, True, number))


def test_a_resend_is_never_timed_after_the_end() -> None:
    """libcurl's clock and ours disagree: by libcurl's, the request hasn't started."""
    handle = CurlHandle(open_guard(), certifi.where())
    handle.reopened = 0.25
    phases = exchange_module._phases(handle, was_open=False)
    handle.curl.close()
    assert (phases.again, phases.total) == (0.25, 0.25)


def test_each_libcurl_code_has_a_reason() -> None:
    for code, expected in CODES:
        assert reason(code) is expected, code


def test_each_connect_errno_has_a_reason() -> None:
    for number, expected in CONNECTS:
        assert reason(7, number=number) is expected, number


def test_each_certificate_error_text_has_a_reason() -> None:
    for words, expected in WORDS:
        assert reason(60, words) is expected, words


def test_the_timeout_reason_follows_the_progress() -> None:
    for came, expected in TIMEOUTS:
        assert reason_for_curl(28, "", Progress(*came, errno=0)) is expected, came


def test_oversized_headers_are_a_bad_reply_not_a_reset() -> None:
    assert reason(56, "Too large response headers: 300 > 200") is Reason.BAD_REPLY
    assert reason(56, "Recv failure: Connection reset by peer") is Reason.RESET


def test_each_failure_has_an_exception_of_requests() -> None:
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
        error = exception_for(why, "in detail", request)
        assert (type(error).__name__, str(error)) == (name, "in detail"), why
        assert error.request is request, why
