"""A body that is too long is refused with the portal's own page, never truncated."""

import pytest

from tests.faults.support.durations import IS_FULL
from tests.support.web_server import WebServer

MB = 1024 * 1024
LARGEST = 16 * MB
PIECE = b"x" * 65_536
HEAD = b"POST /sign-in HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: %s\r\n"
KINDS = {
    "a form": b"application/x-www-form-urlencoded",
    "a file": b"multipart/form-data; boundary=x",
    "neither": b"application/octet-stream",
}
TOO_LONG = "It’s larger than the portal accepts. Nothing was saved.".encode()


def whole(kind: str, length: int) -> bytes:
    """Return a request with a length, as browsers send it."""
    head = HEAD % KINDS[kind] + b"Content-Length: %d\r\n\r\n" % length
    return head + b"x" * length


def in_chunks(kind: str, length: int) -> bytes:
    """Return a chunked request, as programs send it that don't know the length."""
    head = HEAD % KINDS[kind] + b"Transfer-Encoding: chunked\r\n\r\n"
    chunks, rest = divmod(length, len(PIECE))
    chunk = b"%x\r\n%s\r\n" % (len(PIECE), PIECE)
    last = b"%x\r\n%s\r\n" % (rest, b"x" * rest) if rest else b""
    return head + chunk * chunks + last + b"0\r\n\r\n"


# Flask reads forms and files in different ways. From 17 MB on, the server discards the body without
# looking at its type.
CASES = [(kind, LARGEST + 1) for kind in KINDS] + [("a form", MB + 1)]
CASES += [("neither", length) for length in (17 * MB - 1, 17 * MB, 40 * MB)]
CASES += [(kind, 17 * MB + 1) for kind in KINDS if kind != "a file" or IS_FULL]


@pytest.mark.parametrize(("kind", "length"), CASES)
@pytest.mark.parametrize("way", [whole, in_chunks])
def test_too_long_a_body_is_refused_on_a_page_of_the_portal(
    web: WebServer, way: type[whole] | type[in_chunks], kind: str, length: int
) -> None:
    answer = web.exchange(way(kind, length))
    assert answer.startswith(b"HTTP/1.1 413 REQUEST ENTITY TOO LARGE\r\n"), answer[:200]
    assert TOO_LONG in answer
    assert b"\r\nX-Request-Id: " in answer
    assert answer.count(b"HTTP/1.1 ") == 1


def test_too_long_a_body_announced_with_expect_is_refused(web: WebServer) -> None:
    head = HEAD % KINDS["a file"] + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    with web.connect() as connection:
        connection.sendall(head % (20 * MB))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b"x" * 20 * MB)
        answer = b""
        while more := connection.recv(65_536):
            answer += more
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert TOO_LONG in answer
