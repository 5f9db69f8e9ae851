"""Hosts of chats, flow and alert services, where whoever knows an address may post to it. Pure
data.

A vendor's facts are from its documentation as it stood in 2026; none of them was tried live.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple


class ChatHost(NamedTuple):
    """One host of a product. A `*` at its beginning stands for any number of names, another one
    for a single name."""

    product: str
    host: str


CHAT_HOSTS: Final = (
    ChatHost("Slack", "hooks.slack.com"),
    ChatHost("Slack", "hooks.slack-gov.com"),
    ChatHost("Discord", "discord.com"),
    ChatHost("Discord", "*.discord.com"),
    ChatHost("Discord", "discordapp.com"),
    ChatHost("Discord", "*.discordapp.com"),
    ChatHost("Google Chat", "chat.googleapis.com"),
    ChatHost("Microsoft Teams", "*.webhook.office.com"),
    ChatHost("Microsoft Teams", "outlook.office.com"),
    ChatHost("Power Automate", "*.environment.api.powerplatform.com"),
    ChatHost("Power Automate", "*.logic.azure.com"),
    ChatHost("Zapier", "hooks.zapier.com"),
    ChatHost("Make", "hook.*.make.com"),
    ChatHost("Make", "hook.*.make.celonis.com"),
    ChatHost("Make", "hook.integromat.com"),
    ChatHost("Telegram", "api.telegram.org"),
    ChatHost("IFTTT", "maker.ifttt.com"),
    ChatHost("PagerDuty", "events.pagerduty.com"),
    ChatHost("PagerDuty", "events.*.pagerduty.com"),
    ChatHost("Feishu", "open.feishu.cn"),
    ChatHost("Lark", "open.larksuite.com"),
    ChatHost("n8n", "*.app.n8n.cloud"),
    ChatHost("Workato", "*.workato.com"),
    ChatHost("Airtable", "hooks.airtable.com"),
    ChatHost("Opsgenie", "*.opsgenie.com"),
    ChatHost("VictorOps", "alert.victorops.com"),
    ChatHost("ntfy", "ntfy.sh"),
    ChatHost("webhook.site", "webhook.site"),
)
# Words of these products' addresses that are the same in each, and so tell nobody anything.
SAME_IN_EACH: Final = frozenset(
    {
        *("services", "workflows", "triggers", "webhooks", "webhookb2", "incomingwebhook"),
        *("messages", "powerautomate", "automations", "sendmessage", "open-apis", "webhook-test"),
        *("integration", "integrations", "20131114", "genericwebhook"),
    }
)


@lru_cache(maxsize=4096)
def product_at(host: str) -> str | None:
    """The product whose addresses are at this host, whatever its capitals; None for any other."""
    name = host.lower().rstrip(".")
    return next((product for product, pattern in _PATTERNS if pattern.fullmatch(name)), None)


def _pattern(host: str) -> re.Pattern[str]:
    any_names, rest = (r"(?:[^.]+\.)+", host[2:]) if host.startswith("*.") else ("", host)
    return re.compile(any_names + re.escape(rest).replace(r"\*", "[^.]+"))


_PATTERNS: Final = tuple((each.product, _pattern(each.host)) for each in CHAT_HOSTS)
