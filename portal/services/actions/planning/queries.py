"""Read reservations and maintenance, as lists and by asset, and lock them in a transaction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session, joinedload
from sqlalchemy.sql.base import ExecutableOption

from portal.engine.events.catalogue import EventName
from portal.lib.clock import common_now
from portal.lib.paging import Page
from portal.models.assets import Asset, AssetStatus
from portal.models.planning import (
    OPEN_MAINTENANCES,
    OPEN_RESERVATIONS,
    Maintenance,
    MaintenanceOutcome,
    MaintenanceState,
    MaintenanceType,
    Reservation,
    ReservationState,
)
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import BY_EVENT
from portal.services.core.keyset import by_time, newest_first
from portal.services.core.queries import capped
from portal.services.core.refusals import NotFound
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session

Row = TypeVar("Row", Reservation, Maintenance)

# Statuses in which a reserved asset is expected to be available in time.
FIT: Final = (AssetStatus.AVAILABLE, AssetStatus.CHECKED_OUT, AssetStatus.MAINTENANCE)


class ReservationList(StrEnum):
    """The lists of reservations, where `ALL` includes closed ones."""

    PENDING = "pending"
    APPROVED = "approved"
    ALL = "all"


class MaintenanceList(StrEnum):
    """The lists of maintenance, where `DUE` is the open work that alerts count as due."""

    OPEN = "open"
    DUE = "due"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Plans:
    """The open reservations and maintenances of one asset, in date order."""

    reservations: Sequence[Reservation] = ()
    maintenances: Sequence[Maintenance] = ()


@dataclass(frozen=True, slots=True)
class PlanFilter:
    """Filter by asset, by requester or assignee, and by state. None matches any."""

    asset_id: int | None = None
    staff_id: int | None = None
    state: str | None = None


def find_page(
    kind: type[Row], chosen: PlanFilter, cursor: str | None = None, size: int | None = None
) -> Page[Row]:
    """Return a page of matching rows with their assets and people, newest first."""
    query = select(kind).options(joinedload(kind.asset), *_people(kind))
    staff_id = Reservation.staff_id if kind is Reservation else Maintenance.assignee_id
    columns = (kind.asset_id, staff_id, kind.state)
    values = (chosen.asset_id, chosen.staff_id, chosen.state)
    for column, value in zip(columns, values, strict=True):
        if value is not None:
            query = query.where(column == value)
    return newest_first(query, kind.id, cursor, size)


def list_reservations(
    which: ReservationList, asset_id: int | None = None, cursor: str | None = None
) -> Page[Reservation]:
    """Return a page with assets and people, by start, or newest request first for `ALL`."""
    query = select(Reservation).options(
        joinedload(Reservation.asset), joinedload(Reservation.staff)
    )
    if asset_id is not None:
        query = query.where(Reservation.asset_id == asset_id)
    if which is ReservationList.ALL:
        return newest_first(query, Reservation.id, cursor)
    query = query.where(Reservation.state == which.value)
    return by_time(query, Reservation.starts_at, Reservation.id, cursor)


def list_maintenances(
    which: MaintenanceList, asset_id: int | None = None, cursor: str | None = None
) -> Page[Maintenance]:
    """Return a page with assets and people, by due date, or newest plan first for `ALL`."""
    query = select(Maintenance).options(
        joinedload(Maintenance.asset),
        joinedload(Maintenance.assignee),
        joinedload(Maintenance.performed_by),
    )
    if asset_id is not None:
        query = query.where(Maintenance.asset_id == asset_id)
    if which is MaintenanceList.ALL:
        return newest_first(query, Maintenance.id, cursor)
    query = query.where(Maintenance.state.in_(OPEN_MAINTENANCES))
    if which is MaintenanceList.DUE:
        due = BY_EVENT[EventName.MAINTENANCE_DUE].in_state(alert_settings.moment(common_now()))
        query = query.where(Maintenance.id.in_(due))
    return by_time(query, Maintenance.due_on, Maintenance.id, cursor)


def count_pending(asset_id: int | None = None) -> int:
    """Count the reservations awaiting a decision (`capped`)."""
    query = select(Reservation.id).where(Reservation.state == ReservationState.PENDING)
    if asset_id is not None:
        query = query.where(Reservation.asset_id == asset_id)
    return capped(session(), query)


def plans_of(asset_id: int) -> Plans:
    reservations = _of_asset(Reservation, asset_id, is_open=True)
    maintenances = _of_asset(Maintenance, asset_id, is_open=True)
    return Plans(
        _all(reservations.order_by(Reservation.starts_at, Reservation.id)),
        _all(maintenances.order_by(Maintenance.due_on, Maintenance.id)),
    )


def past_reservations(asset_id: int, cursor: str | None = None) -> Page[Reservation]:
    """Return a page of closed reservations, newest request first."""
    return newest_first(_of_asset(Reservation, asset_id, is_open=False), Reservation.id, cursor)


def past_maintenances(asset_id: int, cursor: str | None = None) -> Page[Maintenance]:
    """Return a page of closed maintenance, newest plan first."""
    return newest_first(_of_asset(Maintenance, asset_id, is_open=False), Maintenance.id, cursor)


def find(kind: type[Row], asset_id: int, public_id: UUID | None) -> Row:
    """Return the asset's reservation or maintenance with this public id. Raises `NotFound`."""
    query = select(kind).where(kind.public_id == public_id, kind.asset_id == asset_id)
    row = session().scalars(query).one_or_none()
    if row is None:
        raise NotFound(f"This {kind.__name__.lower()} doesn’t exist.")
    return row


def is_at_risk(reservation: Reservation, asset: Asset) -> bool:
    """Return whether an open reservation is for an asset that is unusable in its current status."""
    return reservation.state in OPEN_RESERVATIONS and asset.status not in FIT


def has_any(kind: type[Reservation] | type[Maintenance]) -> bool:
    return session().execute(select(kind.id).limit(1)).first() is not None


def _of_asset(kind: type[Row], asset_id: int, *, is_open: bool) -> Select[Row]:
    states = OPEN_RESERVATIONS if kind is Reservation else OPEN_MAINTENANCES
    fits = kind.state.in_(states) if is_open else kind.state.not_in(states)
    return select(kind).where(kind.asset_id == asset_id, fits).options(*_people(kind))


def _people(kind: type[Reservation] | type[Maintenance]) -> Iterator[ExecutableOption]:
    workers = (Maintenance.assignee, Maintenance.performed_by)
    return map(joinedload, (Reservation.staff,) if kind is Reservation else workers)


def _all(query: Select[Row]) -> Sequence[Row]:
    return session().scalars(query).all()


def cost_of(asset_id: int) -> Decimal | None:
    """Return the total cost of an asset’s maintenance, or None if no cost is recorded."""
    cost = func.sum(Maintenance.cost)
    return session().scalar(select(cost).where(Maintenance.asset_id == asset_id))


def costs_of(asset_ids: Sequence[int]) -> dict[int, Decimal]:
    """Return the total maintenance cost by asset id, for the assets with a recorded cost."""
    query = select(Maintenance.asset_id, func.sum(Maintenance.cost)).where(
        Maintenance.asset_id.in_(asset_ids), Maintenance.cost.is_not(None)
    )
    rows = session().execute(query.group_by(Maintenance.asset_id))
    return {asset_id: cost for asset_id, cost in rows if cost is not None}


def keep_repair(
    current: Session, asset: Asset, title: str, supplier: str, cost: Decimal | None, note: str
) -> None:
    """Record a repair's supplier and cost as maintenance, created and closed at once."""
    day = today()
    repair = Maintenance(
        asset_id=asset.id,
        title=title,
        type=MaintenanceType.CORRECTIVE,
        due_on=day,
        completed_on=day,
        state=MaintenanceState.COMPLETED,
        created_at=asset.updated_at,
        closed_at=asset.updated_at,
        outcome=MaintenanceOutcome.REPAIRED,
        supplier=supplier or None,
        cost=cost,
        note=note,
    )
    current.add(repair)


def cancel_open_maintenance(current: Session, asset_id: int) -> list[int]:
    """Cancel scheduled and started work and return the row ids for the caller's event.

    The caller updates the asset's status.
    """
    query = (
        select(Maintenance)
        .where(Maintenance.asset_id == asset_id, Maintenance.state.in_(OPEN_MAINTENANCES))
        .order_by(Maintenance.id)
        .execution_options(populate_existing=True)
    )
    maintenances = current.scalars(query).all()
    now = common_now()
    for maintenance in maintenances:
        maintenance.state, maintenance.closed_at = MaintenanceState.CANCELLED, now
    return [maintenance.id for maintenance in maintenances]


def in_progress(current: Session, asset_id: int) -> bool:
    """Return whether the asset has maintenance in progress."""
    query = select(Maintenance.id).where(
        Maintenance.asset_id == asset_id, Maintenance.state == MaintenanceState.IN_PROGRESS
    )
    return current.execute(query.limit(1)).first() is not None


def conflict(
    current: Session,
    asset_id: int,
    starts_at: datetime,
    ends_at: datetime | None,
    *,
    for_staff_id: int | None = None,
) -> Reservation | None:
    """Return the first overlapping approved reservation by anyone other than `for_staff_id`.

    Intervals are half-open, so back-to-back reservations do not overlap. `ends_at` None means
    indefinitely.
    """
    query = (
        select(Reservation)
        .where(*_approved(asset_id, starts_at, ends_at))
        .order_by(Reservation.starts_at, Reservation.id)
        .options(joinedload(Reservation.staff))
        .limit(1)
        .execution_options(populate_existing=True)
    )
    if for_staff_id is not None:
        query = query.where(Reservation.staff_id != for_staff_id)
    return current.scalars(query).first()


def fulfil(
    current: Session,
    asset_id: int,
    staff_id: int,
    at: datetime,
    *,
    until: datetime | None = None,
) -> int | None:
    """Close the person's approved reservation when they get the asset, and return its row id.

    The reservation must be in force at `at`. With `until`, it can also begin before `until`, so
    that a checkout shortly before the reserved time fulfills it too. The first match is used.
    """
    query = (
        select(Reservation)
        .where(*_approved(asset_id, at, until), Reservation.staff_id == staff_id)
        .order_by(Reservation.starts_at, Reservation.id)
        .limit(1)
        .execution_options(populate_existing=True)
    )
    if until is None:
        query = query.where(Reservation.starts_at <= at)
    reservation = current.scalars(query).first()
    if reservation is None:
        return None
    reservation.state, reservation.closed_at = ReservationState.FULFILLED, at
    return reservation.id


def cancel_open_reservations(current: Session, asset_id: int) -> list[int]:
    """Cancel pending and approved reservations and return the row ids for the caller's event."""
    query = select(Reservation).where(*_open(asset_id)).order_by(Reservation.id)
    reservations = current.scalars(query.execution_options(populate_existing=True)).all()
    now = common_now()
    for reservation in reservations:
        reservation.state, reservation.closed_at = ReservationState.CANCELLED, now
    return [reservation.id for reservation in reservations]


def has_open(current: Session, asset_id: int) -> bool:
    """Return whether the asset has a pending or approved reservation."""
    query = select(Reservation.id).where(*_open(asset_id)).limit(1)
    return current.execute(query).first() is not None


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


def asset_id_of(current: Session, kind: type[Row], public_id: UUID) -> int:
    """Return the asset id of a reservation or maintenance. Raises `NotFound`."""
    asset_id = current.scalar(select(kind.asset_id).where(kind.public_id == public_id))
    if asset_id is None:
        raise NotFound(f"This {kind.__name__.lower()} doesn’t exist.")
    return asset_id


def lock_row(current: Session, kind: type[Row], public_id: UUID) -> Row:
    """Lock the row and reread it. Lock its asset first, because every caller uses that order."""
    query = select(kind).where(kind.public_id == public_id)
    fresh = query.with_for_update().execution_options(populate_existing=True)
    return current.scalars(fresh).one()
