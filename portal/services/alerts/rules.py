"""When an alert fires, and under which key, or why it does not: pure.

All rules are windows, never "on the day", so that a missed run catches up. A key is used once; an
alert fires again when something changes its key.
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
    """The organisation's settings. Days are counted in its time zone.

    `repeat_every_days`: how often of an overdue check-out; None: once. `at`: the time of day of the
    daily run.
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
# What counts days: the least of them, and how anything else is refused.
DAYS: Final = {
    "warranty_days": (0, "Enter a number of days from 0 to 365"),
    "maintenance_days": (0, "Enter a number of days from 0 to 365"),
    "repeat_every_days": (1, "Enter a number of days from 1 to 365 or leave it blank"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """The rules, and the instant at which they are applied."""

    rules: AlertRules
    now: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The organisation's date."""
        return self.now.astimezone(self.zone).date()


class Kept(StrEnum):
    """Why an alert does not fire."""

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
    """An alert that fires. `reminder`: 0 the first time, then 1, 2, … of the same matter."""

    event: EventName
    matter: str
    reminder: int = 0

    @property
    def key(self) -> str:
        """The dedupe key of the ledger."""
        return f"{self.matter}:{self.reminder}" if self.reminder else self.matter


def warranty(moment: Moment, asset_id: int, expires: date | None, status: str) -> Firing | Kept:
    """Fire for a warranty that ends soon, its last day included. Not for what is gone."""
    if not moment.rules.warranty_on:
        return Kept.OFF
    if expires is None:
        return Kept.UNSET
    kept = _kept_warranty(moment, expires, status)
    return kept or Firing(EventName.WARRANTY_EXPIRING, warranty_matter(asset_id, expires))


def ends_soon(moment: Moment, expires: date | None, status: str) -> bool:
    """Return whether a warranty ends within the window, also where its alert is off."""
    return expires is not None and _kept_warranty(moment, expires, status) is None


def _kept_warranty(moment: Moment, expires: date, status: str) -> Kept | None:
    left = (expires - moment.today).days
    if status in GONE:
        return Kept.GONE
    if left < 0:
        return Kept.PAST
    return Kept.EARLY if left > moment.rules.warranty_days else None


def maintenance(moment: Moment, maintenance_id: int, due_on: date, state: str) -> Firing | Kept:
    """Fire for work that is due soon or late, unless somebody has begun it."""
    if not moment.rules.maintenance_on:
        return Kept.OFF
    if state != MaintenanceState.SCHEDULED:
        return Kept.STARTED
    if not is_due(moment, due_on, state):
        return Kept.EARLY
    return Firing(EventName.MAINTENANCE_DUE, maintenance_matter(maintenance_id, due_on))


def is_due(moment: Moment, due_on: date, state: str) -> bool:
    """Return whether planned work that nobody has begun is due within the window, or late."""
    return state == MaintenanceState.SCHEDULED and is_due_soon(moment, due_on)


def is_due_soon(moment: Moment, due_on: date) -> bool:
    """Return whether work is due within the window, or late."""
    return (due_on - moment.today).days <= moment.rules.maintenance_days


def overdue(moment: Moment, checkout_id: int, due_at: datetime | None) -> Firing | Kept:
    """Fire for a check-out past its due time, and again for each reminder.

    After missed runs only the latest reminder fires, not one for each.
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
        # By the clock on the wall: a night with a 25th hour moves no reminder to the next run.
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
    """Fire for stock below its threshold, once until there is enough again."""
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
    """Return whether there are fewer than there should be; without a threshold there never are."""
    return min_quantity is not None and (quantity or 0) < min_quantity


def warranty_matter(asset_id: int, expires: date) -> str:
    """The matter of a warranty: a new date is a new one."""
    return f"warranty:{asset_id}:{expires.isoformat()}"


def maintenance_matter(maintenance_id: int, due_on: date) -> str:
    """The matter of planned work: a new day is a new one."""
    return f"maintenance:{maintenance_id}:{due_on.isoformat()}"


def checkout_matter(checkout_id: int, due_at: datetime) -> str:
    """The matter of a check-out: a new due time is a new one."""
    return f"checkout:{checkout_id}:{due_at.astimezone(UTC).isoformat()}"


def stock_matter(asset_id: int, alerted_at: datetime) -> str:
    """The matter of low stock: a new one each time that it is alerted of."""
    return f"stock:{asset_id}:{alerted_at.astimezone(UTC).isoformat()}"


def _on_the_wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)
