"""Transfer assets, report them lost or broken, claim warranty, dispose of them, or undo these."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events.body import Ref, wire_value
from portal.engine.events.details import (
    Damage,
    Facts,
    Liquidation,
    Loss,
    Transfer,
    WarrantyClaim,
    data_of,
)
from portal.extensions import settings
from portal.lib.dates import day_words
from portal.models.assets import Action, Asset, AssetStatus, Condition, Location
from portal.models.assignments import Incident, IncidentKind
from portal.services.actions import assignments, transition
from portal.services.actions.planning import queries as planning_queries
from portal.services.actions.planning.rules import cost_faults
from portal.services.actions.rules import refuse_long, refuse_odd_year
from portal.services.actions.transition import Change, Moved, made_facts
from portal.services.assets.named_lists import chosen_row
from portal.services.assets.snapshots import ref
from portal.services.assets.tag_numbers import refuse_taken
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal, refuse_all
from portal.services.core.unit_of_work import keep_unique, writing


class Method(StrEnum):
    SOLD = "sold"
    DONATED = "donated"
    RECYCLED = "recycled"
    SCRAPPED = "scrapped"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimValues:
    """A warranty claim. A blank `supplier` means the asset's own."""

    problem: str
    supplier: str = ""
    rma_number: str = ""
    expected_back_on: date | None = None
    note: str = ""

    @property
    def remark(self) -> str:
        """Return everything except the note: "No picture. At Northwind. Return number R-17"."""
        day = self.expected_back_on
        parts = (
            self.problem,
            f"At {self.supplier}" if self.supplier else "",
            f"Return number {self.rma_number}" if self.rma_number else "",
            f"Expected back on {day_words(day)}" if day else "",
        )
        return ". ".join(filter(None, parts))


@dataclass(frozen=True, slots=True, kw_only=True)
class DisposalValues:
    """A disposal. `proceeds` are in the installation's currency."""

    method: str
    proceeds: Decimal | None = None
    recipient: str = ""
    note: str = ""

    @property
    def remark(self) -> str:
        """Return everything except the note: "Sold to Second Life for EUR 180.00"."""
        words = self.method.replace("_", " ").capitalize()
        to = f" to {self.recipient}" if self.recipient else ""
        price = f" for {settings().currency} {self.proceeds:,.2f}" if self.proceeds else ""
        return words + to + price


def transfer(
    actor: Actor, asset_id: int, *, location_id: int | None, reason: str = "", note: str = ""
) -> None:
    """Move the asset to another location (asset.transferred). Its holder stays the same."""
    refuse_long(note=note, reason=reason)

    def make(current: Session, asset: Asset) -> Transfer:
        before, now = ref(asset.location), asset.updated_at
        asset.location = chosen_row(current, Location, location_id)
        if asset.location is None:
            raise Refusal("Choose a location", field="location_id")
        place = Ref(asset.location.id, asset.location.name)
        if place == before:
            sentence = f"Choose another location. The asset is already at {place.name}"
            raise Refusal(sentence, field="location_id")
        incident = open_incident(current, asset, IncidentKind.TRANSFER, now)
        facts = Transfer(
            transfer_id=incident.id,
            from_location=before,
            to_location=place,
            transferred_at=now,
            reason=reason,
            holder=None,
        )
        keep_details(incident, facts)
        return facts

    def tell(moved: Moved) -> Mapping[str, Any]:
        return data_of(replace(moved.made, holder=moved.asset.holder))

    change = Change(Action.TRANSFER, make, tell, note=note, remark=reason)
    transition.perform(actor, asset_id, change)


def report_lost(
    actor: Actor,
    asset_id: int,
    *,
    description: str,
    lost_at: datetime | None = None,
    note: str = "",
) -> None:
    """Report it lost (asset.lost), end the assignment, and cancel reservations and maintenance."""
    _refuse_untold("description", description, note)

    def make(current: Session, asset: Asset) -> Loss:
        at = _not_later(asset, lost_at, "lost_at")
        incident = open_incident(current, asset, IncidentKind.LOST, at)
        ended = assignments.end_if_held(asset, Action.REPORT_LOST)
        asset.status = AssetStatus.LOST
        facts = Loss(
            incident_id=incident.id,
            lost_at=at,
            description=description,
            last_location=ref(asset.location),
            **ended,
            under_warranty=under_warranty(asset),
            cancelled_reservation_ids=planning_queries.cancel_open_reservations(current, asset.id),
            cancelled_maintenance_ids=planning_queries.cancel_open_maintenance(current, asset.id),
        )
        keep_details(incident, facts)
        return facts

    change = Change(
        Action.REPORT_LOST, make, made_facts, note=note, remark=description, aside=_cancelled
    )
    transition.perform(actor, asset_id, change)


def report_broken(
    actor: Actor,
    asset_id: int,
    *,
    description: str,
    broken_at: datetime | None = None,
    note: str = "",
) -> None:
    """Report it broken (asset.broken) and end the assignment. Reservations stay, at risk."""
    _refuse_untold("description", description, note)

    def make(current: Session, asset: Asset) -> Damage:
        at = _not_later(asset, broken_at, "broken_at")
        incident = open_incident(current, asset, IncidentKind.BROKEN, at)
        ended = assignments.end_if_held(asset, Action.REPORT_BROKEN)
        asset.status, asset.condition = AssetStatus.BROKEN, Condition.DAMAGED
        facts = Damage(
            incident_id=incident.id,
            broken_at=at,
            description=description,
            last_location=ref(asset.location),
            **ended,
            under_warranty=under_warranty(asset),
        )
        keep_details(incident, facts)
        return facts

    change = Change(Action.REPORT_BROKEN, make, made_facts, note=note, remark=description)
    transition.perform(actor, asset_id, change)


# The verbs that end an assignment.
RETURNS: Final[Mapping[Action, Callable[..., None]]] = {
    Action.REVOKE: assignments.revoke,
    Action.CHECK_IN: assignments.check_in,
}


def take_back(
    actor: Actor,
    asset_id: int,
    action: Action,
    *,
    needs_repair: bool = False,
    description: str = "",
    **values: Any,
) -> None:
    """End the assignment and, with `needs_repair`, report the asset broken in one transaction.

    `action` is one of `RETURNS`.
    """
    with writing():
        RETURNS[action](actor, asset_id, **values)
        if needs_repair:
            report_broken(actor, asset_id, description=description)


def send_to_warranty(actor: Actor, asset_id: int, values: ClaimValues) -> None:
    """Send it out for warranty repair (asset.warranty) and end the assignment."""
    _refuse_untold("problem", values.problem, values.note)
    refuse_long(supplier=values.supplier, rma_number=values.rma_number)
    refuse_odd_year(expected_back_on=values.expected_back_on)

    def make(current: Session, asset: Asset) -> WarrantyClaim:
        incident = open_incident(current, asset, IncidentKind.WARRANTY, asset.updated_at)
        ended = assignments.end_if_held(asset, Action.SEND_TO_WARRANTY)
        asset.status = AssetStatus.WARRANTY
        facts = WarrantyClaim(
            claim_id=incident.id,
            sent_at=asset.updated_at,
            supplier=values.supplier or asset.supplier,
            rma_number=values.rma_number or None,
            expected_back_on=values.expected_back_on,
            problem=values.problem,
            under_warranty=under_warranty(asset),
            **ended,
        )
        keep_details(incident, facts)
        return facts

    action = Action.SEND_TO_WARRANTY
    change = Change(action, make, made_facts, note=values.note, remark=values.remark)
    transition.perform(actor, asset_id, change)


def liquidate(actor: Actor, asset_id: int, values: DisposalValues) -> None:
    """Dispose of it (asset.liquidated) and cancel its reservations and maintenance."""
    _refuse_unfit(values)

    def make(current: Session, asset: Asset) -> Liquidation:
        incident = open_incident(current, asset, IncidentKind.LIQUIDATION, asset.updated_at)
        asset.status = AssetStatus.LIQUIDATED
        facts = Liquidation(
            liquidation_id=incident.id,
            liquidated_at=asset.updated_at,
            method=values.method,
            proceeds=values.proceeds,
            currency=settings().currency,
            recipient=values.recipient or None,
            purchase_cost=asset.purchase_cost,
            cancelled_reservation_ids=planning_queries.cancel_open_reservations(current, asset.id),
            cancelled_maintenance_ids=planning_queries.cancel_open_maintenance(current, asset.id),
        )
        keep_details(incident, facts)
        return facts

    change = Change(
        Action.LIQUIDATE,
        make,
        made_facts,
        note=values.note,
        remark=values.remark,
        aside=_cancelled,
    )
    transition.perform(actor, asset_id, change)


def _cancelled(made: Loss | Liquidation) -> str:
    """Return "Also canceled: 2 reservations, 1 maintenance job", without names."""
    counts = {
        "reservation": len(made.cancelled_reservation_ids),
        "maintenance job": len(made.cancelled_maintenance_ids),
    }
    parts = [f"{n} {word}{'s' if n > 1 else ''}" for word, n in counts.items() if n]
    return f"Also canceled: {', '.join(parts)}" if parts else ""


def _refuse_untold(name: str, text: str, note: str) -> None:
    if not text:
        sentence = "Describe the problem" if name == "problem" else "Describe what happened"
        raise Refusal(sentence, field=name)
    refuse_long(**{name: text, "note": note})


def _not_later(asset: Asset, at: datetime | None, field: str) -> datetime:
    if at is not None and at > asset.updated_at:
        raise Refusal("Choose a time that isn’t in the future", field=field)
    refuse_odd_year(**{field: at})
    return at or asset.updated_at


def _refuse_unfit(values: DisposalValues) -> None:
    if values.method not in set(Method):
        raise Refusal("Choose a disposal method", field="method")
    refuse_all(cost_faults("proceeds", values.proceeds, "proceeds"))
    refuse_long(recipient=values.recipient, note=values.note)


# The incident that each way back into use closes, and its key in the event.
WAYS_BACK: Final[Mapping[Action, tuple[IncidentKind, str]]] = {
    Action.RECEIVE_BACK: (IncidentKind.WARRANTY, "claim"),
    Action.REPAIR: (IncidentKind.BROKEN, "incident"),
    Action.FIND: (IncidentKind.LOST, "incident"),
}


def come_back(
    actor: Actor,
    asset_id: int,
    action: Action,
    *,
    condition: str | None = None,
    location_id: int | None = None,
    supplier: str = "",
    cost: Decimal | None = None,
    note: str = "",
) -> None:
    """Return the asset to use (asset.updated). `action` is one of `WAYS_BACK`.

    The repair's supplier and cost are kept as completed maintenance.
    """
    refuse_long(note=note, supplier=supplier)
    refuse_all(cost_faults("cost", cost, "cost"))
    kind, called = WAYS_BACK[action]

    def make(current: Session, asset: Asset) -> Incident | None:
        if condition and condition not in set(Condition):
            raise Refusal("Choose a condition from the list", field="condition")
        asset.location = chosen_row(current, Location, location_id) or asset.location
        asset.status = AssetStatus.AVAILABLE
        asset.condition = condition or asset.condition
        closed = close_incidents(current, asset, *TROUBLE)
        if supplier or cost is not None:
            title = "Warranty repair" if action is Action.RECEIVE_BACK else "Repair"
            planning_queries.keep_repair(current, asset, title, supplier, cost, note)
        return next((incident for incident in closed if incident.kind == kind), None)

    price = f"Cost {settings().currency} {cost:,.2f}" if cost else ""
    remark = ". ".join(filter(None, (f"By {supplier}" if supplier else "", price)))
    transition.perform(actor, asset_id, _closing(action, called, make, note, remark))


def undo_liquidation(actor: Actor, asset_id: int, *, note: str = "") -> None:
    """Restore the status from before a mistaken disposal (asset.updated)."""
    refuse_long(note=note)

    def make(current: Session, asset: Asset) -> Incident | None:
        closed = close_incidents(current, asset, IncidentKind.LIQUIDATION)
        asset.status = closed[0].status_from if closed else AssetStatus.AVAILABLE
        return closed[0] if closed else None

    change = _closing(Action.UNDO_LIQUIDATION, "liquidation", make, note)
    transition.perform(actor, asset_id, change)


def restore(actor: Actor, asset_id: int, *, note: str = "") -> None:
    """Restore a deleted asset to the register (asset.updated).

    Raises `Refusal` if another asset now has its tag or serial number.
    """
    refuse_long(note=note)
    transition.perform(actor, asset_id, Change(Action.RESTORE, _restore, note=note))


def _restore(current: Session, asset: Asset) -> None:
    tag, serial = asset.asset_tag, asset.serial_number

    def look() -> None:
        try:
            refuse_taken(current, tag, serial, asset.id)
        except Refusal as taken:
            way_out = "Change the other asset first, then restore this asset."
            raise Refusal(f"{taken.sentence}. {way_out}") from None

    def store() -> None:
        asset.deleted_at = None
        current.flush()

    keep_unique(current, look, store)


def _closing(
    action: Action, called: str, make: transition.Make, note: str, remark: str = ""
) -> Change:
    def tell(moved: Moved) -> Mapping[str, Any]:
        closed: Incident | None = moved.made
        return {called: {"id": closed.id, "closed_at": closed.closed_at} if closed else None}

    return Change(action, make, tell, note=note, remark=remark)


# The incidents that close when an asset is usable again.
TROUBLE = (IncidentKind.LOST, IncidentKind.BROKEN, IncidentKind.WARRANTY)
LASTING_KINDS = (*TROUBLE, IncidentKind.LIQUIDATION)


def open_incident(current: Session, asset: Asset, kind: IncidentKind, at: datetime) -> Incident:
    """Record an incident and flush it for its id. Call this before changing the asset's status."""
    incident = Incident(asset_id=asset.id, kind=kind, at=at, status_from=asset.status)
    if kind is IncidentKind.TRANSFER:
        incident.closed_at = at
    current.add(incident)
    current.flush()
    return incident


def keep_details(incident: Incident, facts: Facts) -> None:
    """Store the event's facts on the incident, for the asset's page."""
    incident.details = wire_value(facts)


def close_incidents(current: Session, asset: Asset, *kinds: IncidentKind) -> list[Incident]:
    """Close the open incidents of these kinds and return them, latest first."""
    incidents = open_incidents(current, asset.id, *kinds)
    for incident in incidents:
        incident.closed_at = asset.updated_at
    return incidents


def open_incidents(current: Session, asset_id: int, *kinds: IncidentKind) -> list[Incident]:
    """Return the open incidents of these kinds, latest first."""
    query = (
        select(Incident)
        .where(
            Incident.asset_id == asset_id,
            Incident.kind.in_(kinds),
            Incident.closed_at.is_(None),
        )
        .order_by(Incident.id.desc())
    )
    return list(current.scalars(query))


def under_warranty(asset: Asset) -> bool:
    """Return whether the warranty is still valid on the day of `updated_at`.

    Days are in the installation's time zone.
    """
    today = asset.updated_at.astimezone(settings().timezone).date()
    return asset.warranty_expires is not None and asset.warranty_expires >= today
