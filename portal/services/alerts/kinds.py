"""Where alerts come from: for each of the four, what is due, and whether one thing really is.

`standing` is everything in that state, told of or not: whoever counts it counts this. `scan` reads
a chunk without locks and goes by the rules; `judge` looks at one thing again, with its asset's row
locked, and says what receivers are told.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from sqlalchemy import Select, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.engine.events.catalogue import EventName
from portal.engine.events.details import (
    AlertFacts,
    CheckoutOverdue,
    LowStock,
    MaintenanceDue,
    WarrantyExpiring,
)
from portal.models.assets import Asset
from portal.models.assignments import Assignment
from portal.models.planning import Maintenance, MaintenanceState
from portal.services.alerts import rules as alert_rules
from portal.services.alerts.rules import GONE, Firing, Moment
from portal.services.assets import queries as asset_queries
from portal.services.assets.snapshots import as_told, last_move, named, ref, snapshot, staff_ref

CHUNK: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An alert that is due, with what is told of it."""

    firing: Firing
    facts: AlertFacts
    maintenance_id: int | None = None
    assignment_id: int | None = None


Scanned = Sequence[tuple[int, Firing | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One kind of alert. Its things are assets, maintenances or assignments, by their row ids.

    `standing(moment)`: the ids of those in that state. `scan(current, moment, after)`: at most
    `CHUNK` of them, in the order of their ids.
    """

    event: EventName
    standing: Callable[[Moment], Select[int]]
    scan: Callable[[Session, Moment, int], Scanned]
    asset_of: Callable[[Session, int], int | None]
    judge: Callable[[Session, Moment, Asset, int], Found | None]


def _ending_warranties(moment: Moment) -> Select[int]:
    last = moment.today + timedelta(days=moment.rules.warranty_days)
    return select(Asset.id).where(
        Asset.deleted_at.is_(None),
        Asset.warranty_expires.between(moment.today, last),
        Asset.status.not_in(GONE),
    )


def _scan_warranties(current: Session, moment: Moment, after: int) -> Scanned:
    told = (Asset.warranty_expires, Asset.status)
    rows = current.execute(_chunk(_ending_warranties(moment), Asset.id, after, *told))
    return [(id_, alert_rules.warranty(moment, id_, ends, status)) for id_, ends, status in rows]


def _judge_warranty(
    _current: Session, moment: Moment, asset: Asset, _thing_id: int
) -> Found | None:
    ends = asset.warranty_expires
    firing = alert_rules.warranty(moment, asset.id, ends, asset.status)
    if firing is None or ends is None:
        return None
    facts = WarrantyExpiring(
        warranty_expires=ends,
        days_left=(ends - moment.today).days,
        threshold_days=moment.rules.warranty_days,
        supplier=asset.supplier,
        holder=snapshot(asset).holder,
    )
    return Found(firing=firing, facts=facts)


def _due_maintenances(moment: Moment) -> Select[int]:
    last = moment.today + timedelta(days=moment.rules.maintenance_days)
    planned = select(Maintenance.id).join(Maintenance.asset).where(Asset.deleted_at.is_(None))
    is_open = Maintenance.state == MaintenanceState.SCHEDULED
    return planned.where(is_open, Maintenance.due_on <= last)


def _scan_maintenances(current: Session, moment: Moment, after: int) -> Scanned:
    columns = (Maintenance.due_on, Maintenance.state)
    rows = current.execute(_chunk(_due_maintenances(moment), Maintenance.id, after, *columns))
    return [(id_, alert_rules.maintenance(moment, id_, due, state)) for id_, due, state in rows]


def _judge_maintenance(
    current: Session, moment: Moment, _asset: Asset, thing_id: int
) -> Found | None:
    found = current.get_one(Maintenance, thing_id, populate_existing=True)
    firing = alert_rules.maintenance(moment, found.id, found.due_on, found.state)
    if firing is None:
        return None
    days_left = (found.due_on - moment.today).days
    facts = MaintenanceDue(
        maintenance_id=found.id,
        title=found.title,
        type=found.type,
        due_on=found.due_on,
        days_left=days_left,
        overdue=days_left < 0,
        threshold_days=moment.rules.maintenance_days,
        assignee=named(found.assignee),
    )
    return Found(firing=firing, facts=facts, maintenance_id=found.id)


def _late_checkouts(moment: Moment) -> Select[int]:
    late = select(Assignment.id).join(Assignment.asset).where(Asset.deleted_at.is_(None))
    return late.where(asset_queries.is_overdue(moment.now))


def _scan_checkouts(current: Session, moment: Moment, after: int) -> Scanned:
    due_at = Assignment.due_at
    rows = current.execute(_chunk(_late_checkouts(moment), Assignment.id, after, due_at))
    return [(id_, alert_rules.overdue(moment, id_, due_at)) for id_, due_at in rows]


def _judge_checkout(current: Session, moment: Moment, _asset: Asset, thing_id: int) -> Found | None:
    lent = current.get_one(Assignment, thing_id, populate_existing=True)
    if lent.ended_at is not None or lent.due_at is None:
        return None
    firing = alert_rules.overdue(moment, lent.id, lent.due_at)
    if firing is None:
        return None
    facts = CheckoutOverdue(
        checkout_id=lent.id,
        staff=staff_ref(lent.staff),
        checked_out_at=lent.started_at,
        due_at=lent.due_at,
        days_overdue=(moment.now - lent.due_at).days,
        reminder_no=firing.reminder + 1,
    )
    return Found(firing=firing, facts=facts, assignment_id=lent.id)


def _low_stock(_moment: Moment) -> Select[int]:
    return select(Asset.id).where(Asset.deleted_at.is_(None), asset_queries.is_low())


def _scan_stock(current: Session, moment: Moment, after: int) -> Scanned:
    numbers = (Asset.quantity, Asset.min_quantity, Asset.low_stock_alerted_at)
    untold = _low_stock(moment).where(Asset.low_stock_alerted_at.is_(None))
    rows = current.execute(_chunk(untold, Asset.id, after, *numbers))
    return [(row[0], alert_rules.low_stock(moment, *row)) for row in rows]


def judge_stock(current: Session, moment: Moment, asset: Asset, _thing_id: int) -> Found | None:
    """Also asked right after each change of the asset itself."""
    quantity, least = asset.quantity or 0, asset.min_quantity
    firing = alert_rules.low_stock(moment, asset.id, quantity, least, asset.low_stock_alerted_at)
    if firing is None or least is None:
        return None
    move = last_move(current, asset.id)
    facts = LowStock(
        quantity=quantity,
        min_quantity=least,
        unit=asset.unit,
        shortfall=least - quantity,
        location=ref(asset.location),
        last_move=as_told(move) if move else None,
    )
    return Found(firing=firing, facts=facts)


def _chunk(
    standing: Select[int], ids: InstrumentedAttribute[int], after: int, *columns: Any
) -> Select[*tuple[Any, ...]]:
    return standing.add_columns(*columns).where(ids > after).order_by(ids).limit(CHUNK)


def _itself(_current: Session, asset_id: int) -> int | None:
    return asset_id


def _of_maintenance(current: Session, thing_id: int) -> int | None:
    return current.scalar(select(Maintenance.asset_id).where(Maintenance.id == thing_id))


def _of_assignment(current: Session, thing_id: int) -> int | None:
    return current.scalar(select(Assignment.asset_id).where(Assignment.id == thing_id))


SOURCES: Final = (
    Source(
        event=EventName.CHECKOUT_OVERDUE,
        standing=_late_checkouts,
        scan=_scan_checkouts,
        asset_of=_of_assignment,
        judge=_judge_checkout,
    ),
    Source(
        event=EventName.MAINTENANCE_DUE,
        standing=_due_maintenances,
        scan=_scan_maintenances,
        asset_of=_of_maintenance,
        judge=_judge_maintenance,
    ),
    Source(
        event=EventName.LOW_STOCK,
        standing=_low_stock,
        scan=_scan_stock,
        asset_of=_itself,
        judge=judge_stock,
    ),
    Source(
        event=EventName.WARRANTY_EXPIRING,
        standing=_ending_warranties,
        scan=_scan_warranties,
        asset_of=_itself,
        judge=_judge_warranty,
    ),
)
BY_EVENT: Final[Mapping[EventName, Source]] = {source.event: source for source in SOURCES}


def chunks(current: Session, moment: Moment) -> Iterator[tuple[Source, Scanned]]:
    """Everything that may be due, chunk by chunk; the caller ends its transaction between them."""
    for source in SOURCES:
        after = 0
        while True:
            scanned = source.scan(current, moment, after)
            yield source, scanned
            if len(scanned) < CHUNK:
                break
            after = scanned[-1][0]
