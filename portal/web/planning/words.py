"""Reservations and maintenance in words: when, how late, of what sort."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

from portal.models.planning import (
    OPEN_MAINTENANCES,
    Maintenance,
    MaintenanceOutcome,
    MaintenanceType,
)
from portal.services.alerts.rules import Moment, is_due_soon
from portal.web.frame.status_tags import Tag
from portal.web.frame.wording import plural, zone

TYPES: Final[Mapping[str, str]] = {
    MaintenanceType.PREVENTIVE: "Regular care",
    MaintenanceType.CORRECTIVE: "Repair",
    MaintenanceType.INSPECTION: "Inspection",
    MaintenanceType.CALIBRATION: "Calibration",
    MaintenanceType.UPGRADE: "Upgrade",
}
OUTCOMES: Final[Mapping[str, str]] = {
    MaintenanceOutcome.OK: "All is well",
    MaintenanceOutcome.REPAIRED: "It was repaired",
    MaintenanceOutcome.FAILED: "It could not be put right",
}
LATE: Final = Tag("Late", "alarm", "danger")
DUE_SOON: Final = Tag("Due soon", "alarm", "warning")
AT_RISK: Final = Tag("At risk", "exclamation-triangle-fill", "warning")


def day_in_words(day: date | None) -> str:
    """A date for people: "3 May 2026"."""
    return f"{day.day} {day:%b %Y}" if day else ""


def span_in_words(starts: datetime, ends: datetime) -> str:
    """From when until when, in the person's zone; the day once if it is the same."""
    here, there = starts.astimezone(zone()), ends.astimezone(zone())
    begin = f"{day_in_words(here.date())}, {here:%H:%M}"
    if here.date() == there.date():
        return f"{begin} to {there:%H:%M}"
    return f"{begin} to {day_in_words(there.date())}, {there:%H:%M}"


def due_badge(maintenance: Maintenance, moment: Moment) -> Tag | None:
    """Late, or due as soon as alerts tell of it; None while there is time, and once it is over."""
    if maintenance.state not in OPEN_MAINTENANCES:
        return None
    if maintenance.due_on < moment.today:
        return LATE
    return DUE_SOON if is_due_soon(moment, maintenance.due_on) else None


def cycle_in_words(days: int | None) -> str:
    """How often it comes again."""
    return f"every {plural(days, 'day')}" if days else "once"
