"""What System says while a person has stopped all sending. Pure."""

from collections.abc import Iterator
from datetime import datetime

from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts


def sending_is_on(facts: Facts, _now: datetime) -> Iterator[Finding]:
    """That a person has stopped it: who, and since when."""
    if facts.stop is None:
        return
    since = facts.stop.since.astimezone(facts.settings.timezone)
    yield Finding(
        "sending_stopped",
        Level.WARNING,
        f"{facts.stop.by} stopped all sending on {since.day} {since:%b %Y} at {since:%H:%M}.",
        "Nothing is lost: deliveries wait. To start it again, press Start sending on this page, or "
        f"run {facts.settings.command('sending on')}.",
    )
