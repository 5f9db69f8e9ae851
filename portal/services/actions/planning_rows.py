"""Lock and load an asset's reservations, maintenance and open incidents inside a transaction."""

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from portal.engine.events.body import wire_value
from portal.engine.events.details import Facts
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.assets import Asset
from portal.models.assignments import Incident, IncidentKind
from portal.models.planning import (
    OPEN_MAINTENANCES,
    OPEN_RESERVATIONS,
    Maintenance,
    MaintenanceState,
    Reservation,
    ReservationState,
)
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotFound


def cancel_open_maintenance(current: Session, _actor: Actor, asset_id: int) -> list[int]:
    """Cancel what is scheduled or in progress; return the row ids, which the caller's event names.

    The asset's status is the caller's business.
    """
    wanted = (
        select(Maintenance)
        .where(Maintenance.asset_id == asset_id, Maintenance.state.in_(OPEN_MAINTENANCES))
        .order_by(Maintenance.id)
        .execution_options(populate_existing=True)
    )
    found = current.scalars(wanted).all()
    now = common_now()
    for maintenance in found:
        maintenance.state, maintenance.closed_at = MaintenanceState.CANCELLED, now
    return [maintenance.id for maintenance in found]


def in_progress(current: Session, asset_id: int) -> bool:
    """Whether somebody is working on the asset."""
    wanted = select(Maintenance.id).where(
        Maintenance.asset_id == asset_id, Maintenance.state == MaintenanceState.IN_PROGRESS
    )
    return current.execute(wanted.limit(1)).first() is not None


def conflict(
    current: Session,
    asset_id: int,
    starts_at: datetime,
    ends_at: datetime | None,
    *,
    for_staff_id: int | None = None,
) -> Reservation | None:
    """The first approved reservation, by somebody else than `for_staff_id`, that overlaps.

    Half-open: one that begins when another ends does not overlap. `ends_at` None: for good.
    """
    wanted = (
        select(Reservation)
        .where(*_approved(asset_id, starts_at, ends_at))
        .order_by(Reservation.starts_at, Reservation.id)
        .options(joinedload(Reservation.staff))
        .limit(1)
        .execution_options(populate_existing=True)
    )
    if for_staff_id is not None:
        wanted = wanted.where(Reservation.staff_id != for_staff_id)
    return current.scalars(wanted).first()


def fulfil(
    current: Session,
    asset_id: int,
    staff_id: int,
    at: datetime,
    *,
    until: datetime | None = None,
) -> int | None:
    """The person gets the asset at `at`: close their approved reservation; return its row id.

    That is the one in force at `at`; with `until` also one that begins before then, so that
    somebody who comes a little early is not asked for it twice. The first one, if there are many.
    """
    wanted = (
        select(Reservation)
        .where(*_approved(asset_id, at, until), Reservation.staff_id == staff_id)
        .order_by(Reservation.starts_at, Reservation.id)
        .limit(1)
        .execution_options(populate_existing=True)
    )
    if until is None:
        wanted = wanted.where(Reservation.starts_at <= at)
    found = current.scalars(wanted).first()
    if found is None:
        return None
    found.state, found.closed_at = ReservationState.FULFILLED, at
    return found.id


def cancel_open_reservations(current: Session, _actor: Actor, asset_id: int) -> list[int]:
    """Cancel what is pending or approved; return the row ids, which the caller's event names."""
    wanted = select(Reservation).where(*_open(asset_id)).order_by(Reservation.id)
    found = current.scalars(wanted.execution_options(populate_existing=True)).all()
    now = common_now()
    for reservation in found:
        reservation.state, reservation.closed_at = ReservationState.CANCELLED, now
    return [reservation.id for reservation in found]


def has_open(current: Session, asset_id: int) -> bool:
    """Whether anything is pending or approved."""
    wanted = select(Reservation.id).where(*_open(asset_id)).limit(1)
    return current.execute(wanted).first() is not None


def _open(asset_id: int) -> tuple[ColumnElement[bool], ...]:
    return Reservation.asset_id == asset_id, Reservation.state.in_(OPEN_RESERVATIONS)


def _approved(
    asset_id: int, starts_at: datetime, ends_at: datetime | None
) -> tuple[ColumnElement[bool], ...]:
    overlaps = [Reservation.ends_at > starts_at]
    if ends_at is not None:
        overlaps.append(Reservation.starts_at < ends_at)
    return (
        Reservation.asset_id == asset_id,
        Reservation.state == ReservationState.APPROVED,
        *overlaps,
    )


Row = TypeVar("Row", Reservation, Maintenance)


def asset_of(current: Session, kind: type[Row], public_id: UUID, called: str) -> int:
    """The id of the asset that a reservation or a maintenance is about. Raises `NotFound`."""
    found = current.scalar(select(kind.asset_id).where(kind.public_id == public_id))
    if found is None:
        raise NotFound(f"There is no such {called}.")
    return found


def lock_row(current: Session, kind: type[Row], public_id: UUID) -> Row:
    """The row for update, as it is now. Lock its asset first: everybody goes in that order."""
    wanted = select(kind).where(kind.public_id == public_id)
    fresh = wanted.with_for_update().execution_options(populate_existing=True)
    return current.scalars(fresh).one()


# What is over when an asset is fit for use again.
TROUBLE = (IncidentKind.LOST, IncidentKind.BROKEN, IncidentKind.WARRANTY)
STANDING_KINDS = (*TROUBLE, IncidentKind.LIQUIDATION)


def open_incident(current: Session, asset: Asset, kind: IncidentKind, at: datetime) -> Incident:
    """Note that it happened; flushed, so that it has its id. Call it before the status moves."""
    incident = Incident(asset_id=asset.id, kind=kind, at=at, status_from=asset.status)
    if kind is IncidentKind.TRANSFER:
        incident.closed_at = at
    current.add(incident)
    current.flush()
    return incident


def keep_details(incident: Incident, facts: Facts) -> None:
    """Keep what its event tells, for the asset's page."""
    incident.details = wire_value(facts)


def close_incidents(current: Session, asset: Asset, *kinds: IncidentKind) -> list[Incident]:
    """What was open of these kinds is over; the latest first."""
    found = open_incidents(current, asset.id, *kinds)
    for incident in found:
        incident.closed_at = asset.updated_at
    return found


def open_incidents(current: Session, asset_id: int, *kinds: IncidentKind) -> list[Incident]:
    """What is not over yet, of these kinds; the latest first."""
    wanted = (
        select(Incident)
        .where(
            Incident.asset_id == asset_id,
            Incident.kind.in_(kinds),
            Incident.closed_at.is_(None),
        )
        .order_by(Incident.id.desc())
    )
    return list(current.scalars(wanted))


def under_warranty(asset: Asset) -> bool:
    """Whether the warranty still runs on the installation's today."""
    today = asset.updated_at.astimezone(settings().timezone).date()
    return asset.warranty_expires is not None and asset.warranty_expires >= today
