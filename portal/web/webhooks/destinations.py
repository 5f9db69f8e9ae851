"""Present the gallery of destinations and the initial form values for each product."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from flask import url_for

from portal.engine.conditions.predicate import Condition, as_text
from portal.engine.formats.answers import product_at
from portal.engine.formats.presets import OWN, PRESETS, Preset, has_left, is_flow, looks_like
from portal.services.webhooks.queries import ListedWebhook, WebhookDetail
from portal.services.webhooks.rules import FORMATS, SecretMode
from portal.web.frame.wording import counted
from portal.web.webhooks.conditions import ConditionForm, rows_of

# Keeps bulk actions and imports from flooding a chat with hundreds of posts.
NO_FLOODS: Final = Condition("origin", "is_not", ("bulk", "import"))
KEPT_OUT: Final = "No bulk actions or imports, so that they don’t flood the chat"


@dataclass(frozen=True, slots=True)
class Card:
    """A card of the gallery."""

    title: str
    about: str
    icon: str
    url: str


def cards() -> dict[str, Sequence[Card]]:
    """Return the cards by the title of their group."""
    groups: dict[str, list[Card]] = {}
    for preset in PRESETS.values():
        url = url_for("webhook_forms.new", to=preset.key)
        card = Card(preset.title, preset.about, f"to-{preset.key}", url)
        groups.setdefault(preset.group, []).append(card)
    inbox = Card("Try it here", "Built-in inbox, no URL needed", "to-inbox", url_for("inbox.index"))
    groups[OWN].append(inbox)
    return dict(groups)


def beginning(preset: Preset) -> dict[str, Any]:
    """Return the initial values of a product's form by field name."""
    return {
        "to": preset.key,
        "format": preset.format or "",
        "url_is_secret": preset.url_is_secret,
        "secret_mode": SecretMode.GENERATE if preset.checks_signatures else SecretMode.NONE,
        "conditions": rows_of(as_text([NO_FLOODS] if preset.format else [])),
    }


def folded_words(rows: Sequence[ConditionForm], format_: str | None) -> str:
    """Describe a chat's default condition, or return "" if the form has any other."""
    conditions = [row.as_it_is for row in rows]
    return KEPT_OUT if format_ and conditions == [NO_FLOODS] else ""


def looks_like_words(products: Sequence[Preset]) -> str:
    """Return "This looks like a Slack URL"."""
    names = " or ".join(preset.name for preset in products)
    return f"This looks like {'an' if names.startswith('n8n') else 'a'} {names} URL"


def offers(products: Sequence[Preset], format_: str | None) -> list[tuple[str, str]]:
    """Return the choices for such a URL, each with the key of the product to switch to."""
    others = {preset.format: preset.key for preset in reversed(products)}
    others.pop(format_, None)
    takes = [
        (key, f"Use the {FORMATS[other]} format" if other else f"Use {FORMATS[other]}")
        for other, key in others.items()
    ]
    return [*takes, ("", f"Keep {FORMATS[format_]}")] if products else []


def cautions(url: str, format_: str | None, header_names: Iterable[str]) -> Iterator[str]:
    """Yield warnings about this URL, which might lack its secret parts."""
    if has_left(url):
        yield (
            "Since Nov 30, 2025, flows no longer have URLs at this host. If this is a flow, copy "
            "its new URL from Power Automate. Logic Apps still work here."
        )
    if products := looks_like(url, format_):
        format_name = FORMATS.get(format_, format_)
        yield f"{looks_like_words(products)}. The webhook’s format is {format_name}."
    if is_flow(url) and any(name.lower() == "authorization" for name in header_names):
        yield ("A flow refuses requests with an Authorization header (401). Remove the header.")


def posts_words(unsent: int) -> str:
    """Return the number and time of a chat's posts for unsent deliveries, or "" for none."""
    if not unsent:
        return ""
    many = f"{counted(unsent)} unsent {'delivery' if unsent == 1 else 'deliveries'}"
    when = "Retries wait for their next attempt."
    return f"{many} will be posted to the chat one by one. {when}"


def key_caution(format_: str | None) -> str:
    """Return a warning that a chat doesn't use a secret key, or "" for our own format."""
    name = FORMATS.get(format_, "") if format_ else ""
    return f"{name} doesn’t check signatures, so it doesn’t use a secret key" if name else ""


def cautions_about(webhook: WebhookDetail) -> list[str]:
    """Return warnings about a saved webhook's URL and secret key."""
    about_key = f"{key_caution(webhook.format)}." if webhook.format and webhook.has_secret else ""
    return [
        *cautions(webhook.url, webhook.format, webhook.header_names),
        *([about_key] if about_key else []),
    ]


def destination(webhook: ListedWebhook | WebhookDetail) -> str:
    """Return "Slack · hooks.slack.com", or the host alone."""
    product = product_at(webhook.host, webhook.format) or preset_of(webhook.format)
    return f"{product.name} · {webhook.host}" if product else webhook.host


def preset_of(format_: str | None) -> Preset | None:
    """Return the product that reads a chat's format."""
    return PRESETS.get(format_ or "")
