"""Requests that can be read in more than one way are refused, and the server stays healthy."""

import re
import time
from pathlib import Path

from tests.support.web_server import WebServer, web_server

POST = b"POST /sign-in HTTP/1.1\r\nHost: x\r\n"
GET = b"GET /sign-in HTTP/1.1\r\nHost: x\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
LONG = b"x" * 40_000
TINY = b"1\r\nx\r\n" * 40_000

REFUSED = {
    "two lengths": POST + b"Content-Length: 4\r\nContent-Length: 0\r\n\r\n",
    "a length and chunks": POST
    + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and a length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks in two fields": POST
    + b"Transfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and nothing": POST + b"Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding that looks like it": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": POST.replace(b"1.1", b"1.0")
    + b"Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.2": CHUNKED.replace(b"1.1", b"1.2") + b"0\r\n\r\n",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +4\r\n\r\n",
    "a length of 5,000 digits": POST + b"Content-Length: " + b"1" * 5000 + b"\r\n\r\n",
    "space before the colon": POST + b"Content-Length : 4\r\n\r\n",
    "a field in two lines": GET + b"X-Two:\r\n lines\r\n\r\n",
    "a bare line feed": GET + b"X-One: 1\nX-Two: 2\r\n\r\n",
    "a bare carriage return": GET + b"X-One: 1\rX-Two: 2\r\n\r\n",
    "NUL in a value": GET + b"X-One: \0\r\n\r\n",
    "NUL in a name": GET + b"X-\0One: 1\r\n\r\n",
    "NUL in the address": GET.replace(b"/sign-in", b"/sign-in\0") + b"\r\n",
    "a tab in the address": GET.replace(b"/sign-in", b"/sign\t-in") + b"\r\n",
    "letters beyond ASCII in the address": GET.replace(b"/sign-in", "/ä".encode()) + b"\r\n",
    "no name": GET + b": 1\r\n\r\n",
    "a method in small letters": GET.replace(b"GET", b"get") + b"\r\n",
    "no version": b"GET /sign-in\r\n\r\n",
    "HTTP/1.2": GET.replace(b"1.1", b"1.2") + b"\r\n",
    "HTTP/2": GET.replace(b"1.1", b"2.0") + b"\r\n",
    "two hosts": GET + b"host: y\r\n\r\n",
    "no host": GET.replace(b"Host: x\r\n", b"") + b"\r\n",
    "two hosts in HTTP/1.0": GET.replace(b"1.1", b"1.0") + b"Host: x\r\n\r\n",
    "two slashes": GET.replace(b"/sign-in", b"//sign-in") + b"\r\n",
    "a slash and one that is written as a number": GET.replace(b"/sign-in", b"/%2Fsign-in")
    + b"\r\n",
    "two slashes behind a host": GET.replace(b"/sign-in", b"http://x//sign-in") + b"\r\n",
    "no slash": GET.replace(b"/sign-in", b"sign-in") + b"\r\n",
    "a bracket": GET.replace(b"/sign-in", b"http://[x/") + b"\r\n",
    "an endless first line": GET.replace(b"/sign-in", b"/" + LONG) + b"\r\n",
    "an endless field": GET + b"X-Long: " + LONG + b"\r\n\r\n",
    "101 fields": GET + b"X-One: 1\r\n" * 100 + b"\r\n",
    "a flood of fields": GET + b"X: 1\r\n" * 20_000 + b"\r\n",
    "spaces without end": GET + b"X-One:" + b" " * 30_000 + b"\0\r\n\r\n",
    "a length of a chunk in words": CHUNKED + b"four\r\nabcd\r\n0\r\n\r\n",
    "a negative chunk": CHUNKED + b"-4\r\nabcd\r\n0\r\n\r\n",
    "a chunk longer than it says": CHUNKED + b"2\r\nabcd\r\n0\r\n\r\n",
    "NUL behind a chunk's length": CHUNKED + b"4;\0\r\nabcd\r\n0\r\n\r\n",
    "an endless line before a chunk": CHUNKED + b"4;a=" + LONG,
    "an endless line after the last": CHUNKED + b"0\r\nX: " + LONG,
    "chunks of a byte each": CHUNKED + TINY + b"0\r\n\r\n",
    "lines without a chunk": CHUNKED + b"\r\n" * 70_000 + b"0\r\n\r\n",
}


def test_a_bad_request_is_refused_once_and_ends_the_connection(web: WebServer) -> None:
    for case in REFUSED:
        answer = web.exchange(REFUSED[case] + SMUGGLED)
        codes = re.findall(rb"^HTTP/1\.[01] (\d+)", answer, re.MULTILINE)
        # After an early refusal, the connection can break before the response is read.
        assert codes in ([b"400"], [b"431"], [b"501"]) or (
            not codes and len(REFUSED[case]) > 8192
        ), case
        assert b"ok" not in answer.splitlines(), case
        assert b"X-Request-Id" not in answer, "a request of the portal's"
        assert web.answers(), case
    assert '"Refused from 127.0.0.1: 400 Bad Request"' in web.said
    assert "Traceback" not in web.said
    assert "uncaptured" not in web.said


def test_a_header_full_of_spaces_is_refused_quickly(web: WebServer) -> None:
    """The loop reads for all connections. Waitress's own pattern takes four seconds for each of
    these."""
    began = time.monotonic()
    for _ in range(6):
        web.exchange(REFUSED["spaces without end"])
    assert time.monotonic() - began < 8


FINE = {
    "a long address": GET.replace(b"/sign-in", b"/sign-in?next=/" + b"x" * 3000),
    "a whole address": GET.replace(b"/sign-in", b"http://x/sign-in"),
    "HTTP/1.0": GET.replace(b"1.1", b"1.0"),
    "HTTP/1.0 without a host": GET.replace(b"1.1", b"1.0").replace(b"Host: x\r\n", b""),
    "100 fields": GET + b"X-One: 1\r\n" * 98,
    "a body that nobody asked for": GET + b"Content-Length: 4\r\n",
    "a body announced and sent at once": GET + b"Expect: 100-continue\r\nContent-Length: 4\r\n",
    "an announced body of no bytes": GET + b"Expect: 100-continue\r\n",
}


def test_unusual_but_clear_requests_are_answered(web: WebServer) -> None:
    for case in FINE:
        answer = web.exchange(FINE[case] + b"Connection: close\r\n\r\n" + b"abcd")
        assert re.findall(rb"^HTTP/1\.[01] (\d+)", answer, re.MULTILINE)[-1] == b"200", answer[:300]
        assert b"\r\nServer:" not in answer, case


def test_a_few_pipelined_requests_are_answered_in_turn(
    web: WebServer,
) -> None:
    last = SMUGGLED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert web.exchange(SMUGGLED * 4 + last).count(b"HTTP/1.1 200 OK") == 5
    # The number of answered requests depends on the speed of the threads.
    assert web.exchange(SMUGGLED * 100 + last).count(b"HTTP/1.1 200 OK") < 100
    assert web.answers()


NAMES = (b"SCRIPT_NAME", b"Script-Name", b"X-Forwarded-Prefix", b"X-Script-Name", b"PATH_INFO")


def test_no_request_or_variable_can_set_the_root_path(tmp_path: Path) -> None:
    with web_server(tmp_path, SCRIPT_NAME="/elsewhere") as web:
        plain = GET.replace(b"/sign-in", b"/") + b"Connection: close\r\n"
        for more in (b"", *(name + b": /elsewhere\r\n" for name in NAMES)):
            answer = web.exchange(plain + more + b"\r\n")
            assert b"HTTP/1.1 302 FOUND\r\n" in answer, more
            assert b"\r\nLocation: /sign-in?next=/\r\n" in answer, more
            assert b"elsewhere" not in answer, more
