"""Maintain categories and locations, the two lists of names that assets refer to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.lib.paging import Page
from portal.models.assets import Asset, Category, Location
from portal.services import audit
from portal.services.core.keyset import by_name, newest_first
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox.conditions import webhooks_naming

LONGEST_NAME: Final = 120
Named = Category | Location
One = TypeVar("One", Category, Location)


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedList:
    """The differences between the two lists."""

    model: type[Category] | type[Location]
    used_by: InstrumentedAttribute[int | None]
    one: str
    many: str
    holds: str  # the preposition, as in "in" a category or "at" a location


CATEGORIES: Final = NamedList(
    model=Category, used_by=Asset.category_id, one="category", many="categories", holds="in"
)
LOCATIONS: Final = NamedList(
    model=Location, used_by=Asset.location_id, one="location", many="locations", holds="at"
)


@dataclass(frozen=True, slots=True)
class ListedName:
    """One name, with its number of undeleted assets."""

    id: int
    public_id: UUID
    name: str
    assets: int


def find(kind: NamedList, public_id: UUID, *, locked: bool = False) -> Any:
    """Return the category or location, `locked` for a change. Raises `NotFound`."""
    query = select(kind.model).where(kind.model.public_id == public_id)
    if locked:  # keeps assets from referring to it until this transaction ends
        query = query.with_for_update().execution_options(populate_existing=True)
    row = session().scalar(query)
    if row is None:
        raise NotFound(f"This {kind.one} was deleted.")
    return row


def chosen_row(current: Session, model: type[One], row_id: int | None) -> One | None:
    """Return the chosen row, locked against deletion until this transaction ends."""
    if row_id is None:
        return None
    row = current.get(model, row_id, with_for_update={"read": True, "key_share": True})
    if row is None:
        called = model.__name__.lower()
        raise Refusal(f"Choose another {called}. This one was deleted", field=f"{called}_id")
    return row


def choices(kind: NamedList) -> list[tuple[int, UUID, str]]:
    """Return all choices as (row id, public id, name), sorted by name."""
    model = kind.model
    query = select(model.id, model.public_id, model.name).order_by(func.lower(model.name))
    return [(row.id, row.public_id, row.name) for row in session().execute(query)]


def page(kind: NamedList, cursor: str | None = None) -> Page[ListedName]:
    """Return a page of the list by name, each with its number of undeleted assets."""
    model = kind.model
    count = select(func.count()).where(kind.used_by == model.id, Asset.deleted_at.is_(None))
    query = select(model.id, model.public_id, model.name, count.scalar_subquery().label("assets"))
    return by_name(query, model.name, model.id, cursor, ListedName)


def find_page(
    kind: NamedList, name: str = "", cursor: str | None = None, size: int | None = None
) -> Page[Any]:
    """Return a page of the list, newest first. `name` matches one whole name, ignoring case."""
    query: Select[Any] = select(kind.model)
    if name:
        query = query.where(func.lower(kind.model.name) == func.lower(name))
    return newest_first(query, kind.model.id, cursor, size)


def create(kind: NamedList, actor: Actor, name: str) -> UUID:
    """Add a name to the list and return its public id."""
    _refuse_unfit(kind, name)
    with writing() as current:
        require(current, actor, "assets.edit")
        row = kind.model(name=name)
        current.add(row)
        _flush(kind, current, name)
        _audit(kind, current, actor, row, "created", audit.added({"name": name}))
        return row.public_id


def found_or_added(kind: NamedList, actor: Actor, name: str) -> int:
    """Return the row id of this name, ignoring case, adding the name if it is missing."""
    _refuse_unfit(kind, name)
    with writing() as current:
        require(current, actor, "assets.edit")
        model = kind.model
        query = select(model.id).where(func.lower(model.name) == func.lower(name))
        row_id = current.scalar(query)
        if row_id is None:
            create(kind, actor, name)
            row_id = current.execute(query).scalar_one()
        return row_id


def rename(kind: NamedList, actor: Actor, public_id: UUID, version: int | None, name: str) -> bool:
    """Change a name. Return False if unchanged. `version` None skips the version check."""
    _refuse_unfit(kind, name)
    with writing() as current:
        require(current, actor, "assets.edit")
        row = find(kind, public_id, locked=True)
        if version not in (None, row.version):
            raise Stale(f"This {kind.one} changed after you opened it.")
        if row.name == name:
            return False
        changes = {"name": {"from": row.name, "to": name}}
        row.name, row.version = name, row.version + 1
        _flush(kind, current, name, "Enter another name or merge the two")
        _audit(kind, current, actor, row, "updated", changes)
        return True


def delete(kind: NamedList, actor: Actor, public_id: UUID) -> None:
    """Delete a name. Raises `Refusal` while undeleted assets or webhook conditions use it."""
    with writing() as current:
        require(current, actor, "assets.edit")
        row = find(kind, public_id, locked=True)
        if obstacle := obstacle_of(
            kind, row.name, count_used(kind, row.id), [name for _, name in naming(kind, row.id)]
        ):
            raise Refusal(obstacle)
        deleted = update(Asset).where(kind.used_by == row.id)  # only deleted assets are left
        current.execute(deleted.values({kind.used_by.key: None}))
        current.delete(row)
        _audit(kind, current, actor, row, "deleted", {})
        current.flush()


def obstacle_of(kind: NamedList, name: str, used: int, webhooks: Sequence[str]) -> str:
    """Return every obstacle to deleting a name, with the ways out, or blank if there is none.

    `used` is the number of assets that use it. `webhooks` are the names of the webhooks whose
    conditions use it.
    """
    parts = [in_use(kind, name, used)] if used else []
    return " ".join([*parts, in_conditions(name, webhooks)] if webhooks else parts)


def in_use(kind: NamedList, name: str, count: int) -> str:
    """Return how many assets keep a name from being deleted, and the way out."""
    assets = "1 asset is" if count == 1 else f"{count:,} assets are"
    them = "it" if count == 1 else "them"
    return (
        f"{assets} still {kind.holds} “{name}”. "
        f"Choose another {kind.one} for {them} first, then delete this one."
    )


def naming(kind: NamedList, row_id: int) -> list[tuple[UUID, str]]:
    """Return the webhooks whose conditions use this row, as (public id, name)."""
    return webhooks_naming(session(), kind.one, row_id)


def in_conditions(name: str, webhooks: Sequence[str], verb: str = "delete") -> str:
    """Return why a name in webhook conditions can't be deleted or merged, and the way out."""
    where = "a condition" if len(webhooks) == 1 else "conditions"
    return (
        f"“{name}” is used in {where} of {', '.join(webhooks)}. "
        f"Remove it there first, then {verb} it here."
    )


def count_used(kind: NamedList, row_id: int) -> int:
    """Count the undeleted assets that refer to this row."""
    query = select(func.count()).where(kind.used_by == row_id, Asset.deleted_at.is_(None))
    return session().execute(query).scalar_one()


def _refuse_unfit(kind: NamedList, name: str) -> None:
    if not name:
        raise Refusal(f"Enter the {kind.one}’s name", field="name")
    if len(name) > LONGEST_NAME:
        raise Refusal(f"Enter at most {LONGEST_NAME} characters", field="name")


def _flush(
    kind: NamedList, current: Session, name: str, way_out: str = "Enter another name"
) -> None:
    try:
        current.flush()
    except IntegrityError:
        # Only the name has a unique constraint. The refusal rolls back the whole transaction.
        sentence = f"{way_out}. There’s already a {kind.one} “{name}”"
        raise Refusal(sentence, field="name") from None


def _audit(
    kind: NamedList, current: Session, actor: Actor, row: Named, verb: str, changes: dict[str, Any]
) -> None:
    target = (kind.one, row.public_id, row.name)
    audit.record(current, actor, f"{kind.one}.{verb}", target=target, changes=changes)
