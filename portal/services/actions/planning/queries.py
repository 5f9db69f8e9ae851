"""Reservations and maintenance: as lists, of one asset, and locked inside a transaction."""

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

# Where an asset can be had again in time, as far as one knows.
FIT: Final = (AssetStatus.AVAILABLE, AssetStatus.CHECKED_OUT, AssetStatus.MAINTENANCE)


class ReservationList(StrEnum):
    """The lists of reservations: those to decide about, those agreed to, or all that ever were."""

    PENDING = "pending"
    APPROVED = "approved"
    ALL = "all"


class MaintenanceList(StrEnum):
    """The lists of maintenance: open, of that what alerts call due, or all that ever was."""

    OPEN = "open"
    DUE = "due"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Plans:
    """The open reservations and maintenances of one asset, by their times."""

    reservations: Sequence[Reservation] = ()
    maintenances: Sequence[Maintenance] = ()


@dataclass(frozen=True, slots=True)
class PlanFilter:
    """Of one asset, of whoever wants it or is to work on it, in one state; None for any."""

    asset_id: int | None = None
    staff_id: int | None = None
    state: str | None = None


def find_page(
    kind: type[Row], chosen: PlanFilter, cursor: str | None = None, size: int | None = None
) -> Page[Row]:
    """Return a page of those that fit, with assets and people, the newest first."""
    query = select(kind).options(joinedload(kind.asset), *_people(kind))
    staff_id = Reservation.staff_id if kind is Reservation else Maintenance.assignee_id
    columns = (kind.asset_id, staff_id, kind.state)
    wanted = (chosen.asset_id, chosen.staff_id, chosen.state)
    for column, value in zip(columns, wanted, strict=True):
        if value is not None:
            query = query.where(column == value)
    return newest_first(query, kind.id, cursor, size)


def list_reservations(
    which: ReservationList, asset_id: int | None = None, cursor: str | None = None
) -> Page[Reservation]:
    """Return a page with assets and people; what is open by its start, all by the newest wish."""
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
    """Return a page with assets and people; what is open by its due day, all by the newest plan."""
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
    """Count the reservations that wait for a decision (`capped`)."""
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
    """Return a page of what is closed, the newest wish first."""
    return newest_first(_of_asset(Reservation, asset_id, is_open=False), Reservation.id, cursor)


def past_maintenances(asset_id: int, cursor: str | None = None) -> Page[Maintenance]:
    """Return a page of what is closed, the newest plan first."""
    return newest_first(_of_asset(Maintenance, asset_id, is_open=False), Maintenance.id, cursor)


def find(kind: type[Row], asset_id: int, public_id: UUID | None) -> Row:
    """Return a reservation or a maintenance of this asset. Raises `NotFound`."""
    query = select(kind).where(kind.public_id == public_id, kind.asset_id == asset_id)
    row = session().scalars(query).one_or_none()
    if row is None:
        raise NotFound(f"This {kind.__name__.lower()} doesn’t exist.")
    return row


def is_at_risk(reservation: Reservation, asset: Asset) -> bool:
    """Return whether somebody counts on an asset that cannot be had as it is now."""
    return reservation.state in OPEN_RESERVATIONS and asset.status not in FIT


def has_any(kind: type[Reservation] | type[Maintenance]) -> bool:
    return session().execute(select(kind.id).limit(1)).first() is not None


def _of_asset(kind: type[Row], asset_id: int, *, is_open: bool) -> Select[Row]:
    states = OPEN_RESERVATIONS if kind is Reservation else OPEN_MAINTENANCES
    fits = kind.state.in_(states) if is_open else kind.state.not_in(states)
    return select(kind).where(kind.asset_id == asset_id, fits).options(*_people(kind))


def _people(kind: type[Reservation] | type[Maintenance]) -> Iterator[ExecutableOption]:
    who = (Maintenance.assignee, Maintenance.performed_by)
    return map(joinedload, (Reservation.staff,) if kind is Reservation else who)


def _all(query: Select[Row]) -> Sequence[Row]:
    return session().scalars(query).all()


def cost_of(asset_id: int) -> Decimal | None:
    """Return the cost so far of an asset’s maintenance; None where none is known."""
    cost = func.sum(Maintenance.cost)
    return session().scalar(select(cost).where(Maintenance.asset_id == asset_id))


def costs_of(asset_ids: Sequence[int]) -> dict[int, Decimal]:
    """Return the same of each of these where it is known."""
    query = select(Maintenance.asset_id, func.sum(Maintenance.cost)).where(
        Maintenance.asset_id.in_(asset_ids), Maintenance.cost.is_not(None)
    )
    rows = session().execute(query.group_by(Maintenance.asset_id))
    return {asset_id: cost for asset_id, cost in rows if cost is not None}


def keep_repair(
    current: Session, asset: Asset, title: str, supplier: str, cost: Decimal | None, note: str
) -> None:
    """Keep who repaired the asset, and for how much, as maintenance that is done."""
    day = today()
    repair = Maintenance(
        asset_id=asset.id,
        title=title,
        type=MaintenanceType.CORRECTIVE,
        due_on=day,
        completed_on=day,
        state=MaintenanceState.COMPLETED,
        closed_at=asset.updated_at,
        outcome=MaintenanceOutcome.REPAIRED,
        supplier=supplier or None,
        cost=cost,
        note=note,
    )
    current.add(repair)


def cancel_open_maintenance(current: Session, asset_id: int) -> list[int]:
    """Cancel what is scheduled or in progress; return the row ids, which the caller's event names.

    The asset's status is the caller's business.
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
    """Return whether somebody is working on the asset."""
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
    """Return the first approved reservation, by somebody else than `for_staff_id`, that overlaps.

    Half-open: one that begins when another ends does not overlap. `ends_at` None: for good.
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
    """Close the person's approved reservation, since they get the asset at `at`; return its row id.

    That is the one in force at `at`; with `until` also one that begins before then, so that
    somebody who comes a little early is not asked for it twice. The first one, if there are many.
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
    """Cancel what is pending or approved; return the row ids, which the caller's event names."""
    query = select(Reservation).where(*_open(asset_id)).order_by(Reservation.id)
    reservations = current.scalars(query.execution_options(populate_existing=True)).all()
    now = common_now()
    for reservation in reservations:
        reservation.state, reservation.closed_at = ReservationState.CANCELLED, now
    return [reservation.id for reservation in reservations]


def has_open(current: Session, asset_id: int) -> bool:
    """Return whether anything is pending or approved."""
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
    """Return the asset's id of a reservation or a maintenance. Raises `NotFound`."""
    asset_id = current.scalar(select(kind.asset_id).where(kind.public_id == public_id))
    if asset_id is None:
        raise NotFound(f"This {kind.__name__.lower()} doesn’t exist.")
    return asset_id


def lock_row(current: Session, kind: type[Row], public_id: UUID) -> Row:
    """Lock the row and read it anew. Lock its asset first: everybody goes in that order."""
    query = select(kind).where(kind.public_id == public_id)
    fresh = query.with_for_update().execution_options(populate_existing=True)
    return current.scalars(fresh).one()
