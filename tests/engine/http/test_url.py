"""URLs of webhooks: checks, normalization, and masking of secrets."""

from typing import Final

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
from portal.engine.http.address_mask import (
    MASK,
    looks_secret,
    masked_address,
    may_stand_for,
    secrets_in,
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
    "": "starts with https://",
    "example.com/hook": "starts with https://",
    "ftp://example.com/": "starts with https://",
    "javascript:alert(1)": "starts with https://",
    "https:example.com": "starts with https://",
    "https://": "server name",
    "https:///hook": "server name",
    "https://user:secret@example.com/": "user name and password",
    "https://@example.com/": "user name and password",
    "https://example.com/#part": "Remove #",
    "https://example.com/#": "Remove #",
    "https://exa mple.com/": "Remove spaces",
    "https://example.com/a b": "Remove spaces",
    "https://example.com/\r\nHost:x": "Remove spaces",
    "https://example.com/\x00": "Remove spaces",
    "https://example.com\\@other.example/": "Remove spaces",
    "https://example.com:0/": "port from",
    "https://example.com:65536/": "port from",
    "https://example.com:port/": "port from",
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


def test_a_url_is_normalized() -> None:
    for url in KEPT:
        assert check_url(url) == KEPT[url]


def test_the_longest_url_has_2048_characters() -> None:
    longest = "https://example.com/".ljust(2048, "a")
    assert check_url(longest) == longest
    with pytest.raises(AddressError):
        check_url(f"{longest}a")


def test_a_refused_url_has_an_explanation() -> None:
    for url in REFUSED:
        with pytest.raises(AddressError) as refusal:
            check_url(url)
        sentence = str(refusal.value)
        assert REFUSED[url] in sentence
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
def test_any_url_is_refused_or_has_a_stable_normal_form(url: str) -> None:
    try:
        kept = check_url(url)
    except AddressError:
        return
    assert check_url(kept) == kept
    assert kept.isascii()
    assert kept.isprintable()
    assert host_of(kept)


def test_the_host_is_lowercase_without_port() -> None:
    assert host_of("https://Helpdesk.Example.com:8443/hook?key=1") == "helpdesk.example.com"
    assert host_of("http://[::1]:80/") == "::1"
    assert host_of("not a url") == ""
    assert host_of("http://[::1") == ""


def test_numeric_addresses_in_any_notation_are_not_names() -> None:
    numeric = ("127.0.0.1", "127.1", "2130706433", "0x7f000001", "0x7f.0x1", "127.0.0.1.", "[::1]")
    assert [is_named(f"http://{host}:8080/") for host in numeric] == [False] * len(numeric)
    names = ("example.com", "example.com.", "0x.example.com", "7.example", "localhost")
    assert [is_named(f"http://{host}:8080/") for host in names] == [True] * len(names)


TOKEN = "T0K3N-of-somebody"


MATTERMOST, ROCKET = "xmgehp4a7tbd8bcamx7z1kjqfe", "GWuZQaN6f4jTmSzAs"


UUID = "9b2d7c1e-4f60-4a3b-8e55-c1d0f7a92b36"


MASKED: Final[list[tuple[str, str]]] = [
    ("https://erp.example.com/hook", "https://erp.example.com/hook"),
    ("https://erp.example.com:8443/", "https://erp.example.com:8443/"),
    (f"https://erp.example.com/hook?token={TOKEN}", "https://erp.example.com/hook?token=••••"),
    (f"http://a.example/?a=1&key={TOKEN}&b=2", "http://a.example/?a=••••&key=••••&b=••••"),
    # Without a name, or with an end that looks like the sign of a value.
    (f"http://a.example/?{TOKEN}", "http://a.example/?••••"),
    (f"http://a.example/?{TOKEN}==", "http://a.example/?••••"),
    (f"http://a.example/?{TOKEN}=&b=2", "http://a.example/?••••&b=••••"),
    (f"http://a.example/?a=1;key={TOKEN}", "http://a.example/?a=••••"),
    (f"http://a.example/?key=a={TOKEN}", "http://a.example/?key=••••"),
    ("http://a.example/?", "http://a.example/"),
    ("http://a.example/?a=1&&b=2&", "http://a.example/?a=••••&&b=••••&"),
    (f"http://ana:{TOKEN}@a.example/in", "http://••••@a.example/in"),
    (f"http://a.example/in#{TOKEN}", "http://a.example/in#••••"),
    (f"/in?key={TOKEN}", "/in?key=••••"),
    ("http://[broken", "••••"),
    (f"https://hooks.slack.com/services/{TOKEN}", "https://hooks.slack.com/••••"),
    (f"https://HOOKS.slack.com./services/{TOKEN}", "https://HOOKS.slack.com./••••"),
    (f"https://discord.com/%61pi/webhooks/1/{TOKEN}?wait=true", "https://discord.com/••••"),
    (f"https://api.telegram.org/bot{TOKEN}/sendMessage", "https://api.telegram.org/••••"),
    # Parameters of the path, and a question mark that was encoded, once or twice.
    (f"http://a.example/in;token={TOKEN}/x?b=2", "http://a.example/in;token=••••?b=••••"),
    (f"http://a.example/in;{TOKEN}", "http://a.example/in;••••"),
    (f"http://a.example/in%3Ftoken={TOKEN}&b=2", "http://a.example/in%3Ftoken=••••"),
    (f"http://a.example/in%253ftoken%253d{TOKEN}", "http://a.example/in%253f••••"),
    # Mattermost and Rocket.Chat, wherever they run.
    (f"https://chat.a.example/x/hooks/{MATTERMOST}", "https://chat.a.example/••••"),
    (f"https://chat.a.example/hooks/{ROCKET}/{TOKEN}", "https://chat.a.example/••••"),
    (f"https://chat.a.example/%68ooks/{MATTERMOST}", "https://chat.a.example/••••"),
    ("https://a.example/hooks/inventory", "https://a.example/hooks/inventory"),
    ("https://a.example/hooks/inventory-of-2026", "https://a.example/hooks/inventory-of-2026"),
    ("https://a.example/webhooks/42/on", "https://a.example/webhooks/42/on"),
]


def test_a_url_is_shown_without_its_secrets() -> None:
    for url, shown in MASKED:
        assert masked_address(url) == shown
        assert TOKEN not in masked_address(url)
        assert masked_address(shown) == shown


def test_only_the_server_of_a_secret_url_is_shown() -> None:
    for url in (
        "https://a.example",
        "https://a.example/",
        f"https://a.example/{TOKEN}?key={TOKEN}#x",
    ):
        assert masked_address(url, is_secret=True) == "https://a.example/••••", url
        assert masked_address(masked_address(url, is_secret=True)) == "https://a.example/••••", url


def test_a_masked_url_fits_the_length_limit() -> None:
    url = "https://a.example/?" + "a&" * ((MAX_URL_LENGTH - 20) // 2)
    assert len(url) <= MAX_URL_LENGTH
    assert len(masked_address(url)) == MAX_URL_LENGTH
    assert masked_address(url).endswith("…")


def test_a_url_at_the_length_limit_is_shown_whole() -> None:
    longest = "https://a.example/".ljust(MAX_URL_LENGTH, "x")
    assert masked_address(longest) == longest
    assert masked_address(f"{longest}x") == f"{longest[:-1]}…"


def test_the_secrets_in_a_url_are_listed() -> None:
    plain = set(secrets_in(f"https://a.example/in/here?key=a%20b&{TOKEN}=="))
    assert plain == {"a%20b", "a b", f"{TOKEN}=="}
    secret = set(secrets_in(f"https://a.example/in/{TOKEN}/services", is_secret=True))
    assert secret == {f"/in/{TOKEN}/services", f"in/{TOKEN}/services", TOKEN}
    assert TOKEN in set(secrets_in(f"https://hooks.slack.com/services/T1/{TOKEN}"))
    assert set(secrets_in("http://[broken")) == set()
    hidden = set(secrets_in(f"https://a.example/in;v=1;token={TOKEN}/x%3Fkey=a%2Bb"))
    assert hidden >= {"1", TOKEN, "a%2Bb", "a+b"}
    assert MATTERMOST in set(secrets_in(f"https://a.example/hooks/{MATTERMOST}"))


def test_a_long_uncommon_part_of_a_secret_url_is_a_secret() -> None:
    own = {"7654321", "87654321"}
    common = {
        *("services", "workflows", "triggers", "webhooks", "webhookb2", "IncomingWebhook"),
        *("messages", "powerautomate", "automations"),
    }
    parts = own | common
    secrets = set(secrets_in(f"https://a.example/{'/'.join(parts)}", is_secret=True))
    assert secrets & parts == {"87654321"}
    assert {"a+b", "a b"} == set(secrets_in("https://a.example/?key=a+b"))


def test_a_differently_masked_url_still_matches() -> None:
    url = f"https://a.example/hook?key={TOKEN}"
    for shown in (masked_address(url), f"https://a.example/{MASK}"):
        assert may_stand_for(shown, url)
        assert may_stand_for(shown, masked_address(url))
    assert not may_stand_for("https://a.example/other", url)
    assert not may_stand_for(f"https://b.example/{MASK}", url)


def test_a_long_random_part_of_a_path_looks_like_a_key() -> None:
    for path in (
        f"webhook/{UUID}",
        f"v1/workflows/{UUID}/start",
        "webhook/c4f1a09b77e2d3586a1b",
        "in/01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "in/V1StGXR8_Z5jdHi6B-myT",
        "api/webhook/-fK9cW2xLq7TzB4mN0pYd",
        "b/8s2v9x4k1q7z3m5n",
        "services/sk_live_4eC39HqLyjWDarjtT1zdp7dc",
        "x%2Fy/7f%33a9c1e5b8d2046",
    ):
        assert looks_secret(f"https://erp.example.com/{path}"), path


ORDINARY: Final[list[str]] = [
    "",
    "hook",
    "api/v2/asset-management/incoming-webhook-receiver",
    "AssetManagementWebhookReceiver2026",
    "myApiV2WebHookUrlForAssets",
    "bestandsverwaltungsschnittstelle",
    "INVENTORY_SYNCHRONISATION_ENDPOINT_V2",
    "api/x_123456_assets/webhook/incoming",
    "sap/opu/odata4/sap/api_fixedasset/srvd_a2x/sap/fixedasset/0001",
    "api/data/v9.2/msdyn_customerassets",
    "servicenow-itsm-production-eu-west-1",
    "com.example.assets.v1beta2.WebhookListener",
    "2026-11-30T12-00-00Z",
    "20261130T120000Z",
    "customers/4711000812345678901",
    "oauth2-callback-handler-v2",
    "releases/v1.2.3-rc4-build567",
    "sites/München%20Außenstelle%202/eingang",
]


def test_an_ordinary_path_does_not_look_like_a_key() -> None:
    for path in ORDINARY:
        assert not looks_secret(f"https://erp.example.com/{path}")


def test_a_url_that_is_masked_anyway_does_not_look_like_a_key() -> None:
    assert not looks_secret(f"https://webhook.site/{UUID}")
    assert not looks_secret(f"https://a.example/hooks/{MATTERMOST}")
    assert not looks_secret("http://[broken")
