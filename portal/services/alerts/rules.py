"""When an alert fires, and under which key: the rules alone, without clock, database or network.

All of them are windows, never "on the day": a run that was missed catches up. A key is used once;
what makes an alert possible again is whatever changes its key.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from portal.engine.events.catalogue import EventName
from portal.models.assets import AssetStatus
from portal.models.planning import MaintenanceState

GONE: Final = frozenset({AssetStatus.LOST, AssetStatus.LIQUIDATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """What the organisation wants to be alerted of. Days are counted in its time zone.

    `repeat_every_days`: an overdue check-out is reminded of so often; None: it is told once.
    `at`: the time of day of the daily run.
    """

    warranty_on: bool = True
    warranty_days: int = 30
    maintenance_on: bool = True
    maintenance_days: int = 7
    overdue_on: bool = True
    repeat_every_days: int | None = None
    low_stock_on: bool = True
    at: time = time(7, 0)


@dataclass(frozen=True, slots=True)
class Moment:
    """The rules, and the instant at which they are asked."""

    rules: AlertRules
    now: datetime
    zone: ZoneInfo

    @property
    def today(self) -> date:
        """The day it is for the organisation."""
        return self.now.astimezone(self.zone).date()


@dataclass(frozen=True, slots=True)
class Firing:
    """An alert that fires. `reminder`: 0 the first time, then 1, 2, … of the same matter."""

    event: EventName
    matter: str
    reminder: int = 0

    @property
    def key(self) -> str:
        """What is unique in the ledger."""
        return f"{self.matter}:{self.reminder}" if self.reminder else self.matter


def warranty(moment: Moment, asset_id: int, expires: date | None, status: str) -> Firing | None:
    """What has expired already is not worth a word."""
    if not moment.rules.warranty_on or expires is None or not ends_soon(moment, expires, status):
        return None
    return Firing(EventName.WARRANTY_EXPIRING, warranty_matter(asset_id, expires))


def ends_soon(moment: Moment, expires: date | None, status: str) -> bool:
    """Whether a warranty ends within the window, its last day included. Not of what is gone."""
    if expires is None or status in GONE:
        return False
    return 0 <= (expires - moment.today).days <= moment.rules.warranty_days


def maintenance(moment: Moment, maintenance_id: int, due_on: date, state: str) -> Firing | None:
    """Due within the window, or late; what has been begun needs no reminder."""
    if not moment.rules.maintenance_on or not is_due(moment, due_on, state):
        return None
    return Firing(EventName.MAINTENANCE_DUE, maintenance_matter(maintenance_id, due_on))


def is_due(moment: Moment, due_on: date, state: str) -> bool:
    """Whether planned work that nobody has begun is due within the window, or late."""
    return state == MaintenanceState.SCHEDULED and is_due_soon(moment, due_on)


def is_due_soon(moment: Moment, due_on: date) -> bool:
    """Whether work is due within the window, or late."""
    return (due_on - moment.today).days <= moment.rules.maintenance_days


def overdue(moment: Moment, checkout_id: int, due_at: datetime) -> Firing | None:
    """Past its due time; with reminders, again every so many days from then on.

    After missed runs only the latest reminder is due, not one for each.
    """
    rules = moment.rules
    if not rules.overdue_on or moment.now <= due_at:
        return None
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
) -> Firing | None:
    """Fewer than the threshold, and not told of since there were enough."""
    if not moment.rules.low_stock_on or alerted_at is not None:
        return None
    if not is_low(quantity, min_quantity):
        return None
    return Firing(EventName.LOW_STOCK, stock_matter(asset_id, moment.now))


def is_low(quantity: int | None, min_quantity: int | None) -> bool:
    """Whether there are fewer than there should be; without a threshold there never are."""
    return min_quantity is not None and (quantity or 0) < min_quantity


def warranty_matter(asset_id: int, expires: date) -> str:
    """A new date is a new matter."""
    return f"warranty:{asset_id}:{expires.isoformat()}"


def maintenance_matter(maintenance_id: int, due_on: date) -> str:
    """So is a new day; each repetition is a maintenance of its own."""
    return f"maintenance:{maintenance_id}:{due_on.isoformat()}"


def checkout_matter(checkout_id: int, due_at: datetime) -> str:
    """So is a new due time."""
    return f"checkout:{checkout_id}:{due_at.astimezone(UTC).isoformat()}"


def stock_matter(asset_id: int, alerted_at: datetime) -> str:
    """Each time that the latch falls."""
    return f"stock:{asset_id}:{alerted_at.astimezone(UTC).isoformat()}"


def _on_the_wall(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None)
