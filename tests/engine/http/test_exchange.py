"""What is kept of an answer, whatever bytes it was made of."""

from datetime import timedelta

import requests
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.http.exchange import (
    MAX_KEPT_HEADERS,
    MAX_TEXT,
    Exchange,
    one_line,
    read_head,
    storable,
)


def exchange(body: bytes, content_type: str = "") -> Exchange:
    """A successful exchange with this body."""
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
    for told in ("", "; charset=utf-8", '; charset="UTF-8"', "; charset=koi8-r"):
        assert exchange("café".encode(), f"text/plain{told}").text == "café", told
    assert exchange(b"+AGE-", "text/plain; charset=utf-7").text == "+AGE-"


def test_text_is_bounded() -> None:
    assert len(exchange(b"x" * 65536).text) == MAX_TEXT


def test_an_answer_whose_time_is_not_known_took_none() -> None:
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


def test_a_head_is_complete_with_the_blank_line_of_the_final_answer() -> None:
    early = [b"HTTP/1.1 100 Continue\r\n", b"X: early\r\n", b"\r\n"]
    final = [b"HTTP/1.1 200 Fine\r\n", b"X: 1\r\n", b"x: 2\r\n"]
    assert not read_head([]).complete
    assert not read_head(early).complete
    assert not read_head([*early, *final]).complete
    head = read_head([*early, *final, b"\r\n", b"X: trailer\r\n"])
    assert (head.complete, head.phrase) == (True, "Fine")
    assert head.headers == (("X", "1"), ("x", "2"))


def test_of_a_head_no_more_is_kept_than_can_be_stored() -> None:
    many = [f"X-{number}: {number}\r\n".encode() for number in range(MAX_KEPT_HEADERS + 1)]
    head = read_head([b"HTTP/1.1 200 OK\r\n", *many, b"\r\n"])
    assert [name for name, _ in head.headers] == [f"X-{each}" for each in range(MAX_KEPT_HEADERS)]
    long = [b"HTTP/1.1 200 " + b"o" * 200, b"\r\n", b"n" * 200, b": ", b"v" * 9999, b"\r\n\r\n"]
    head = read_head(long)
    assert (len(head.phrase), [(len(name), len(value)) for name, value in head.headers]) == (
        96,
        [(100, 2048)],
    )


def test_all_early_answers_are_skipped_and_lines_that_are_no_fields() -> None:
    early = [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early\r\nX: 1\r\n\r\n"]
    head = read_head([*early, b"HTTP/1.1 404 Not here\r\nno field\r\nY:2\r\n\r\n"])
    assert head == (True, "Not here", (("Y", "2"),))


def test_technical_text_is_one_bounded_line() -> None:
    assert one_line("a\r\n b\0c\ud800") == "a b\ufffdc\ufffd"
    assert len(one_line("x" * 9999)) == 500
