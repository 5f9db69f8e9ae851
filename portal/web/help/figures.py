"""The numbers of this installation that help texts name."""

from datetime import timedelta

from portal.extensions import settings
from portal.lib.durations import in_words
from portal.services.alerts import settings as alert_settings
from portal.services.webhooks.secrets import OVERLAP
from portal.web.frame.wording import plural


def overlap_words() -> str:
    """How long a secret key that was replaced still counts: "24 hours"."""
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
