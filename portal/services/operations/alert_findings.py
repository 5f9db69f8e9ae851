"""What System warns of about alerts. Pure."""

from collections.abc import Iterator
from datetime import datetime

from portal.lib.durations import in_words
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts


def alerts_are_looked_for(facts: Facts, now: datetime) -> Iterator[Finding]:
    """In time, and with the first question out of the way."""
    status = facts.alerts
    if status is not None and status.is_late and not facts.trouble:
        late = in_words((now - status.last_due_at).total_seconds())
        yield Finding(
            "alerts_late",
            Level.DANGER,
            f"Alerts are late: the daily check for them was due {late} ago and has not ended.",
            f"Start {facts.settings.command('scheduler')} and "
            f"{facts.settings.command('worker background')}, or look in their logs. The next run "
            "makes up for it.",
        )
    if status is not None and status.needs_first_answer:
        yield Finding(
            "alerts_wait",
            Level.WARNING,
            "Alerts wait for an answer: nobody has decided what becomes of what is due already.",
            "Answer under Settings → Alerts. Until then no scheduled alert is sent.",
        )
