"""What System says of a stop of all sending, and of secrets that do not open. Pure."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final

from portal.services.core.time_zones import moment_words
from portal.services.operations.finding import Finding, Level
from portal.services.operations.health import Facts, has_met_closed

NAMED: Final = 5


def sending_is_on(facts: Facts, now: datetime) -> Iterator[Finding]:
    """That a person has stopped it: who, and since when."""
    if facts.stop is None:
        return
    zone = facts.settings.timezone
    yield Finding(
        "sending_stopped",
        Level.WARNING,
        f"{facts.stop.by} stopped all sending on {moment_words(facts.stop.since, zone, now)} "
        f"({zone.key}).",
        "Nothing is lost: deliveries wait. To start it again, press Start sending on this page, or "
        f"run {facts.settings.command('sending on')}.",
    )


def secrets_open(facts: Facts, now: datetime) -> Iterator[Finding]:
    """That senders can sign, and that no webhook is off for want of its keys."""
    if facts.keys_error:
        return
    if has_met_closed(facts.lives, now):
        whose = f" of {_names(facts.closed)}" if facts.closed else ""
        yield Finding(
            "secrets_closed",
            Level.DANGER,
            f"A worker cannot open secrets{whose}, so these deliveries wait.",
            "Give every process the same ENCRYPTION_KEYS, earlier keys among them, and restart it. "
            "If keys are lost for good, stop the portal and run "
            f"{facts.settings.command('forget-secrets')}.",
        )
    if facts.lost:
        yield Finding(
            "secrets_lost",
            Level.WARNING,
            f"Off, because the keys to what is stored of them are lost: {_names(facts.lost)}.",
            "Enter their secrets anew (Edit), or set the earlier keys behind the present one in "
            "ENCRYPTION_KEYS and restart. Then turn them on.",
        )


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(f"“{each}”" for each in names[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
