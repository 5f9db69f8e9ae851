"""Define each kind of alert by its subjects in a state, its firing rule, and its event facts."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, select
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
from portal.models.planning import OPEN_MAINTENANCES, Maintenance, MaintenanceState
from portal.services.alerts import rules as alert_rules
from portal.services.alerts.rules import GONE, Firing, Kept, Moment
from portal.services.assets import queries as asset_queries
from portal.services.assets.snapshots import last_move, move_facts, ref, snapshot, staff_ref

CHUNK: Final = 500
A_FEW: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DueAlert:
    """An alert that fires, with the facts for its event."""

    firing: Firing
    facts: AlertFacts
    maintenance_id: int | None = None
    assignment_id: int | None = None


Scanned = Sequence[tuple[int, Firing | Kept]]


class Decided(NamedTuple):
    """A subject, its deciding date or number (`by`), and the rule's verdict."""

    id: int
    by: Any
    verdict: Firing | Kept


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertKind:
    """One kind of alert about assets, maintenance, or assignments, which are its subjects.

    - `id`, `asset_id`: columns of the subject.
    - `in_state(moment)`: selects the ids of all subjects in the state, alerted or not.
    - `fires(moment, id, *columns)`: the rule. The first of `columns` is the deciding value.
    - `unless`: conditions that exclude subjects already alerted.
    - `is_open`: conditions that exclude subjects that are over.
    - `window`: the last date that fires, or None if no date does.
    - `decide(current, moment, asset, id)`: decides one subject again with its asset locked.
    - `matters(current, asset)`: the matters that this asset's alerts can still be about.
    """

    event: EventName
    id: InstrumentedAttribute[int]
    asset_id: InstrumentedAttribute[int]
    columns: tuple[InstrumentedAttribute[Any], ...]
    in_state: Callable[[Moment], Select[int]]
    fires: Callable[..., Firing | Kept]
    decide: Callable[[Session, Moment, Asset, int], DueAlert | None]
    matters: Callable[[Session, Asset], Iterable[str]]
    unless: tuple[ColumnElement[bool], ...] = ()
    is_open: tuple[ColumnElement[bool], ...] = ()
    window: Callable[[Moment], date | datetime] | None = None

    def scan(self, current: Session, moment: Moment, after: int) -> Scanned:
        """Return up to `CHUNK` subjects in id order, each with its verdict, without locks."""
        due = self.in_state(moment).add_columns(*self.columns).where(*self.unless, self.id > after)
        rows = current.execute(due.order_by(self.id).limit(CHUNK)).all()
        return [(row[0], self.fires(moment, *row)) for row in rows]

    def of_asset(self, current: Session, moment: Moment, asset_id: int) -> list[Decided]:
        """Return the same rule's verdict on each open subject of one asset, firing or not."""
        query = select(self.id, *self.columns).where(self.asset_id == asset_id, *self.is_open)
        rows = current.execute(query.order_by(self.id)).all()
        return [Decided(row[0], row[1], self.fires(moment, *row)) for row in rows]

    def soonest(self, current: Session, moment: Moment) -> Sequence[Asset]:
        """Return a few assets with the earliest dates after the window, perhaps gone ones."""
        if self.window is None:
            return []
        later = self.columns[0] > self.window(moment), *self.is_open
        query = select(Asset).join(self.id.class_) if self.id is not Asset.id else select(Asset)
        ahead = query.where(Asset.deleted_at.is_(None), *later)
        return current.scalars(ahead.order_by(self.columns[0], self.id).limit(A_FEW)).all()

    def asset_of(self, current: Session, subject_id: int) -> int | None:
        """Return the id of the subject's asset, or None if the subject is gone."""
        return current.scalar(select(self.asset_id).where(self.id == subject_id))


def _warranty_window(moment: Moment) -> date:
    return moment.today + timedelta(days=moment.rules.warranty_days)


def _ending_warranties(moment: Moment) -> Select[int]:
    last = _warranty_window(moment)
    return select(Asset.id).where(
        Asset.deleted_at.is_(None),
        Asset.warranty_expires.between(moment.today, last),
        Asset.status.not_in(GONE),
    )


def _decide_warranty(_current: Session, moment: Moment, asset: Asset, _id: int) -> DueAlert | None:
    ends = asset.warranty_expires
    firing = alert_rules.warranty(moment, asset.id, ends, asset.status)
    if isinstance(firing, Kept) or ends is None:
        return None
    facts = WarrantyExpiring(
        warranty_expires=ends,
        days_left=(ends - moment.today).days,
        threshold_days=moment.rules.warranty_days,
        supplier=asset.supplier,
        holder=snapshot(asset).holder,
    )
    return DueAlert(firing=firing, facts=facts)


def _warranty_matters(_current: Session, asset: Asset) -> Iterator[str]:
    if asset.warranty_expires is not None and asset.status not in GONE:
        yield alert_rules.warranty_matter(asset.id, asset.warranty_expires)


def _maintenance_window(moment: Moment) -> date:
    return moment.today + timedelta(days=moment.rules.maintenance_days)


def _due_maintenances(moment: Moment) -> Select[int]:
    last = _maintenance_window(moment)
    planned = select(Maintenance.id).join(Maintenance.asset).where(Asset.deleted_at.is_(None))
    is_open = Maintenance.state == MaintenanceState.SCHEDULED
    return planned.where(is_open, Maintenance.due_on <= last)


def _decide_maintenance(
    current: Session, moment: Moment, _asset: Asset, maintenance_id: int
) -> DueAlert | None:
    plan = current.get_one(Maintenance, maintenance_id, populate_existing=True)
    firing = alert_rules.maintenance(moment, plan.id, plan.due_on, plan.state)
    if isinstance(firing, Kept):
        return None
    days_left = (plan.due_on - moment.today).days
    facts = MaintenanceDue(
        maintenance_id=plan.id,
        title=plan.title,
        type=plan.type,
        due_on=plan.due_on,
        days_left=days_left,
        overdue=days_left < 0,
        threshold_days=moment.rules.maintenance_days,
        assignee=ref(plan.assignee),
    )
    return DueAlert(firing=firing, facts=facts, maintenance_id=plan.id)


def _maintenance_matters(current: Session, asset: Asset) -> Iterator[str]:
    planned = select(Maintenance.id, Maintenance.due_on).where(
        Maintenance.asset_id == asset.id, Maintenance.state == MaintenanceState.SCHEDULED
    )
    for id_, due_on in current.execute(planned):
        yield alert_rules.maintenance_matter(id_, due_on)


def _late_checkouts(moment: Moment) -> Select[int]:
    late = select(Assignment.id).join(Assignment.asset).where(Asset.deleted_at.is_(None))
    return late.where(asset_queries.is_overdue(moment.now))


def _decide_checkout(
    current: Session, moment: Moment, _asset: Asset, assignment_id: int
) -> DueAlert | None:
    checkout = current.get_one(Assignment, assignment_id, populate_existing=True)
    if checkout.ended_at is not None or checkout.due_at is None:
        return None
    firing = alert_rules.overdue(moment, checkout.id, checkout.due_at)
    if isinstance(firing, Kept):
        return None
    facts = CheckoutOverdue(
        checkout_id=checkout.id,
        staff=staff_ref(checkout.staff),
        checked_out_at=checkout.started_at,
        due_at=checkout.due_at,
        days_overdue=(moment.now - checkout.due_at).days,
        reminder_no=firing.reminder + 1,
    )
    return DueAlert(firing=firing, facts=facts, assignment_id=checkout.id)


def _checkout_matters(current: Session, asset: Asset) -> Iterator[str]:
    lent = select(Assignment.id, Assignment.due_at).where(
        Assignment.asset_id == asset.id, Assignment.ended_at.is_(None)
    )
    for id_, due_at in current.execute(lent):
        if due_at is not None:
            yield alert_rules.checkout_matter(id_, due_at)


def _low_stock(_moment: Moment) -> Select[int]:
    return select(Asset.id).where(Asset.deleted_at.is_(None), asset_queries.is_low())


def decide_stock(current: Session, moment: Moment, asset: Asset, _id: int) -> DueAlert | None:
    """Decide the low-stock alert of one asset. The ledger also calls this after asset changes."""
    quantity, threshold = asset.quantity or 0, asset.min_quantity
    alerted_at = asset.low_stock_alerted_at
    firing = alert_rules.low_stock(moment, asset.id, quantity, threshold, alerted_at)
    if isinstance(firing, Kept) or threshold is None:
        return None
    move = last_move(current, asset.id)
    facts = LowStock(
        quantity=quantity,
        min_quantity=threshold,
        unit=asset.unit,
        shortfall=threshold - quantity,
        location=ref(asset.location),
        last_move=move_facts(move) if move else None,
    )
    return DueAlert(firing=firing, facts=facts)


def _stock_matters(_current: Session, asset: Asset) -> Iterator[str]:
    if asset.low_stock_alerted_at is not None:
        yield alert_rules.stock_matter(asset.id, asset.low_stock_alerted_at)


KINDS: Final = (
    AlertKind(
        event=EventName.CHECKOUT_OVERDUE,
        id=Assignment.id,
        asset_id=Assignment.asset_id,
        columns=(Assignment.due_at,),
        in_state=_late_checkouts,
        fires=alert_rules.overdue,
        decide=_decide_checkout,
        matters=_checkout_matters,
        is_open=(Assignment.ended_at.is_(None),),
        window=lambda moment: moment.now,
    ),
    AlertKind(
        event=EventName.MAINTENANCE_DUE,
        id=Maintenance.id,
        asset_id=Maintenance.asset_id,
        columns=(Maintenance.due_on, Maintenance.state),
        in_state=_due_maintenances,
        fires=alert_rules.maintenance,
        decide=_decide_maintenance,
        matters=_maintenance_matters,
        is_open=(Maintenance.state.in_(OPEN_MAINTENANCES),),
        window=_maintenance_window,
    ),
    AlertKind(
        event=EventName.LOW_STOCK,
        id=Asset.id,
        asset_id=Asset.id,
        columns=(Asset.quantity, Asset.min_quantity, Asset.low_stock_alerted_at),
        in_state=_low_stock,
        fires=alert_rules.low_stock,
        decide=decide_stock,
        matters=_stock_matters,
        unless=(Asset.low_stock_alerted_at.is_(None),),
    ),
    AlertKind(
        event=EventName.WARRANTY_EXPIRING,
        id=Asset.id,
        asset_id=Asset.id,
        columns=(Asset.warranty_expires, Asset.status),
        in_state=_ending_warranties,
        fires=alert_rules.warranty,
        decide=_decide_warranty,
        matters=_warranty_matters,
        window=_warranty_window,
    ),
)
BY_EVENT: Final[Mapping[EventName, AlertKind]] = {kind.event: kind for kind in KINDS}


def chunks(current: Session, moment: Moment) -> Iterator[tuple[AlertKind, Scanned]]:
    """Yield all possibly due subjects in chunks. The caller ends its transaction between chunks."""
    for kind in KINDS:
        after = 0
        while True:
            scanned = kind.scan(current, moment, after)
            yield kind, scanned
            if len(scanned) < CHUNK:
                break
            after = scanned[-1][0]
