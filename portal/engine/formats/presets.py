"""The products that can receive webhooks, as rows of data, and checks of a URL by its host."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from portal.engine.http.address_guard import MAX_URL_LENGTH, host_of

# A `*` at the start of a host stands for one or more labels, any other for a single label.
_FLOWS: Final = (
    "*.environment.api.powerplatform.com",
    "*.powerautomate.com",
    "*.flow.microsoft.com",
    "*.logic.azure.com",
)
_DISCORD: Final = ("discord.com", "*.discord.com", "discordapp.com", "*.discordapp.com")
# Office 365 connectors ended in spring 2026.
_ENDED: Final = ("*.webhook.office.com", "outlook.office.com", "outlook.office365.com")
# Flows moved away on November 30, 2025. Logic Apps are still there.
_LEFT: Final = ("*.logic.azure.com",)
# Hosts of products without a preset. Anyone who knows a URL there can send to it.
OTHER_HOSTS: Final = (
    *_ENDED,
    *("api.telegram.org", "maker.ifttt.com", "events.pagerduty.com", "events.*.pagerduty.com"),
    *("open.feishu.cn", "open.larksuite.com", "*.workato.com", "hooks.airtable.com"),
    *("*.opsgenie.com", "alert.victorops.com", "ntfy.sh", "webhook.site"),
)


class Preset(NamedTuple):
    """A product. `format`: the chat format that it reads, None for our own body.

    `also`: a similar product, named beside it. `url_is_secret`: anyone who knows the URL can send
    there. `checked`: the last comparison of steps and hosts with the product’s documentation. They
    were never tried live.
    """

    key: str
    name: str
    group: str
    about: str
    steps: tuple[str, str, str]
    example: str
    example_url: str
    note: str = ""
    hosts: tuple[str, ...] = ()
    format: str | None = None
    url_is_secret: bool = True
    checks_signatures: bool = False
    also: str = ""
    checked: str = "November 2026"

    @property
    def title(self) -> str:
        """Return the name, including that of the similar product."""
        return f"{self.name}{self.also}"


CHAT, AUTOMATION, OWN = "Chat", "Automation", "Your own system"
PROGRAM: Final = "program"

_ROWS: Final = (
    Preset(
        "teams",
        "Microsoft Teams",
        CHAT,
        "Posts in a channel, through a workflow",
        (
            "In Teams, select More options (…) next to the channel’s name, then Workflows.",
            "Choose the template “Send webhook alerts to a channel”, then the team and the "
            "channel. Save the workflow.",
            "Copy the webhook URL, paste it into this portal, and send a test.",
        ),
        example="IT channel in Teams",
        example_url="https://….environment.api.powerplatform.com/powerautomate/…&sig=…",
        note="Teams accepts a delivery (202) before it posts it. If the channel stays empty, check "
        "the workflow’s run history. A workflow belongs to the person who made it, so add a "
        "co-owner.",
        hosts=_FLOWS,
        format="teams",
    ),
    Preset(
        "slack",
        "Slack",
        CHAT,
        "Posts in a channel. Mattermost and Rocket.Chat, too",
        (
            "At api.slack.com/apps, create an app for your workspace. Turn on Incoming Webhooks.",
            "Select Add New Webhook, choose the channel, and select Allow.",
            "Copy the webhook URL, paste it into this portal, and send a test.",
        ),
        example="IT channel in Slack",
        example_url="https://hooks.slack.com/services/…",
        note="In Mattermost and Rocket.Chat, add an incoming webhook under Integrations.",
        hosts=("hooks.slack.com", "hooks.slack-gov.com"),
        format="slack",
    ),
    Preset(
        "discord",
        "Discord",
        CHAT,
        "Posts in a channel",
        (
            "In Discord, open the channel’s settings, then Integrations and Webhooks.",
            "Select New Webhook and choose its name and channel.",
            "Select Copy Webhook URL, paste it into this portal, and send a test.",
        ),
        example="IT channel in Discord",
        example_url="https://discord.com/api/webhooks/…",
        hosts=_DISCORD,
        format="discord",
    ),
    Preset(
        "google_chat",
        "Google Chat",
        CHAT,
        "Cards in a space",
        (
            "In Google Chat in a browser, select the space’s name, then “Apps & integrations”.",
            "Select Add webhooks, enter a name, and select Save.",
            "Copy the webhook’s link, paste it into this portal, and send a test.",
        ),
        example="IT space in Google Chat",
        example_url="https://chat.googleapis.com/v1/spaces/…",
        note="It needs Google Workspace. Your Google administrator has to allow incoming webhooks.",
        hosts=("chat.googleapis.com",),
        format="google_chat",
    ),
    Preset(
        "zapier",
        "Zapier",
        AUTOMATION,
        "Starts a Zap",
        (
            "Create a Zap with the trigger “Webhooks by Zapier” and the event “Catch Hook”.",
            "Copy the webhook URL, paste it into this portal, and send a test.",
            "In Zapier, select Test trigger, add your actions, and publish the Zap.",
        ),
        example="Zap for new laptops",
        example_url="https://hooks.zapier.com/hooks/catch/…",
        note="Zapier includes Webhooks by Zapier in its paid plans only.",
        hosts=("hooks.zapier.com",),
    ),
    Preset(
        "make",
        "Make",
        AUTOMATION,
        "Starts a scenario",
        (
            "Create a scenario with the module “Webhooks”, “Custom webhook”, and add a webhook.",
            "Copy its URL, paste it into this portal, and send a test while Make waits for data.",
            "Add your modules and turn the scenario on.",
        ),
        example="Scenario for new laptops",
        example_url="https://hook.eu1.make.com/…",
        note="Make closes a URL (410) that no scenario has used for 120 hours.",
        hosts=("hook.*.make.com", "hook.*.make.celonis.com", "hook.integromat.com"),
    ),
    Preset(
        "n8n",
        "n8n",
        AUTOMATION,
        "Starts a workflow or a flow",
        (
            "In n8n, add a Webhook node that accepts POST. In Node-RED, add an “http in” node for "
            "POST and an “http response” node.",
            "Copy the node’s URL and paste it into this portal. In n8n, copy the Production URL. "
            "The Test URL works for 120 seconds only.",
            "Publish the workflow in n8n or deploy the flow in Node-RED, then send a test.",
        ),
        example="Workflow for new laptops",
        example_url="https://n8n.example.com/webhook/…",
        hosts=("*.app.n8n.cloud",),
        also=" or Node-RED",
    ),
    Preset(
        "power_automate",
        "Power Automate",
        AUTOMATION,
        "Starts a cloud flow",
        (
            "Create a cloud flow with the trigger “When an HTTP request is received”. For “Who can "
            "trigger the flow”, select Anyone.",
            "Save the flow, copy its whole HTTP URL, and paste it into this portal.",
            "Send a test and check the flow’s run history.",
        ),
        example="Flow for new laptops",
        example_url="https://….environment.api.powerplatform.com/powerautomate/…&sig=…",
        note="A flow belongs to the person who made it, so add a co-owner.",
        hosts=_FLOWS,
    ),
    Preset(
        PROGRAM,
        "My own program",
        OWN,
        "Signed JSON, with code to verify it",
        (
            "Ask the program’s developers for a URL that accepts POST requests with JSON.",
            "Enter the URL in this portal, choose the events, and send a test.",
            "Save the webhook and give the developers its secret key. Receiver setup has code that "
            "verifies signatures.",
        ),
        example="Nordwind ERP",
        example_url="https://erp.example.com/hooks",
        note="If the URL belongs to a chat, choose that chat as the format. Mattermost and "
        "Rocket.Chat read Slack’s.",
        url_is_secret=False,
        checks_signatures=True,
    ),
)
PRESETS: Final[Mapping[str, Preset]] = {preset.key: preset for preset in _ROWS}


def _pattern(host: str) -> re.Pattern[str]:
    any_names, rest = (r"(?:[^.]+\.)+", host[2:]) if host.startswith("*.") else ("", host)
    return re.compile(any_names + re.escape(rest).replace(r"\*", "[^.]+"))


_PATTERNS: Final = tuple(
    (_pattern(host), preset) for preset in _ROWS for host in preset.hosts
) + tuple((_pattern(host), None) for host in OTHER_HOSTS)


@lru_cache(maxsize=4096)
def _found_at(host: str) -> tuple[Preset | None, ...]:
    name = host.lower().rstrip(".")
    return tuple(preset for pattern, preset in _PATTERNS if pattern.fullmatch(name))


def presets_at(host: str) -> tuple[Preset, ...]:
    """Return the products that receive webhooks at this host, ignoring case."""
    return tuple(filter(None, _found_at(host)))


def is_secret_at(host: str) -> bool:
    """Return whether anyone who knows a URL at this host can send to it."""
    return bool(_found_at(host))


def _is_at(url: str, hosts: tuple[str, ...]) -> bool:
    name = host_of(url).lower().rstrip(".")
    return any(_pattern(host).fullmatch(name) for host in hosts)


def has_ended(url: str) -> bool:
    """Return whether this is the URL of an Office 365 connector, which no longer works."""
    return _is_at(url, _ENDED)


def has_left(url: str) -> bool:
    """Return whether flows have moved away from the URL's host."""
    return _is_at(url, _LEFT)


def is_flow(url: str) -> bool:
    """Return whether this is the URL of a Power Automate flow. A Teams workflow is one too."""
    return _is_at(url, _FLOWS)


def url_mistake(url: str) -> str | None:
    """Return a sentence about a URL that can't receive anything, or None."""
    if has_ended(url):
        return (
            "Microsoft has retired this kind of URL. Create a workflow in Teams and enter its URL"
        )
    if is_flow(url):
        query = urlsplit(url).query
        if "&amp;" in query or not dict(parse_qsl(query)).get("sig"):
            return "This URL is incomplete. Copy it again"
    return None


def as_kept(url: str, format_: str | None) -> str:
    """Return the URL to store, with `wait=true` for Discord.

    Without it, Discord responds with 204 even to a post that it drops.
    """
    if format_ != "discord" or not _is_at(url, _DISCORD):
        return url
    parts = urlsplit(url)
    others = [pair for pair in parts.query.split("&") if pair and not pair.startswith("wait=")]
    waiting = urlunsplit(parts._replace(query="&".join([*others, "wait=true"])))
    return waiting if len(waiting) <= MAX_URL_LENGTH else url


def looks_like(url: str, format_: str | None, chosen: str | None = None) -> tuple[Preset, ...]:
    """Return the products of this URL if they don't match the webhook, else none.

    They don't match if the URL isn't for the `chosen` product and one of them reads another format.
    Without `chosen`, only the format counts.
    """
    here = presets_at(host_of(url))
    fitting = [preset for preset in here if preset.format == format_]
    is_meant = any(preset.key == chosen for preset in fitting) if chosen else bool(fitting)
    return () if is_meant or len(fitting) == len(here) else here
