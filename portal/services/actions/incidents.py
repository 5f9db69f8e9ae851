"""Move an asset, report it lost or broken, claim its warranty, dispose of it."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy.orm import Session

from portal.engine.events.body import Ref
from portal.engine.events.details import Damage, Liquidation, Loss, Transfer, WarrantyClaim, data_of
from portal.extensions import settings
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.models.assignments import IncidentKind
from portal.services.actions import assignments, planning_rows, transition
from portal.services.actions.planning_rows import keep_details, open_incident, under_warranty
from portal.services.actions.rules import refuse_long, refuse_odd_year
from portal.services.actions.transition import Change
from portal.services.assets.rules import DEAREST
from portal.services.assets.snapshots import ref
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal


class Method(StrEnum):
    """What becomes of an asset that is disposed of."""

    SOLD = "sold"
    DONATED = "donated"
    RECYCLED = "recycled"
    SCRAPPED = "scrapped"
    WRITTEN_OFF = "written_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimValues:
    """What is known of a warranty claim; the asset's own supplier where none is named."""

    problem: str
    supplier: str = ""
    rma_number: str = ""
    expected_back_on: date | None = None
    note: str = ""

    @property
    def remark(self) -> str:
        """All of it but the note: "No picture. At Northwind. Return number R-17"."""
        day = self.expected_back_on
        said = (
            self.problem,
            f"At {self.supplier}" if self.supplier else "",
            f"Return number {self.rma_number}" if self.rma_number else "",
            f"Expected back on {day.day} {day:%B %Y}" if day else "",
        )
        return ". ".join(filter(None, said))


@dataclass(frozen=True, slots=True, kw_only=True)
class DisposalValues:
    """How an asset is disposed of. `proceeds` are in the installation's currency."""

    method: str
    proceeds: Decimal | None = None
    recipient: str = ""
    note: str = ""

    @property
    def remark(self) -> str:
        """All of it but the note: "Sold to Second Life for 180.00 EUR"."""
        words = self.method.replace("_", " ").capitalize()
        to = f" to {self.recipient}" if self.recipient else ""
        price = f" for {self.proceeds:,.2f} {settings().currency}" if self.proceeds else ""
        return words + to + price


def transfer(
    actor: Actor, asset_id: int, *, location_id: int | None, reason: str = "", note: str = ""
) -> None:
    """Move the asset to another place (asset.transferred); who has it keeps it."""
    refuse_long(note=note, reason=reason)

    def make(current: Session, asset: Asset) -> Transfer:
        before, now = ref(asset.location), asset.updated_at
        asset.location = assignments.chosen_location(current, location_id)
        if asset.location is None:
            raise Refusal("Choose where it goes", field="location_id")
        place = Ref(asset.location.id, asset.location.name)
        if place == before:
            sentence = f"It is at {place.name} already. Choose another place"
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

    change = Change(
        Action.TRANSFER,
        make,
        lambda moved: data_of(replace(moved.made, holder=moved.asset.holder)),
        note=note,
        remark=reason,
    )
    transition.perform(actor, asset_id, change)


def report_lost(
    actor: Actor,
    asset_id: int,
    *,
    description: str,
    lost_at: datetime | None = None,
    note: str = "",
) -> None:
    """Nobody knows where it is (asset.lost): ends the holding, cancels what was planned."""
    _refuse_untold("description", description, note)

    def make(current: Session, asset: Asset) -> Loss:
        at = _not_later(asset, lost_at, "lost_at")
        incident = open_incident(current, asset, IncidentKind.LOST, at)
        ended = assignments.end_by_the_way(asset, Action.REPORT_LOST)
        asset.status = AssetStatus.LOST
        facts = Loss(
            incident_id=incident.id,
            lost_at=at,
            description=description,
            last_location=ref(asset.location),
            previous_holder=ended.previous_holder,
            closed_assignment=ended.closed_assignment,
            under_warranty=under_warranty(asset),
            cancelled_reservation_ids=planning_rows.cancel_open_reservations(
                current, actor, asset.id
            ),
            cancelled_maintenance_ids=planning_rows.cancel_open_maintenance(
                current, actor, asset.id
            ),
        )
        keep_details(incident, facts)
        return facts

    change = _told(Action.REPORT_LOST, make, note, description)
    transition.perform(actor, asset_id, replace(change, aside=_cancelled))


def report_broken(
    actor: Actor,
    asset_id: int,
    *,
    description: str,
    broken_at: datetime | None = None,
    note: str = "",
) -> None:
    """It cannot be used (asset.broken): ends the holding; reservations stay, at risk."""
    _refuse_untold("description", description, note)

    def make(current: Session, asset: Asset) -> Damage:
        at = _not_later(asset, broken_at, "broken_at")
        incident = open_incident(current, asset, IncidentKind.BROKEN, at)
        ended = assignments.end_by_the_way(asset, Action.REPORT_BROKEN)
        asset.status, asset.condition = AssetStatus.BROKEN, Condition.DAMAGED
        facts = Damage(
            incident_id=incident.id,
            broken_at=at,
            description=description,
            last_location=ref(asset.location),
            previous_holder=ended.previous_holder,
            closed_assignment=ended.closed_assignment,
            under_warranty=under_warranty(asset),
        )
        keep_details(incident, facts)
        return facts

    transition.perform(actor, asset_id, _told(Action.REPORT_BROKEN, make, note, description))


def send_to_warranty(actor: Actor, asset_id: int, values: ClaimValues) -> None:
    """Send it to whoever must repair it (asset.warranty): ends the holding."""
    _refuse_untold("problem", values.problem, values.note)
    refuse_long(supplier=values.supplier, rma_number=values.rma_number)
    refuse_odd_year(expected_back_on=values.expected_back_on)

    def make(current: Session, asset: Asset) -> WarrantyClaim:
        incident = open_incident(current, asset, IncidentKind.WARRANTY, asset.updated_at)
        ended = assignments.end_by_the_way(asset, Action.SEND_TO_WARRANTY)
        asset.status = AssetStatus.WARRANTY
        facts = WarrantyClaim(
            claim_id=incident.id,
            sent_at=asset.updated_at,
            supplier=values.supplier or asset.supplier,
            rma_number=values.rma_number or None,
            expected_back_on=values.expected_back_on,
            problem=values.problem,
            under_warranty=under_warranty(asset),
            previous_holder=ended.previous_holder,
            closed_assignment=ended.closed_assignment,
        )
        keep_details(incident, facts)
        return facts

    change = _told(Action.SEND_TO_WARRANTY, make, values.note, values.remark)
    transition.perform(actor, asset_id, change)


def liquidate(actor: Actor, asset_id: int, values: DisposalValues) -> None:
    """Dispose of it for good (asset.liquidated): cancels what was planned."""
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
            cancelled_reservation_ids=planning_rows.cancel_open_reservations(
                current, actor, asset.id
            ),
            cancelled_maintenance_ids=planning_rows.cancel_open_maintenance(
                current, actor, asset.id
            ),
        )
        keep_details(incident, facts)
        return facts

    change = _told(Action.LIQUIDATE, make, values.note, values.remark)
    transition.perform(actor, asset_id, replace(change, aside=_cancelled))


def _told(action: Action, make: transition.Make, note: str, remark: str = "") -> Change:
    return Change(action, make, lambda moved: data_of(moved.made), note=note, remark=remark)


def _cancelled(made: Loss | Liquidation) -> str:
    """What ended with it: "Cancelled with it: 2 reservations, 1 maintenance job". Nobody's name."""
    counts = {
        "reservation": len(made.cancelled_reservation_ids),
        "maintenance job": len(made.cancelled_maintenance_ids),
    }
    told = [f"{n} {word}{'s' if n > 1 else ''}" for word, n in counts.items() if n]
    return f"Cancelled with it: {', '.join(told)}" if told else ""


def _refuse_untold(name: str, text: str, note: str) -> None:
    if not text:
        sentence = "Describe what is wrong" if name == "problem" else "Describe what happened"
        raise Refusal(sentence, field=name)
    refuse_long(**{name: text, "note": note})


def _not_later(asset: Asset, at: datetime | None, field: str) -> datetime:
    if at is not None and at > asset.updated_at:
        raise Refusal("Choose a time that is not in the future", field=field)
    refuse_odd_year(**{field: at})
    return at or asset.updated_at


def _refuse_unfit(values: DisposalValues) -> None:
    if values.method not in set(Method):
        raise Refusal("Choose what becomes of it", field="method")
    if values.proceeds is not None and not 0 <= values.proceeds <= DEAREST:
        raise Refusal(f"Enter an amount from 0 to {DEAREST:,}", field="proceeds")
    refuse_long(recipient=values.recipient, note=values.note)
