"""Request, approve, reject, cancel, and expire reservations. Each step publishes its event."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events import details
from portal.engine.events.body import Ref
from portal.engine.events.details import ReservationFacts, data_of
from portal.lib.clock import common_now
from portal.models.assets import Action, Asset, AssetStatus
from portal.models.assignments import Staff
from portal.models.planning import OPEN_RESERVATIONS, Reservation, ReservationState
from portal.services.actions import transition
from portal.services.actions.assignments import active_staff
from portal.services.actions.planning.queries import asset_id_of, conflict, lock_row
from portal.services.actions.planning.rules import (
    ReservationValues,
    closed_as,
    refuse_long_reason,
    reservation_faults,
)
from portal.services.actions.transition import Change, Moved
from portal.services.assets.snapshots import open_assignment, ref, reservation_facts
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.refusals import Refusal, refuse_all
from portal.services.core.time_zones import moment_words, zone_of
from portal.services.core.unit_of_work import session, writing


def reserve(actor: Actor, asset_id: int, values: ReservationValues) -> UUID:
    """Request an asset for a period (asset.reserved) and return the reservation's public id."""
    refuse_all(reservation_faults(values, common_now()))
    reservation = Reservation(
        asset_id=asset_id,
        staff_id=values.staff_id,
        starts_at=values.starts_at,
        ends_at=values.ends_at,
        purpose=values.purpose,
    )
    with writing() as current:
        change = Change(
            Action.RESERVE,
            lambda current, asset: _add(current, actor, asset, reservation),
            lambda _: data_of(reservation_facts(reservation)),
            note=values.note,
            remark=_in_words(current, actor, values),
        )
        transition.perform(actor, asset_id, change)
        return reservation.public_id


def approve(actor: Actor, public_id: UUID) -> int:
    """Approve a reservation (asset.reservation_approved) and return the asset's id.

    Overlap and status are checked again. Concurrent decisions on the same asset wait for each
    other, so only one of two overlapping reservations can be approved.
    """

    def make(current: Session, asset: Asset) -> Reservation:
        reservation = _open_one(current, public_id)
        if reservation.state == ReservationState.APPROVED:
            raise Refusal("This reservation is already approved.")
        if reservation.ends_at <= common_now():
            raise Refusal("This reservation’s time has passed. You can only reject it.")
        active_staff(current, reservation.staff_id)
        _refuse_taken(current, actor, asset, reservation, "Reject one of the two.")
        _decide(reservation, actor, ReservationState.APPROVED)
        return reservation

    def tell(moved: Moved) -> dict[str, Any]:
        return details.decided(*_decision(moved))

    return _change(actor, public_id, Action.APPROVE_RESERVATION, make, tell)


def reject(actor: Actor, public_id: UUID, rejection_reason: str) -> int:
    """Reject a pending or approved reservation (asset.reservation_rejected). Return the asset's id.

    Raises `Refusal` without a reason.
    """
    reason = rejection_reason
    if not reason:
        raise Refusal("Enter a reason for the requester", field="rejection_reason")
    refuse_long_reason(reason, "rejection_reason")

    def make(current: Session, _asset: Asset) -> Reservation:
        reservation = _open_one(current, public_id)
        _decide(reservation, actor, ReservationState.REJECTED)
        reservation.reason, reservation.closed_at = reason, reservation.decided_at
        return reservation

    def tell(moved: Moved) -> dict[str, Any]:
        return details.rejected(*_decision(moved), reason)

    return _change(actor, public_id, Action.REJECT_RESERVATION, make, tell, remark=reason)


def cancel(actor: Actor, public_id: UUID, note: str = "") -> int:
    """Cancel a reservation and return the asset's id.

    The event is asset.updated, reason reservation_cancelled.
    """
    refuse_long_reason(note, "note")

    def make(current: Session, _asset: Asset) -> Reservation:
        reservation = _open_one(current, public_id)
        reservation.state, reservation.reason = ReservationState.CANCELLED, note
        reservation.closed_at = common_now()
        return reservation

    action = Action.CANCEL_RESERVATION
    return _change(actor, public_id, action, make, _reservation, note=note)


def _reservation(moved: Moved) -> dict[str, Any]:
    return {"reservation": data_of(reservation_facts(moved.made))}


def _described(current: Session, actor: Actor, public_id: UUID) -> str:
    """Return the requester and period for the timeline, in the actor's time zone."""
    columns = Reservation.staff_id, Reservation.starts_at, Reservation.ends_at
    query = select(*columns).where(Reservation.public_id == public_id)
    staff_id, starts_at, ends_at = current.execute(query).one()
    values = ReservationValues(staff_id=staff_id, starts_at=starts_at, ends_at=ends_at)
    return _in_words(current, actor, values)


def _change(
    actor: Actor,
    public_id: UUID,
    action: Action,
    make: Callable[[Session, Asset], Reservation],
    tell: Callable[[Moved], Mapping[str, Any]],
    *,
    note: str = "",
    remark: str = "",
) -> int:
    with writing() as current:
        asset_id = asset_id_of(current, Reservation, public_id)
        about = _described(current, actor, public_id)
        words = ". ".join(part for part in (about, remark) if part)
        change = Change(action, make, tell, note=note, remark=words)
        transition.perform(actor, asset_id, change)
        return asset_id


def _add(current: Session, actor: Actor, asset: Asset, reservation: Reservation) -> Reservation:
    active_staff(current, reservation.staff_id)
    if not asset.reservable:
        way_out = "Select “Allow reservations” on its edit page first"
        raise Refusal(f"You can’t reserve {asset.asset_tag}. {way_out}.")
    way_out = "Choose another time or reject that reservation."
    _refuse_taken(current, actor, asset, reservation, way_out)
    current.add(reservation)
    current.flush()
    return reservation


def _refuse_taken(
    current: Session, actor: Actor, asset: Asset, reservation: Reservation, way_out: str
) -> None:
    zone = zone_of(current, actor)
    other = conflict(current, asset.id, reservation.starts_at, reservation.ends_at)
    if other is not None:
        when = f"from {moment_words(other.starts_at, zone)} to {moment_words(other.ends_at, zone)}"
        raise Refusal(
            f"{other.staff.name} has reserved this asset {when}. {way_out}", field="starts_at"
        )
    held = open_assignment(asset.id) if asset.status == AssetStatus.CHECKED_OUT else None
    if held and held.due_at and reservation.starts_at < held.due_at:
        due = moment_words(held.due_at, zone)
        raise Refusal(
            f"{held.staff.name} has this asset until {due}. Choose a later start or check the "
            "asset in first.",
            field="starts_at",
        )


def _open_one(current: Session, public_id: UUID) -> Reservation:
    reservation = lock_row(current, Reservation, public_id)
    if reservation.state not in OPEN_RESERVATIONS:
        raise Refusal(f"This reservation is already {closed_as(reservation.state)}.")
    return reservation


def _decide(reservation: Reservation, actor: Actor, state: ReservationState) -> None:
    reservation.state = state
    reservation.decided_by_id, reservation.decided_at = actor.user_id, common_now()


def _decision(moved: Moved) -> tuple[ReservationFacts, Ref | None, datetime]:
    reservation: Reservation = moved.made
    decided_by = ref(reservation.decided_by)
    return (
        reservation_facts(reservation),
        decided_by,
        reservation.decided_at or moved.asset.updated_at,
    )


def _in_words(current: Session, actor: Actor, values: ReservationValues) -> str:
    staff = current.get(Staff, values.staff_id)
    if staff is None or values.starts_at is None or values.ends_at is None:
        return ""  # the caller refuses incomplete values next
    zone = zone_of(current, actor)
    starts, ends = moment_words(values.starts_at, zone), moment_words(values.ends_at, zone)
    return f"{staff.name}: {starts} to {ends} ({zone.key})"


EXPIRED_A_RUN: Final = 200


def expire_due(now: datetime, limit: int = EXPIRED_A_RUN) -> int:
    """Expire uncollected reservations that ended by `now` and return their number.

    Handles at most `limit`, oldest first, each in its own transaction. The event is asset.updated,
    reason reservation_expired. Safe to run concurrently.
    """
    query = (
        select(Reservation.public_id)
        .where(Reservation.state.in_(OPEN_RESERVATIONS), Reservation.ends_at <= now)
        .order_by(Reservation.ends_at, Reservation.id)
        .limit(limit)
    )
    return sum(_expire(public_id, now) for public_id in session().scalars(query).all())


def _expire(public_id: UUID, now: datetime) -> bool:
    def make(current: Session, _asset: Asset) -> Reservation:
        reservation = lock_row(current, Reservation, public_id)
        if reservation.state not in OPEN_RESERVATIONS or reservation.ends_at > now:
            raise Refusal("Someone else already decided this request.")
        reservation.state, reservation.closed_at = ReservationState.EXPIRED, now
        return reservation

    try:
        _change(SYSTEM, public_id, Action.EXPIRE_RESERVATION, make, _reservation)
    except Refusal:  # decided or deleted with its asset after the query and before the lock
        return False
    return True
