"""Define the help topics with their anchors, link to them, and render them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from flask import render_template, url_for
from markupsafe import Markup

from portal.engine.circuit_breaker import NOTICE
from portal.engine.formats.presets import PRESETS
from portal.engine.reasons import ReasonGroup
from portal.extensions import settings
from portal.lib.durations import in_words
from portal.services.alerts import settings as alert_settings
from portal.services.webhooks.notices import AHEAD, LASTS
from portal.services.webhooks.secrets import OVERLAP
from portal.web.frame.wording import plural
from portal.web.help.anchors import STATUSES, reason_rows

ACT_LATER: Final = (
    "Microsoft Teams, Power Automate, Zapier, and Make accept a delivery before they act on it."
)
# Tags that separate words on the page, so their text needs a space in between.
BETWEEN: Final = re.compile(r"</?(?:p|li|ul|ol|dl|dt|dd|h\d|div|table|tr|td|th|summary)\b[^<>]*>")


@dataclass(frozen=True, slots=True)
class Topic:
    """One help page at `/help/<name>`, written in `templates/help/topics/<name>.html`."""

    title: str
    anchors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """A search result in the help. `anchor`: empty for the whole topic."""

    anchor: str
    title: str
    text: str
    url: str


TOPICS: Final[Mapping[str, Topic]] = {
    "webhooks": Topic(
        "What is a webhook?",
        ("example", "connect", "inbox", "events", "colleagues", "promise", "words"),
    ),
    "connect": Topic("Connect a system", (*PRESETS, "chats", "old-urls", "checked")),
    "no-message": Topic(
        "Why didn’t it arrive?", ("log", "happened", "asked", "then", "delivered", "still")
    ),
    STATUSES: Topic("Statuses and reasons", ("statuses", "webhook-statuses", *ReasonGroup)),
    "retry": Topic(
        "Retry and dismiss", ("one", "outcome", "no", "again", "problems", "dismiss", "many")
    ),
    "emails": Topic("Emails about webhooks", ("fails", "which", "stop-emails", "no-email")),
    "held": Topic("On-hold deliveries", ("why", "until", "on", "end")),
    "receiver": Topic("For receiver developers", ("signature", "answers", "repeats", "checks")),
    "register": Topic(
        "Assets",
        (
            "lend",
            "give",
            "reserve",
            "trouble",
            "stock",
            "numbers",
            "lists",
            "many",
            "merge",
            "import",
            "not-yet",
        ),
    ),
    "alerts": Topic("Alerts", ("kinds", "when", "who", "email", "why-not", "acknowledge")),
    "running": Topic(
        "Administration",
        (
            "roles",
            "keys",
            "signed-in",
            "audit",
            "system",
            "erase",
            "api",
            "backups",
            "stop",
            "zones",
            "trial",
            "not-yet",
        ),
    ),
}


def help_link(name: str, words: str = "", anchor: str = "", **given: object) -> Markup:
    """Return a link to a topic, or to one of its anchors. Raises `LookupError` for an unknown one.

    `given`: query parameters for the topic's page.
    """
    topic = TOPICS[name]
    if anchor and anchor not in topic.anchors:
        raise LookupError(f"{name}#{anchor}")
    query: dict[str, Any] = {key: value for key, value in given.items() if value}
    url = url_for("help.show", name=name, _anchor=anchor or None, **query)
    return Markup('<a href="{}">{}</a>').format(url, words or topic.title)


def read(name: str, *, is_answered: bool = False) -> tuple[Markup, list[Entry]]:
    """Render a topic for the signed-in person. Return the page's body and its searchable entries.

    `is_answered`: the page shows an answer above the topic.
    """
    entries: list[Entry] = []

    def record(anchor: str, title: str, body: Markup) -> str:
        url = url_for("help.show", name=name, _anchor=anchor or None)
        text = Markup(BETWEEN.sub(" ", body)).striptags()  # noqa: S704 - only tags were removed
        entries.append(Entry(anchor, title, text, url))
        return ""

    body = render_template(
        f"help/topics/{name}.html",
        record=record,
        topic=TOPICS[name],
        is_answered=is_answered,
        **_figures(),
    )
    return Markup(body), entries  # noqa: S704 - a template's own output


def _figures() -> dict[str, object]:
    """Return this installation's figures that topics mention."""
    ours, rules = settings(), alert_settings.read().rules
    return {
        "presets": PRESETS,
        "command": ours.command,
        "act_later": ACT_LATER,
        "has_links": ours.linked_url is not None,
        "attempts": len(ours.webhook_retry_schedule),
        "lasting": in_words(sum(ours.webhook_retry_schedule)),
        "days": plural(ours.retention_days, "day"),
        "timeout": in_words(ours.webhook_timeout),
        "notice": in_words(NOTICE.total_seconds()),
        "notify_after": in_words(LASTS.total_seconds()),
        "notify_ahead": in_words(AHEAD.total_seconds()),
        "warranty_days": plural(rules.warranty_days, "day"),
        "maintenance_days": plural(rules.maintenance_days, "day"),
        "overlap": overlap_words(),
        "alerts_at": f"{rules.at:%H:%M}",
        "reason_groups": [(group, reason_rows(group)) for group in ReasonGroup],
    }


def overlap_words() -> str:
    """Return how long a replaced secret key still signs: "24 hours"."""
    return plural(int(OVERLAP / timedelta(hours=1)), "hour")
