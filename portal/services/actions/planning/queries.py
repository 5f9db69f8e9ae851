"""Reservations and maintenance as lists: of everything, and of one asset."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import joinedload

from portal.engine.events.catalogue import EventName
from portal.lib.clock import common_now
from portal.lib.paging import Page
from portal.models.assets import Asset, AssetStatus
from portal.models.planning import (
    OPEN_MAINTENANCES,
    OPEN_RESERVATIONS,
    Maintenance,
    Reservation,
    ReservationState,
)
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import BY_EVENT
from portal.services.core.keyset import newest_first, soonest_first
from portal.services.core.queries import capped
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session

Row = TypeVar("Row")

# Where an asset can be had again in time, as far as one knows.
FIT: Final = (AssetStatus.AVAILABLE, AssetStatus.CHECKED_OUT, AssetStatus.MAINTENANCE)


class ReservationList(StrEnum):
    """Which reservations: those to decide about, those agreed to, or all that ever were."""

    PENDING = "pending"
    APPROVED = "approved"
    ALL = "all"


class MaintenanceList(StrEnum):
    """Which maintenance: what is still to be done, of that what is due or late and not begun, or
    all that ever was. What is due is what alerts tell of."""

    OPEN = "open"
    DUE = "due"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Plans:
    """What is planned with one asset: all that is open, by its time."""

    reservations: Sequence[Reservation] = ()
    maintenances: Sequence[Maintenance] = ()


def list_reservations(
    which: ReservationList, asset_id: int | None = None, cursor: str | None = None
) -> Page[Reservation]:
    """A page with assets and people; what is open by its start, all by the newest wish."""
    wanted = select(Reservation).options(
        joinedload(Reservation.asset), joinedload(Reservation.staff)
    )
    if asset_id is not None:
        wanted = wanted.where(Reservation.asset_id == asset_id)
    if which is ReservationList.ALL:
        return newest_first(wanted, Reservation.id, cursor)
    wanted = wanted.where(Reservation.state == which.value)
    return soonest_first(wanted, Reservation.starts_at, Reservation.id, cursor)


def list_maintenances(
    which: MaintenanceList, asset_id: int | None = None, cursor: str | None = None
) -> Page[Maintenance]:
    """A page with assets and people; what is open by its due day, all by the newest plan."""
    wanted = select(Maintenance).options(
        joinedload(Maintenance.asset), joinedload(Maintenance.assignee)
    )
    if asset_id is not None:
        wanted = wanted.where(Maintenance.asset_id == asset_id)
    if which is MaintenanceList.ALL:
        return newest_first(wanted, Maintenance.id, cursor)
    wanted = wanted.where(Maintenance.state.in_(OPEN_MAINTENANCES))
    if which is MaintenanceList.DUE:
        due = BY_EVENT[EventName.MAINTENANCE_DUE].in_state(alert_settings.moment(common_now()))
        wanted = wanted.where(Maintenance.id.in_(due))
    return soonest_first(wanted, Maintenance.due_on, Maintenance.id, cursor)


def count_pending(asset_id: int | None = None) -> int:
    """How many reservations wait for a decision (`capped`)."""
    wanted = select(Reservation.id).where(Reservation.state == ReservationState.PENDING)
    if asset_id is not None:
        wanted = wanted.where(Reservation.asset_id == asset_id)
    return capped(session(), wanted)


def plans_of(asset_id: int) -> Plans:
    """What is planned with one asset."""
    wishes, works = _of_asset(asset_id)
    return Plans(
        _all(
            wishes.where(Reservation.state.in_(OPEN_RESERVATIONS)).order_by(
                Reservation.starts_at, Reservation.id
            )
        ),
        _all(
            works.where(Maintenance.state.in_(OPEN_MAINTENANCES)).order_by(
                Maintenance.due_on, Maintenance.id
            )
        ),
    )


def past_reservations(asset_id: int, cursor: str | None = None) -> Page[Reservation]:
    """A page of what is closed, the newest wish first."""
    wanted = _of_asset(asset_id)[0].where(Reservation.state.not_in(OPEN_RESERVATIONS))
    return newest_first(wanted, Reservation.id, cursor)


def past_maintenances(asset_id: int, cursor: str | None = None) -> Page[Maintenance]:
    """A page of what is closed, the newest plan first."""
    wanted = _of_asset(asset_id)[1].where(Maintenance.state.not_in(OPEN_MAINTENANCES))
    return newest_first(wanted, Maintenance.id, cursor)


def find_reservation(asset_id: int, public_id: UUID | None) -> Reservation:
    """One reservation of this asset. Raises `NotFound`."""
    wanted = select(Reservation).where(
        Reservation.public_id == public_id, Reservation.asset_id == asset_id
    )
    found = session().scalars(wanted.options(joinedload(Reservation.staff))).one_or_none()
    if found is None:
        raise NotFound("There is no such reservation.")
    return found


def find_maintenance(asset_id: int, public_id: UUID | None) -> Maintenance:
    """One maintenance of this asset. Raises `NotFound`."""
    wanted = select(Maintenance).where(
        Maintenance.public_id == public_id, Maintenance.asset_id == asset_id
    )
    found = session().scalars(wanted).one_or_none()
    if found is None:
        raise NotFound("There is no such maintenance.")
    return found


def is_at_risk(reservation: Reservation, asset: Asset) -> bool:
    """Whether somebody counts on an asset that cannot be had as it is now."""
    return reservation.state in OPEN_RESERVATIONS and asset.status not in FIT


def has_any(kind: type[Reservation] | type[Maintenance]) -> bool:
    """Whether there ever was one."""
    return session().execute(select(kind.id).limit(1)).first() is not None


def _of_asset(asset_id: int) -> tuple[Select[Reservation], Select[Maintenance]]:
    wishes = select(Reservation).where(Reservation.asset_id == asset_id)
    works = select(Maintenance).where(Maintenance.asset_id == asset_id)
    return (
        wishes.options(joinedload(Reservation.staff)),
        works.options(joinedload(Maintenance.assignee)),
    )


def _all(wanted: Select[Row]) -> Sequence[Row]:
    return session().scalars(wanted).all()
