"""Which custom headers may be sent."""

from typing import Final

import pytest

from portal.engine.http.custom_headers import HeaderError, check_headers, refuse_header

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


def test_a_header_that_we_or_http_own_is_refused() -> None:
    for name in OWNED:
        sentence = refuse_header(name, "value")
        assert sentence is not None
        assert name in sentence


def test_any_other_header_may_be_sent() -> None:
    for name in FREE:
        assert refuse_header(name, "Bearer abc.def=; ~!") is None, name


def test_a_name_that_http_does_not_know_is_refused() -> None:
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


def test_a_value_that_cannot_go_over_the_wire_is_refused() -> None:
    for value in UNSENDABLE:
        sentence = refuse_header("X-Key", value)
        assert sentence is not None
        assert "X-Key" in sentence


def test_a_refusal_never_shows_the_value() -> None:
    for value in ("Bearer s3cret\n", " s3cret", "s3cret" * 200):
        assert "s3cret" not in str(refuse_header("X-Key", value))


def test_the_longest_name_and_value_may_be_sent() -> None:
    assert refuse_header("a" * 64, "a" * 1000) is None


def test_twenty_headers_are_allowed_and_twenty_one_are_not() -> None:
    pairs = [(f"X-{number}", "1") for number in range(21)]
    check_headers(pairs[:20])
    with pytest.raises(HeaderError, match="at most 20"):
        check_headers(pairs)


def test_the_same_name_twice_is_refused_whatever_its_capitals() -> None:
    with pytest.raises(HeaderError, match="x-key is there twice"):
        check_headers([("X-Key", "1"), ("x-key", "2")])


def test_the_first_header_that_may_not_be_sent_is_named() -> None:
    with pytest.raises(HeaderError, match="Cookie"):
        check_headers([("X-Key", "1"), ("Cookie", "2"), ("Host", "3")])
