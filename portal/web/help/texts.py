"""The parts of a help text, and the numbers of this installation that it names."""

from dataclasses import dataclass
from datetime import timedelta

from portal.extensions import settings
from portal.lib.durations import in_words
from portal.services.alerts import settings as alert_settings
from portal.services.webhooks.secrets import OVERLAP
from portal.web.frame.wording import plural

Link = tuple[str, str]  # words, path


@dataclass(frozen=True, slots=True)
class HelpEntry:
    """One question and its answer. `text`: paragraphs, with the names of `figures` in braces.

    `also`: words that people may search for, and that do not stand in the text.
    """

    anchor: str
    title: str
    text: tuple[str, ...]
    links: tuple[Link, ...] = ()
    also: str = ""


@dataclass(frozen=True, slots=True)
class Topic:
    """One help page at `/help/<name>`."""

    name: str
    title: str
    lede: str
    entries: tuple[HelpEntry, ...]


def overlap_words() -> str:
    """Return for how long a secret key that was replaced still counts: "24 hours"."""
    return plural(int(OVERLAP / timedelta(hours=1)), "hour")


def figures() -> dict[str, str]:
    """By the names that stand in the texts in braces."""
    ours, rules = settings(), alert_settings.read().rules
    return {
        "tries": str(len(ours.webhook_retry_schedule)),
        "lasting": in_words(sum(ours.webhook_retry_schedule)),
        "days": plural(ours.retention_days, "day"),
        "timeout": in_words(ours.webhook_timeout),
        "warranty_days": plural(rules.warranty_days, "day"),
        "maintenance_days": plural(rules.maintenance_days, "day"),
        "overlap": overlap_words(),
        "alerts_at": f"{rules.at:%H:%M}",
    }
