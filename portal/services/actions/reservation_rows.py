"""Who has asked for an asset, when: what other actions have to know of it, and do with it.

Call these inside `writing()` with the asset's row locked: whoever else decides about the same
asset waits for that lock.
"""

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload

from portal.lib.clock import common_now
from portal.models.planning import OPEN_RESERVATIONS, Reservation, ReservationState
from portal.services.core.permissions import Actor


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
