"""Hostile responses: each attempt ends in time, with the right reason, within bounds."""

import gzip
import time

import pytest

from portal.engine.http.curl_handle import MAX_BODY
from portal.engine.http.transport import Transport
from portal.engine.reasons import Reason
from tests.engine.http.real_receivers import hostile
from tests.engine.http.real_receivers.hostile import MEGABYTE, OK_HEAD, HostileServer, Script
from tests.engine.http.real_receivers.send import send

KILOBYTE = b"x" * 1024
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BUSY = 5  # seconds: dripping never ends, and the machine can be busy

FAILURES: dict[str, tuple[Script, Reason]] = {
    "closes without a word": (hostile.hanging_up, Reason.NO_REPLY),
    "breaks the connection": (hostile.resetting, Reason.RESET),
    "speaks no HTTP": (hostile.answering(b"SSH-2.0-OpenSSH_9.9\r\n"), Reason.BAD_REPLY),
    "has no status code": (hostile.answering(b"HTTP/1.1 OK\r\n\r\n"), Reason.BAD_REPLY),
    "has an odd version": (hostile.answering(b"HTTP/7.3 200 OK\r\n\r\n"), Reason.BAD_REPLY),
    "has code 999": (hostile.answering(b"HTTP/1.1 999 Hm\r\n\r\n"), Reason.BAD_REPLY),
    "stops inside its head": (hostile.answering(OK_HEAD + b"Server: x\r\n"), Reason.BAD_REPLY),
    "switches protocols": (
        hostile.answering(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
        Reason.BAD_REPLY,
    ),
    "has NUL in a header": (
        hostile.answering(OK_HEAD + b"X: a\0b\r\nContent-Length: 0\r\n\r\n"),
        Reason.BAD_REPLY,
    ),
    "is folded on the way without being asked": (
        hostile.answering(OK_HEAD + b"Transfer-Encoding: gzip\r\nContent-Length: 0\r\n\r\n"),
        Reason.BAD_REPLY,
    ),
    "has one huge header": (
        hostile.pouring(OK_HEAD + b"X: ", KILOBYTE, 500),
        Reason.BAD_REPLY,
    ),
    "has endless headers": (
        hostile.pouring(OK_HEAD, b"X-Filler: " + KILOBYTE + b"\r\n", 2000),
        Reason.BAD_REPLY,
    ),
    "has endless tiny headers": (hostile.pouring(OK_HEAD, b"a:\r\n", 9000), Reason.BAD_REPLY),
    "says continue for ever": (
        hostile.pouring(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100, 2000),
        Reason.BAD_REPLY,
    ),
}

ENDLESS = {"has endless headers", "has endless tiny headers", "says continue for ever"}


@pytest.mark.parametrize("case", FAILURES)
def test_an_invalid_response_fails_at_once_with_its_reason(transport: Transport, case: str) -> None:
    script, reason = FAILURES[case]
    began = time.monotonic()
    with HostileServer(script) as server:
        exchange = send(transport, server.url, timeout=20)
    assert exchange.reason is reason, exchange.detail
    assert exchange.error is not None
    assert exchange.response is None
    assert exchange.truncated is (case in ENDLESS)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize(("more", "is_taken"), [(0, True), (1, False)])
def test_a_head_has_at_most_a_thousand_lines(
    transport: Transport, more: int, is_taken: bool
) -> None:
    """The limit includes the status line and the blank line at the end."""
    head = OK_HEAD + b"Content-Length: 0\r\n" + b"a: b\r\n" * (997 + more) + b"\r\n"
    with HostileServer(hostile.answering(head)) as server:
        exchange = send(transport, server.url, timeout=5)
    assert (exchange.reason is None, exchange.truncated) == (is_taken, not is_taken)


SLOW: dict[str, Script] = {
    "never answers": hostile.hanging,
    "never reads": hostile.silent,
    "drips its status line": hostile.dripping(b"HTTP/1.1 ", b"0"),
    "drips its headers": hostile.dripping(OK_HEAD, b"X-Slow: 1\r\n"),
    "drips its body": hostile.dripping(OK_HEAD + b"Content-Length: 9999\r\n\r\n", b"x"),
    "drips a body without a length": hostile.dripping(OK_HEAD + b"\r\n", b"x"),
    "drips chunks": hostile.dripping(OK_HEAD + CHUNKED, b"1\r\nx\r\n"),
    "drips continue": hostile.dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}


@pytest.mark.parametrize("case", SLOW)
def test_a_slow_response_ends_by_the_deadline(transport: Transport, case: str) -> None:
    began = time.monotonic()
    with HostileServer(SLOW[case]) as server:
        exchange = send(transport, server.url, timeout=1)
        took = time.monotonic() - began
    assert exchange.reason is Reason.READ_TIMEOUT, exchange.detail
    assert exchange.response is None
    if case.startswith("never"):
        assert exchange.phases.first_byte is None
    assert 0.9 < took < BUSY


def test_a_slow_body_does_not_hide_a_410(transport: Transport) -> None:
    head = b"HTTP/1.1 410 Gone\r\nContent-Length: 9999\r\n\r\n"
    with HostileServer(hostile.dripping(head, b"x")) as server:
        exchange = send(transport, server.url, timeout=1)
    assert (exchange.code, exchange.reason) == (410, Reason.GONE)
    assert exchange.truncated


def test_no_part_of_a_response_leaks_into_the_next_exchange(transport: Transport) -> None:
    head = b"HTTP/1.1 302 Found\r\nLocation: /a\r\n\r\n"
    with HostileServer(hostile.answering(head, b"x" * 2 * MAX_BODY)) as server:
        assert send(transport, server.url).truncated
    with HostileServer(hostile.hanging_up) as server:
        exchange = send(transport, server.url)
    assert (exchange.reason, exchange.code, exchange.phrase) == (Reason.NO_REPLY, None, "")
    assert (exchange.response_headers, exchange.body, exchange.truncated) == ((), b"", False)
    assert exchange.phases.first_byte is None


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_body_at_the_limit_is_whole_and_a_longer_one_is_cut(
    transport: Transport, beyond: int
) -> None:
    body = b"x" * (MAX_BODY + beyond)
    head = OK_HEAD + b"Content-Length: %d\r\n\r\n" % len(body)
    with HostileServer(hostile.answering(head, body)) as server:
        exchange = send(transport, server.url)
    assert (exchange.body, exchange.truncated) == (body[:MAX_BODY], bool(beyond))


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (b"Content-Length: 9000000000000\r\n\r\n", KILOBYTE),
        (b"\r\n", KILOBYTE),
        (CHUNKED, b"400\r\n" + KILOBYTE + b"\r\n"),
    ],
    ids=["nine terabytes", "open", "chunked"],
)
def test_an_endless_body_is_cut_as_soon_as_the_limit_is_reached(
    transport: Transport, head: bytes, piece: bytes
) -> None:
    """Otherwise the request would last until the deadline and end without a response."""
    with HostileServer(hostile.pouring(OK_HEAD + head, piece, 10**9)) as server:
        exchange = send(transport, server.url, timeout=20)
    assert (exchange.code, exchange.reason, exchange.truncated) == (200, None, True)
    assert exchange.body == (KILOBYTE * 64)[:MAX_BODY]


def test_a_redirect_is_not_followed_and_its_huge_body_is_not_read(transport: Transport) -> None:
    with HostileServer(hostile.answering(OK_HEAD + b"Content-Length: 0\r\n\r\n")) as target:
        head = f"HTTP/1.1 302 Found\r\nLocation: {target.url}\r\nContent-Length: 52428800\r\n\r\n"
        pour = hostile.pouring(head.encode(), b"x" * MEGABYTE, 50)
        began = time.monotonic()
        with HostileServer(pour) as server:
            exchange = send(transport, server.url, timeout=20)
            assert time.monotonic() - began < 15
        assert (exchange.code, exchange.reason) == (302, Reason.REDIRECT)
        assert exchange.location == target.url
        assert target.visits == 0


def test_a_gzip_bomb_is_not_decompressed(transport: Transport) -> None:
    bomb = gzip.compress(b"\0" * 40 * MEGABYTE)
    head = OK_HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with HostileServer(hostile.answering(head, bomb)) as server:
        exchange = send(transport, server.url)
    assert exchange.reason is None
    assert exchange.body == bomb[:MAX_BODY]


def test_a_truncated_body_keeps_the_meaning_of_its_code(transport: Transport) -> None:
    with HostileServer(hostile.cutting_the_body) as server:
        exchange = send(transport, server.url)
    assert (exchange.code, exchange.reason) == (200, None)
    assert exchange.truncated
    assert exchange.text == "ok"
    assert exchange.response is not None
    assert exchange.response.status_code == 200


NASTY = b"\0<script>alert(1)</script>\xff\xfe\xed\xa0\x80\xc3\xa9"


def test_text_that_no_database_can_store_is_replaced(transport: Transport) -> None:
    head = OK_HEAD + b"Content-Length: %d\r\nX-Odd: \xff\xa0\r\n\r\n" % len(NASTY)
    with HostileServer(hostile.answering(head, NASTY)) as server:
        exchange = send(transport, server.url)
    assert exchange.reason is None
    assert "\0" not in exchange.text
    assert exchange.text.startswith("\ufffd<script>alert(1)</script>\ufffd")
    assert exchange.text.endswith("é")
    exchange.text.encode("utf-8")
    assert exchange.header("x-odd") == "\xff"


def test_stored_response_headers_are_bounded(transport: Transport) -> None:
    long = b"X-" + b"n" * 200 + b": " + b"v" * 5000 + b"\r\n"
    lines = b"".join(b"X-%d: %s\r\n" % (n, b"v" * 200) for n in range(200))
    answer = OK_HEAD + b"Content-Length: 0\r\n" + long + lines + b"\r\n"
    with HostileServer(hostile.answering(answer)) as server:
        exchange = send(transport, server.url)
    assert exchange.reason is None
    (length, cut, *others) = exchange.response_headers
    assert length == ("Content-Length", "0")
    assert cut == ("X-" + "n" * 98, "v" * 2048)
    assert others == [(f"X-{number}", "v" * 200) for number in range(98)]


def test_informational_responses_and_trailers_are_ignored(transport: Transport) -> None:
    answer = (
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLocation: /hint\r\n\r\n"
        b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2\r\nno\r\n0\r\nLocation: /trailer\r\n\r\n"
    )
    with HostileServer(hostile.answering(answer)) as server:
        exchange = send(transport, server.url)
    assert (exchange.code, exchange.reason) == (503, Reason.UNAVAILABLE)
    assert exchange.header("Retry-After") == "7"
    assert exchange.location is None
    assert (exchange.phrase, exchange.text) == ("Busy", "no")
