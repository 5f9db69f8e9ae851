"""Which URLs a webhook may have, and the form in which they are kept."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.engine.http.address_guard import (
    MAX_URL_LENGTH,
    AddressError,
    check_url,
    host_of,
    is_named,
)

KEPT = {
    "https://Example.COM": "https://example.com/",
    "HTTP://example.com:8080/Hook?Key=Value": "http://example.com:8080/Hook?Key=Value",
    "  https://example.com/ ": "https://example.com/",
    "https://example.com:/": "https://example.com/",
    "https://example.com?key=1": "https://example.com/?key=1",
    "https://münchen.example/straße?q=ü": ("https://xn--mnchen-3ya.example/stra%C3%9Fe?q=%C3%BC"),
    "https://example.com/a%20b": "https://example.com/a%20b",
    "http://[::1]:8080/": "http://[::1]:8080/",
    "http://my_server.local/": "http://my_server.local/",
    "http://\N{FULLWIDTH DIGIT ONE}27.0.0.1/": "http://127.0.0.1/",
    "http://2130706433/": "http://2130706433/",
    "https://example.com./": "https://example.com./",
}

REFUSED = {
    "": "begins with https://",
    "example.com/hook": "begins with https://",
    "ftp://example.com/": "begins with https://",
    "javascript:alert(1)": "begins with https://",
    "https:example.com": "begins with https://",
    "https://": "name of the server",
    "https:///hook": "name of the server",
    "https://user:secret@example.com/": "user name and password",
    "https://@example.com/": "user name and password",
    "https://example.com/#part": "Remove the #",
    "https://example.com/#": "Remove the #",
    "https://exa mple.com/": "Remove spaces",
    "https://example.com/a b": "Remove spaces",
    "https://example.com/\r\nHost:x": "Remove spaces",
    "https://example.com/\x00": "Remove spaces",
    "https://example.com\\@other.example/": "Remove spaces",
    "https://example.com:0/": "port between",
    "https://example.com:65536/": "port between",
    "https://example.com:port/": "port between",
    "https://exa%6dple.com/": "typos",
    "https://a..b/": "typos",
    "https://[::1/": "typos",
    "http://[fe80::1%25eth0]/": "typos",
    "http://[v1.x:]/": "typos",
    "http://[v1.é:]/": "typos",
    "http://[v1.\ud800:]/": "typos",
    "https://☃.example/": "typos",
    "https://\ud800.example/": "typos",
    f"https://{'a' * 64}.example/": "typos",
    f"https://example.com/{'a' * MAX_URL_LENGTH}": "at most 2048",
    f"https://example.com/{'ü' * 1000}": "at most 2048",
}


def test_it_keeps_a_url_in_one_form() -> None:
    for url in KEPT:
        assert check_url(url) == KEPT[url]


def test_the_longest_address_has_2048_characters() -> None:
    longest = "https://example.com/".ljust(2048, "a")
    assert check_url(longest) == longest
    with pytest.raises(AddressError):
        check_url(f"{longest}a")


def test_it_refuses_a_url_in_words() -> None:
    for url in REFUSED:
        with pytest.raises(AddressError) as refusal:
            check_url(url)
        sentence = str(refusal.value)
        assert REFUSED[url] in sentence
        assert sentence.endswith(".")
        assert "secret" not in sentence


PIECES = st.lists(
    st.one_of(
        st.sampled_from(
            ["http", "https", "://", ":", "/", "@", "#", "?", "[", "]", "\\", "%", ".."]
        ),
        st.sampled_from(["example.com", "127.0.0.1", "::1", "[v1.", "80"]),
        st.sampled_from(["ü", "\ud800", "\0", " "]),
        st.text(max_size=4),
    ),
    max_size=10,
).map("".join)


@given(PIECES)
def test_a_url_is_refused_in_words_or_kept_in_a_form_that_stays(url: str) -> None:
    try:
        kept = check_url(url)
    except AddressError:
        return
    assert check_url(kept) == kept
    assert kept.isascii()
    assert kept.isprintable()
    assert host_of(kept)


def test_the_host_is_what_people_read() -> None:
    assert host_of("https://Helpdesk.Example.com:8443/hook?key=1") == "helpdesk.example.com"
    assert host_of("http://[::1]:80/") == "::1"
    assert host_of("not a url") == ""
    assert host_of("http://[::1") == ""


def test_a_name_is_no_address_in_figures_however_they_are_written() -> None:
    figures = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0x1", "127.0.0.1.", "[::1]")
    assert [is_named(f"http://{each}:8080/") for each in figures] == [False] * len(figures)
    names = ("example.com", "example.com.", "0x.example.com", "7.example", "localhost")
    assert [is_named(f"http://{each}:8080/") for each in names] == [True] * len(names)
