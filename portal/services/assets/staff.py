"""Maintain staff, who can hold assets but do not sign in. Former staff are kept."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, contains_eager, joinedload

from portal.engine.events.body import changes
from portal.lib.paging import Page
from portal.lib.typed_values import is_email
from portal.models.assets import Asset, AssetStatus
from portal.models.assignments import Assignment, Staff
from portal.models.audit import ErasedKind
from portal.models.planning import OPEN_RESERVATIONS, Reservation
from portal.services import audit
from portal.services.core.erasures import refuse_erased
from portal.services.core.keyset import by_name, newest_first
from portal.services.core.permissions import Actor, require
from portal.services.core.queries import any_holds, capped
from portal.services.core.refusals import Fault, NotFound, Refusal, Stale, refuse_all
from portal.services.core.unit_of_work import session, writing

LENGTHS: Final = {"name": 120, "email": 254, "employee_no": 40, "department": 120, "phone": 40}
CALLED: Final = {"email": "email address", "employee_no": "employee number", "phone": "phone"}
MOST_NAMED: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffValues:
    """The entered values of a member of staff."""

    name: str
    email: str
    employee_no: str | None = None
    department: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class StaffChoice:
    """A person who can get an asset. `label` distinguishes people with the same name."""

    id: int
    label: str


def find(public_id: UUID, *, locked: bool = False) -> Staff:
    """Return the member of staff, `locked` for a change. Raises `NotFound`."""
    query = select(Staff).where(Staff.public_id == public_id)
    if locked:  # new assignments to this person wait for this transaction, or it waits for them
        query = query.with_for_update().execution_options(populate_existing=True)
    row = session().scalar(query)
    if row is None:
        raise NotFound("We couldn’t find this person.")
    return row


def choices() -> list[StaffChoice]:
    """Return all active staff, by name."""
    query = (
        select(Staff.id, Staff.name, Staff.email, Staff.department)
        .where(Staff.is_active)
        .order_by(func.lower(Staff.name), Staff.id)
    )
    rows = session().execute(query)
    return [StaffChoice(row.id, f"{row.name} ({row.department or row.email})") for row in rows]


def values_of(row: Staff) -> StaffValues:
    """Return the person's current values, as their form shows them."""
    return StaffValues(**{name: getattr(row, name) for name in LENGTHS})


def create(actor: Actor, values: StaffValues) -> UUID:
    """Add a person and return their public id."""
    refuse_all(faults(values))
    with writing() as current:
        require(current, actor, "assets.edit")
        row = Staff(**asdict(values))
        current.add(row)
        _flush(current, values)
        _audit(current, actor, row, "created", changes({}, asdict(values))[1])
        return row.public_id


def found_or_added(actor: Actor, values: StaffValues) -> int:
    """Return the row id of this person, adding them if missing.

    Raises `Refusal` if the address belongs to someone else or to former staff.
    """
    refuse_all(faults(values))
    with writing() as current:
        require(current, actor, "assets.edit")
        query = select(Staff).where(func.lower(Staff.email) == func.lower(values.email))
        row = current.scalar(query)
        if row is None:
            create(actor, values)
            row = current.execute(query).scalar_one()
        if row.name.lower() != values.name.lower():
            raise Refusal(f"{row.name} already has this email address", field="email")
        if not row.is_active:
            raise Refusal(f"{row.name} is former staff", field="name")
        return row.id


def edit(actor: Actor, public_id: UUID, version: int, values: StaffValues) -> bool:
    """Replace a person's values. Return False if nothing changed."""
    return edit_fields(actor, public_id, asdict(values), version)


def edit_fields(
    actor: Actor, public_id: UUID, fields: Mapping[str, Any], version: int | None = None
) -> bool:
    """Change some values of a person, keeping the others. Return False if nothing changed.

    `version` is the version that the caller read, or None to skip the check.
    """
    with writing() as current:
        require(current, actor, "assets.edit")
        row = find(public_id, locked=True)
        refuse_erased(current, ErasedKind.STAFF, row.id)
        if version not in (None, row.version):
            raise Stale(f"{row.name}’s details changed after you opened the form.")
        values = replace(values_of(row), **fields)
        refuse_all(faults(values))
        differences = changes(asdict(values_of(row)), asdict(values))[1]
        if not differences:
            return False
        for name in LENGTHS:
            setattr(row, name, getattr(values, name))
        row.version += 1
        _flush(current, values)
        _audit(current, actor, row, "updated", differences)
        return True


def deactivate(actor: Actor, public_id: UUID) -> None:
    """Deactivate a person who has left. Raises `Refusal` while they hold or reserve anything."""
    with writing() as current:
        require(current, actor, "assets.edit")
        row = find(public_id, locked=True)
        _refuse_holder(row)
        _switch(current, actor, row, is_active=False)


def deactivate_for_erasure(current: Session, actor: Actor, public_id: UUID) -> Staff:
    """Deactivate a person in the caller's transaction, before their erasure.

    Raises `Refusal` while they hold or reserve anything, or if they are already erased.
    """
    require(current, actor, "people.erase")
    row = find(public_id, locked=True)
    refuse_erased(current, ErasedKind.STAFF, row.id)
    _refuse_holder(row)
    row.is_active, row.version = False, row.version + 1
    return row


def reactivate(actor: Actor, public_id: UUID) -> None:
    """Reactivate a person, who can then get assets again."""
    with writing() as current:
        require(current, actor, "assets.edit")
        _switch(current, actor, find(public_id, locked=True), is_active=True)


def holdings_of(staff_id: int) -> list[Asset]:
    """Return the assets that the person holds, by tag."""
    return _by_tag(row.asset for row in has_now(staff_id))


def reserved_by(staff_id: int) -> list[Asset]:
    """Return the assets that the person has open reservations for, by tag."""
    return _by_tag(row.asset for row in has_reserved(staff_id))


def _by_tag(assets: Iterable[Asset]) -> list[Asset]:
    return sorted(set(assets), key=lambda asset: asset.asset_tag.lower())


def _refuse_holder(row: Staff) -> None:
    held, reserved = holdings_of(row.id), reserved_by(row.id)
    if held or reserved:
        raise Refusal(cannot_leave(row.name, held, reserved))


def cannot_leave(name: str, held: list[Asset], reserved: list[Asset]) -> str:
    """Return why a person can't leave yet and the way out, with held assets before reservations."""
    if not held:
        those = "that reservation" if len(reserved) == 1 else "those reservations"
        return f"{name} has reserved {_all_of(reserved)}. Cancel {those} first."
    them = "it" if len(held) == 1 else "them"
    return f"{name} still has {_all_of(held)}. {_ways_out(held).format(them)} first."


def _ways_out(held: Iterable[Asset]) -> str:
    """Return only the ways to end these assignments that fit the assets' statuses."""
    statuses = {asset.status for asset in held}
    if statuses == {AssetStatus.CHECKED_OUT}:
        return "Check {} in"
    if AssetStatus.CHECKED_OUT in statuses:
        return "Check in, revoke, or reassign {}"
    return "Revoke or reassign {}"


def _all_of(assets: list[Asset]) -> str:
    named = [f"{asset.asset_tag} ({asset.name})" for asset in assets[:MOST_NAMED]]
    more = len(assets) - len(named)
    if more:
        named.append(f"{more} more")
    return " and ".join([", ".join(named[:-1]), named[-1]] if len(named) > 1 else named)


def _switch(current: Session, actor: Actor, row: Staff, *, is_active: bool) -> None:
    refuse_erased(current, ErasedKind.STAFF, row.id)
    if row.is_active is is_active:
        return
    row.is_active, row.version = is_active, row.version + 1
    verb = "reactivated" if is_active else "deactivated"
    _audit(current, actor, row, verb, changes({"active": not is_active}, {"active": is_active})[1])


def faults(values: StaffValues) -> Iterator[Fault]:
    """Yield everything that keeps these values off the staff list."""
    if not values.name:
        yield Fault("name", "Enter the name")
    if not is_email(values.email):
        yield Fault("email", "Enter an email address, such as maria@example.com")
    for name, limit in LENGTHS.items():
        if len(getattr(values, name) or "") > limit:
            called = CALLED.get(name, name)
            yield Fault(name, f"Enter at most {limit} characters for the {called}")


def _flush(current: Session, values: StaffValues) -> None:
    try:
        current.flush()
    except IntegrityError:
        # Only the email has a unique constraint. The refusal rolls back the whole transaction.
        sentence = f"{values.email} is already on the staff list"
        raise Refusal(sentence, field="email") from None


def _audit(
    current: Session, actor: Actor, row: Staff, verb: str, differences: Mapping[str, object]
) -> None:
    target = ("staff", row.public_id, row.name)
    audit.record(current, actor, f"staff.{verb}", target=target, changes=differences)


@dataclass(frozen=True, slots=True)
class ListedStaff:
    """One member of staff, with the number of assets that they hold."""

    public_id: UUID
    name: str
    email: str
    department: str | None
    is_active: bool
    assets: int


def listing(
    search: str = "", *, left: bool = False, cursor: str | None = None
) -> Page[ListedStaff]:
    """Return a page of matching staff by name, either former (`left`) or active."""
    query = _listed().where(Staff.is_active.is_(not left))
    if search:
        query = query.where(_holds(search))
    return by_name(query, Staff.name, Staff.id, cursor, ListedStaff)


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffFilter:
    """A filter for staff. `email` matches a whole address, ignoring case."""

    search: str = ""
    email: str = ""
    is_active: bool | None = None


def find_page(
    chosen: StaffFilter, cursor: str | None = None, size: int | None = None
) -> Page[Staff]:
    """Return a page of matching staff, newest first."""
    query = select(Staff)
    if chosen.search:
        query = query.where(_holds(chosen.search))
    if chosen.email:
        query = query.where(func.lower(Staff.email) == func.lower(chosen.email))
    if chosen.is_active is not None:
        query = query.where(Staff.is_active.is_(chosen.is_active))
    return newest_first(query, Staff.id, cursor, size)


def find_listed(public_id: UUID) -> ListedStaff | None:
    """Return one active or former member of staff as the list shows them."""
    row = session().execute(_listed().where(Staff.public_id == public_id)).one_or_none()
    return ListedStaff(*row) if row else None


def count(search: str) -> int:
    """Count the matching active staff (`capped`)."""
    return capped(session(), select(Staff.id).where(Staff.is_active, _holds(search)))


def has_staff() -> bool:
    return session().execute(select(Staff.id).limit(1)).first() is not None


def has_now(staff_id: int) -> Sequence[Assignment]:
    """Return the person's open assignments with their assets, oldest first."""
    query = (
        select(Assignment)
        .join(Assignment.asset)
        .where(Assignment.staff_id == staff_id, Assignment.ended_at.is_(None))
        .options(contains_eager(Assignment.asset))
        .order_by(Assignment.id)
    )
    return session().scalars(query).all()


def has_reserved(staff_id: int) -> Sequence[Reservation]:
    """Return the person's open reservations with asset and person, soonest first."""
    query = (
        select(Reservation)
        .where(Reservation.staff_id == staff_id, Reservation.state.in_(OPEN_RESERVATIONS))
        .options(joinedload(Reservation.asset), joinedload(Reservation.staff))
        .order_by(Reservation.starts_at, Reservation.id)
    )
    return session().scalars(query).all()


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
