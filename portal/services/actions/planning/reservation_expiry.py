"""Reservations that nobody collected by their end: the clock closes them, one after the other."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events.asset_details import UpdateReason
from portal.models.assets import Action, Asset
from portal.models.planning import OPEN_RESERVATIONS, Reservation, ReservationState
from portal.services.actions import transition
from portal.services.actions.planning.reservations import described, told_of_update
from portal.services.actions.planning.rows import asset_of, lock_row
from portal.services.actions.transition import Change
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing

EXPIRED_A_RUN: Final = 200


def expire_due(now: datetime, most: int = EXPIRED_A_RUN) -> int:
    """Close what ended before `now` uncollected (asset.updated, reason reservation_expired).

    Each in a transaction of its own, the oldest first, at most `most`; how many they were. May run
    twice at once: whoever comes second finds it done.
    """
    wanted = (
        select(Reservation.public_id)
        .where(Reservation.state.in_(OPEN_RESERVATIONS), Reservation.ends_at <= now)
        .order_by(Reservation.ends_at, Reservation.id)
        .limit(most)
    )
    return sum(_expire(public_id, now) for public_id in session().scalars(wanted).all())


def _expire(public_id: UUID, now: datetime) -> bool:
    def close(current: Session, _asset: Asset) -> Reservation:
        found = lock_row(current, Reservation, public_id)
        if found.state not in OPEN_RESERVATIONS or found.ends_at > now:
            raise Refusal("Somebody else has decided about it meanwhile.")
        found.state, found.closed_at = ReservationState.EXPIRED, now
        return found

    try:
        with writing() as current:
            asset_id = asset_of(current, Reservation, public_id, "reservation")
            change = Change(
                action=Action.EXPIRE_RESERVATION,
                make=close,
                tell=lambda moved: told_of_update(moved, UpdateReason.RESERVATION_EXPIRED),
                remark=described(current, SYSTEM, public_id),
            )
            transition.perform(SYSTEM, asset_id, change)
    except Refusal:  # decided, or deleted with its asset, between the list and the lock
        return False
    return True
