"""Decide whether an alert fires, under which key, or why it does not, without a database.

All rules are windows, never "on the day", so that a missed run catches up. Each key fires once, so
an alert fires again only when its key changes.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from portal.engine.events.catalogue import EventName
from portal.models.assets import AssetStatus
from portal.models.planning import MaintenanceState

GONE: Final = frozenset({AssetStatus.LOST, AssetStatus.LIQUIDATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """The organization's alert settings. Days are counted in its time zone.

    `repeat_every_days` is the reminder interval of an overdue checkout, or None for no reminders.
    `at` is the time of the daily run.
    """

    warranty_on: bool = True
    warranty_days: int = 30
    maintenance_on: bool = True
    maintenance_days: int = 7
    overdue_on: bool = True
    repeat_every_days: int | None = None
    low_stock_on: bool = True
    at: time = time(7, 0)


MOST_DAYS: Final = 365
# The settings in days: the minimum and the message for other values.
DAYS: Final = {
    "warranty_days": (0, "Enter a number of days from 0 to 365"),
    "maintenance_days": (0, "Enter a number of days from 0 to 365"),
    "repeat_every_days": (1, "Enter a number of days from 1 to 365 or leave it blank"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """The rules and the instant at which they apply."""

    rules: AlertRules
    now: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The organization's date."""
        return self.now.astimezone(self.zone).date()


class Kept(StrEnum):
    """Reasons why an alert does not fire."""

    OFF = "off"
    UNSET = "unset"
    EARLY = "early"
    PAST = "past"
    GONE = "gone"
    STARTED = "started"
    ENOUGH = "enough"
    SENT = "sent"


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires. `reminder` counts the reminders of the same matter, from 0."""

    event: EventName
    matter: str
    reminder: int = 0

    @property
    def key(self) -> str:
        """The ledger's dedupe key."""
        return f"{self.matter}:{self.reminder}" if self.reminder else self.matter


def warranty(moment: Moment, asset_id: int, expires: date | None, status: str) -> Firing | Kept:
    """Fire for a warranty that ends soon, including its last day, unless the asset is gone."""
    if not moment.rules.warranty_on:
        return Kept.OFF
    if expires is None:
        return Kept.UNSET
    kept = _kept_warranty(moment, expires, status)
    return kept or Firing(EventName.WARRANTY_EXPIRING, warranty_matter(asset_id, expires))


def ends_soon(moment: Moment, expires: date | None, status: str) -> bool:
    """Return whether a warranty ends within the window, even if its alert is off."""
    return expires is not None and _kept_warranty(moment, expires, status) is None


def _kept_warranty(moment: Moment, expires: date, status: str) -> Kept | None:
    left = (expires - moment.today).days
    if status in GONE:
        return Kept.GONE
    if left < 0:
        return Kept.PAST
    return Kept.EARLY if left > moment.rules.warranty_days else None


def maintenance(moment: Moment, maintenance_id: int, due_on: date, state: str) -> Firing | Kept:
    """Fire for work that is due soon or late, unless it has started."""
    if not moment.rules.maintenance_on:
        return Kept.OFF
    if state != MaintenanceState.SCHEDULED:
        return Kept.STARTED
    if not is_due(moment, due_on, state):
        return Kept.EARLY
    return Firing(EventName.MAINTENANCE_DUE, maintenance_matter(maintenance_id, due_on))


def is_due(moment: Moment, due_on: date, state: str) -> bool:
    """Return whether scheduled work that has not started is due within the window or late."""
    return state == MaintenanceState.SCHEDULED and is_due_soon(moment, due_on)


def is_due_soon(moment: Moment, due_on: date) -> bool:
    """Return whether work is due within the window or late."""
    return (due_on - moment.today).days <= moment.rules.maintenance_days


def overdue(moment: Moment, checkout_id: int, due_at: datetime | None) -> Firing | Kept:
    """Fire for a checkout past its due time, and again for each reminder.

    After missed runs, only the latest reminder fires.
    """
    rules = moment.rules
    if not rules.overdue_on:
        return Kept.OFF
    if due_at is None:
        return Kept.UNSET
    if moment.now <= due_at:
        return Kept.EARLY
    reminder = 0
    if rules.repeat_every_days:
        # Wall-clock time keeps a 25-hour day from moving a reminder to the next run.
        late = _on_the_wall(moment.now, moment.zone) - _on_the_wall(due_at, moment.zone)
        reminder = max(0, late // timedelta(days=rules.repeat_every_days))
    return Firing(EventName.CHECKOUT_OVERDUE, checkout_matter(checkout_id, due_at), reminder)


def low_stock(
    moment: Moment,
    asset_id: int,
    quantity: int | None,
    min_quantity: int | None,
    alerted_at: datetime | None,
) -> Firing | Kept:
    """Fire for stock below its threshold, once until it is sufficient again."""
    if not moment.rules.low_stock_on:
        return Kept.OFF
    if min_quantity is None:
        return Kept.UNSET
    if not is_low(quantity, min_quantity):
        return Kept.ENOUGH
    if alerted_at is not None:
        return Kept.SENT
    return Firing(EventName.LOW_STOCK, stock_matter(asset_id, moment.now))


def is_low(quantity: int | None, min_quantity: int | None) -> bool:
    """Return whether there is a threshold and the quantity is below it."""
    return min_quantity is not None and (quantity or 0) < min_quantity


def warranty_matter(asset_id: int, expires: date) -> str:
    """Return the matter of a warranty, which changes with its end date."""
    return f"warranty:{asset_id}:{expires.isoformat()}"


def maintenance_matter(maintenance_id: int, due_on: date) -> str:
    """Return the matter of scheduled work, which changes with its due date."""
    return f"maintenance:{maintenance_id}:{due_on.isoformat()}"


def checkout_matter(checkout_id: int, due_at: datetime) -> str:
    """Return the matter of a checkout, which changes with its due time."""
    return f"checkout:{checkout_id}:{due_at.astimezone(UTC).isoformat()}"


def stock_matter(asset_id: int, alerted_at: datetime) -> str:
    """Return the matter of low stock, which changes with each alert."""
    return f"stock:{asset_id}:{alerted_at.astimezone(UTC).isoformat()}"


def _on_the_wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)
