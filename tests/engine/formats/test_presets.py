"""Presets of products for a URL, and the errors for URLs that can't receive anything."""

from typing import Final

import pytest

from portal.engine.formats.chats import CHATS
from portal.engine.formats.presets import (
    OTHER_HOSTS,
    PRESETS,
    as_kept,
    has_left,
    is_secret_at,
    looks_like,
    presets_at,
    url_mistake,
)

FLOW: Final = "https://d1.0b.environment.api.powerplatform.com/powerautomate/workflows/1"
SLACK: Final = "https://hooks.slack.com/services/T1/B1/x"
FLOWS: Final = {"teams", "power_automate"}

HOSTS: Final[dict[str, set[str]]] = {
    "hooks.slack.com": {"slack"},
    "Hooks.Slack.com.": {"slack"},
    "hooks.slack-gov.com": {"slack"},
    "discord.com": {"discord"},
    "canary.discord.com": {"discord"},
    "chat.googleapis.com": {"google_chat"},
    "default1.0b.environment.api.powerplatform.com": FLOWS,
    "api.powerautomate.com": FLOWS,
    "prod-12.westeurope.logic.azure.com": FLOWS,
    "unitedstates.flow.microsoft.com": FLOWS,
    "hook.eu1.make.com": {"make"},
    "hooks.zapier.com": {"zapier"},
    "acme.app.n8n.cloud": {"n8n"},
    "api.telegram.org": set(),
    "acme.webhook.office.com": set(),
    "events.eu.pagerduty.com": set(),
    "webhooks.eu.workato.com": set(),
}
UNKNOWN: Final = (
    *("slack.com", "hooks.slack.com.example.com", "evilhooks.slack.com", "notdiscord.com"),
    *("hook.eu1.us1.make.com", "webhook.office.com", "powerautomate.com", ""),
)


def test_known_hosts_have_products_and_secret_urls() -> None:
    for host, keys in HOSTS.items():
        assert {preset.key for preset in presets_at(host)} == keys, host
        assert is_secret_at(host), host
    assert not [host for host in UNKNOWN if is_secret_at(host) or presets_at(host)]


def test_every_host_of_the_presets_is_recognized() -> None:
    hosts = [host for preset in PRESETS.values() for host in preset.hosts]
    assert all(is_secret_at(host.replace("*", "x")) for host in (*hosts, *OTHER_HOSTS))


def test_every_chat_has_a_preset_with_its_name() -> None:
    chats = {preset.format: preset.name for preset in PRESETS.values() if preset.format}
    assert chats == {key: chat.name for key, chat in CHATS.items()}


ENDED: Final = (
    "Microsoft has retired this kind of URL. Create a workflow in Teams and enter its URL"
)
INCOMPLETE: Final = "This URL is incomplete. Copy it again"


@pytest.mark.parametrize(
    ("url", "mistake"),
    [
        ("https://acme.webhook.office.com/webhookb2/x", ENDED),
        ("https://outlook.office.com/webhook/x", ENDED),
        ("https://Outlook.Office365.com/webhook/x", ENDED),
        (f"{FLOW}?api-version=1&sig=x", None),
        (FLOW, INCOMPLETE),
        (f"{FLOW}?api-version=1&sig=", INCOMPLETE),
        (f"{FLOW}?api-version=1&amp;sp=x&amp;sig=x", INCOMPLETE),
        (f"{FLOW}?sig=x&amp;sp=x", INCOMPLETE),
        ("https://make.powerautomate.com/environments/1/flows/2", INCOMPLETE),
        ("https://prod-1.westeurope.logic.azure.com/workflows/1?sig=x", None),
        ("https://erp.example.com/hook?a=1&amp;b=2", None),
        ("not a url", None),
        ("https://[broken", None),
    ],
)
def test_a_url_that_cannot_receive_anything_is_reported(url: str, mistake: str | None) -> None:
    assert url_mistake(url) == mistake


def test_only_the_old_host_of_flows_gets_a_warning() -> None:
    assert has_left("https://prod-1.westeurope.logic.azure.com/workflows/1?sig=x")
    assert not has_left(f"{FLOW}?sig=x")


@pytest.mark.parametrize(
    ("url", "format_", "chosen", "names"),
    [
        (SLACK, None, "program", ["Slack"]),
        (SLACK, None, None, ["Slack"]),
        (SLACK, "discord", "discord", ["Slack"]),
        (SLACK, "slack", "slack", []),
        (SLACK, "slack", None, []),
        (SLACK, None, "zapier", ["Slack"]),
        # A flow reads either format, but the user chose a program of their own.
        (FLOW, None, "program", ["Microsoft Teams", "Power Automate"]),
        (FLOW, None, "power_automate", []),
        (FLOW, "teams", "teams", []),
        (FLOW, None, None, []),
        (FLOW, "slack", "slack", ["Microsoft Teams", "Power Automate"]),
        # Zapier reads the same format as a program.
        ("https://hooks.zapier.com/hooks/catch/1", None, "program", []),
        ("https://hooks.zapier.com/hooks/catch/1", "slack", "slack", ["Zapier"]),
        # Mattermost runs at any host.
        ("https://chat.example.com/hooks/x", "slack", "slack", []),
        ("https://api.telegram.org/bot1", "slack", "slack", []),
    ],
)
def test_a_url_of_a_product_with_another_format_is_noticed(
    url: str, format_: str | None, chosen: str | None, names: list[str]
) -> None:
    assert [preset.name for preset in looks_like(url, format_, chosen)] == names


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://discord.com/api/webhooks/1/x", "?wait=true"),
        ("https://discord.com/api/webhooks/1/x?thread_id=7", "?thread_id=7&wait=true"),
        ("https://discord.com/api/webhooks/1/x?wait=false&a=b", "?a=b&wait=true"),
        ("https://discord.com/api/webhooks/1/x?wait=true", "?wait=true"),
        ("https://proxy.example.com/discord", ""),
    ],
)
def test_discord_urls_get_wait_true(url: str, kept: str) -> None:
    assert as_kept(url, "discord") == f"{url.partition('?')[0]}{kept}"
    assert as_kept(url, None) == url


def test_a_url_at_the_length_limit_is_not_extended() -> None:
    longest = "https://discord.com/".ljust(2048, "x")
    assert as_kept(longest, "discord") == longest
