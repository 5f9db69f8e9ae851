"""Staff as lists and pages show them: who there is, what they have and what they reserved."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import contains_eager, joinedload

from portal.lib.paging import Page
from portal.models.assignments import Assignment, Staff
from portal.models.planning import OPEN_RESERVATIONS, Reservation
from portal.services.core.counting import capped
from portal.services.core.keyset import by_name
from portal.services.core.search import any_holds
from portal.services.core.unit_of_work import session


@dataclass(frozen=True, slots=True)
class ListedStaff:
    """One member of staff with the number of assets that they have now."""

    public_id: UUID
    name: str
    email: str
    department: str | None
    is_active: bool
    assets: int


@dataclass(frozen=True, slots=True)
class Holding:
    """One asset that somebody has."""

    asset_id: int
    asset_tag: str
    name: str
    since: datetime
    due_at: datetime | None


def listing(
    search: str = "", *, left: bool = False, cursor: str | None = None
) -> Page[ListedStaff]:
    """One page by name; of those who have left, if asked. Searched by name, e-mail, department."""
    wanted = _listed().where(Staff.is_active.is_(not left))
    if search:
        wanted = wanted.where(_holds(search))
    return by_name(wanted, Staff.name, Staff.id, cursor, ListedStaff)


def find_listed(public_id: UUID) -> ListedStaff | None:
    """One of them as the list shows them, whether here or not."""
    row = session().execute(_listed().where(Staff.public_id == public_id)).one_or_none()
    return ListedStaff(*row) if row else None


def count(search: str) -> int:
    """How many of those who have not left the list would show (`capped`)."""
    return capped(session(), select(Staff.id).where(Staff.is_active, _holds(search)))


def has_staff() -> bool:
    """Whether there is anybody at all."""
    return session().execute(select(Staff.id).limit(1)).first() is not None


def has_now(staff_id: int) -> list[Holding]:
    """What the person has, the longest held first."""
    wanted = (
        select(Assignment)
        .join(Assignment.asset)
        .where(Assignment.staff_id == staff_id, Assignment.ended_at.is_(None))
        .options(contains_eager(Assignment.asset))
        .order_by(Assignment.id)
    )
    return [
        Holding(each.asset_id, each.asset.asset_tag, each.asset.name, each.started_at, each.due_at)
        for each in session().scalars(wanted)
    ]


def has_reserved(staff_id: int) -> Sequence[Reservation]:
    """What the person asked for or was promised, the soonest first, with asset and person."""
    wanted = (
        select(Reservation)
        .where(Reservation.staff_id == staff_id, Reservation.state.in_(OPEN_RESERVATIONS))
        .options(joinedload(Reservation.asset), joinedload(Reservation.staff))
        .order_by(Reservation.starts_at, Reservation.id)
    )
    return session().scalars(wanted).all()


def _listed() -> Select[Any]:
    now = select(func.count()).where(Assignment.staff_id == Staff.id, Assignment.ended_at.is_(None))
    return select(
        Staff.public_id,
        Staff.name,
        Staff.email,
        Staff.department,
        Staff.is_active,
        now.scalar_subquery(),
    )


def _holds(search: str) -> ColumnElement[bool]:
    return any_holds((Staff.name, Staff.email, Staff.department, Staff.employee_no), search)
