"""Rows of planning as the verbs take them: the people chosen, and what receivers see of a row."""

from typing import TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.planning import Maintenance, Reservation
from portal.services.core.refusals import NotFound

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
