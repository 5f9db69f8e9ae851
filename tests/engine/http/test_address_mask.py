"""What is shown of an address never lets anybody in, and still says where it leads."""

import pytest

from portal.engine.chat_hosts import CHAT_HOSTS, product_at
from portal.engine.http.address_mask import MASK, masked_address, may_stand_for, secrets_in
from portal.engine.http.url import MAX_URL_LENGTH

TOKEN = "T0K3N-of-somebody"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://erp.example.com/hook", "https://erp.example.com/hook"),
        ("https://erp.example.com:8443/", "https://erp.example.com:8443/"),
        (f"https://erp.example.com/hook?token={TOKEN}", "https://erp.example.com/hook?token=••••"),
        (f"http://a.example/?a=1&key={TOKEN}&b=2", "http://a.example/?a=••••&key=••••&b=••••"),
        # Without a name, or with an end that looks like a value's sign.
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
    ],
)
def test_an_address_is_shown_without_what_lets_somebody_in(url: str, shown: str) -> None:
    assert masked_address(url) == shown
    assert TOKEN not in masked_address(url)
    assert masked_address(shown) == shown


@pytest.mark.parametrize(
    "url", ["https://a.example", "https://a.example/", f"https://a.example/{TOKEN}?key={TOKEN}#x"]
)
def test_of_one_that_is_a_secret_only_the_server_is_shown(url: str) -> None:
    assert masked_address(url, is_secret=True) == "https://a.example/••••"
    assert masked_address(masked_address(url, is_secret=True)) == "https://a.example/••••"


def test_what_is_shown_is_never_longer_than_what_can_be_stored() -> None:
    url = "https://a.example/?" + "a&" * ((MAX_URL_LENGTH - 20) // 2)
    assert len(url) <= MAX_URL_LENGTH
    assert len(masked_address(url)) == MAX_URL_LENGTH
    assert masked_address(url).endswith("…")


def test_one_as_long_as_an_address_may_be_is_shown_to_its_end() -> None:
    longest = "https://a.example/".ljust(MAX_URL_LENGTH, "x")
    assert masked_address(longest) == longest
    assert masked_address(f"{longest}x") == f"{longest[:-1]}…"


@pytest.mark.parametrize(
    ("host", "product"),
    [
        ("hooks.slack.com", "Slack"),
        ("Hooks.Slack.com.", "Slack"),
        ("discord.com", "Discord"),
        ("canary.discord.com", "Discord"),
        ("chat.googleapis.com", "Google Chat"),
        ("acme.webhook.office.com", "Microsoft Teams"),
        ("default1.0b.environment.api.powerplatform.com", "Power Automate"),
        ("prod-12.westeurope.logic.azure.com", "Power Automate"),
        ("hook.eu1.make.com", "Make"),
        ("hooks.zapier.com", "Zapier"),
        ("slack.com", None),
        ("hooks.slack.com.example.com", None),
        ("evilhooks.slack.com", None),
        ("notdiscord.com", None),
        ("hook.eu1.us1.make.com", None),
        ("webhook.office.com", None),
        ("", None),
    ],
)
def test_a_chat_is_known_by_its_host(host: str, product: str | None) -> None:
    assert product_at(host) == product


def test_every_line_of_the_table_is_a_host_that_is_known() -> None:
    for product, host in CHAT_HOSTS:
        assert product_at(host.replace("*", "x")) == product


def test_it_names_what_an_answer_may_not_repeat() -> None:
    plain = set(secrets_in(f"https://a.example/in/here?key=a%20b&{TOKEN}=="))
    assert plain == {"a%20b", "a b", f"{TOKEN}=="}
    secret = set(secrets_in(f"https://a.example/in/{TOKEN}/services", is_secret=True))
    assert secret == {f"/in/{TOKEN}/services", f"in/{TOKEN}/services", TOKEN}
    assert TOKEN in set(secrets_in(f"https://hooks.slack.com/services/T1/{TOKEN}"))
    assert set(secrets_in("http://[broken")) == set()


def test_a_part_of_a_secret_address_is_secret_by_itself_if_it_is_long_and_not_in_each() -> None:
    own = {"7654321", "87654321"}
    in_each = {
        *("services", "workflows", "triggers", "webhooks", "webhookb2", "IncomingWebhook"),
        *("messages", "powerautomate", "automations"),
    }
    parts = own | in_each
    found = set(secrets_in(f"https://a.example/{'/'.join(parts)}", is_secret=True))
    assert found & parts == {"87654321"}
    assert {"a+b", "a b"} == set(secrets_in("https://a.example/?key=a+b"))


def test_an_address_that_is_hidden_in_another_way_is_still_the_same() -> None:
    url = f"https://a.example/hook?key={TOKEN}"
    for shown in (masked_address(url), f"https://a.example/{MASK}"):
        assert may_stand_for(shown, url)
        assert may_stand_for(shown, masked_address(url))
    assert not may_stand_for("https://a.example/other", url)
    assert not may_stand_for(f"https://b.example/{MASK}", url)
