"""The last look at the headers of a request, by the rules of HTTP alone."""

import pytest

from portal.engine.http.custom_headers import HeaderError
from portal.engine.http.transport import header_lines


def test_lines_are_in_the_order_given_and_keep_libcurl_from_adding_its_own() -> None:
    headers = {"Content-Type": "application/json", "X-Key": "a: b", "X-Blank": ""}
    assert header_lines(headers) == [
        "Content-Type: application/json",
        "X-Key: a: b",
        "X-Blank;",
        "Accept:",
        "Expect:",
    ]


def test_an_accept_of_their_own_stays() -> None:
    assert header_lines({"accept": "text/plain"}) == ["accept: text/plain", "Expect:"]


def test_what_http_does_not_allow_is_refused_without_its_value() -> None:
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
