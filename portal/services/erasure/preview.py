"""Preview an erasure: the rows that it would change and the names that would stay. Read-only."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from portal.lib.typed_text import around
from portal.models.assets import Activity, Asset
from portal.models.assignments import Assignment, Staff
from portal.models.audit import ErasedKind
from portal.models.people import Role, User
from portal.models.planning import Maintenance, Reservation
from portal.services.assets.fields import ASSET_FIELDS
from portal.services.assets.staff import holdings_of, reserved_by
from portal.services.core.permissions import Actor
from portal.services.core.queries import any_holds, capped
from portal.services.core.unit_of_work import session
from portal.services.erasure.erase import count
from portal.services.erasure.person import KnownPerson, person_to_be
from portal.services.erasure.places import places_of

MOST_NAMED: Final = 5
MOST_READ: Final = 1000  # rows per table and name


@dataclass(frozen=True, slots=True)
class AssetName:
    """An asset that blocks the erasure, or that has the name in a text."""

    id: int
    asset_tag: str
    name: str


@dataclass(slots=True)
class Mention:
    """A name or address inside longer texts.

    `places` counts the mentions, of which there can be more if `is_more`. `example` and `table` are
    the words around the first mention and its table. `is_shared` means that someone else has the
    same name.
    """

    text: str
    is_shared: bool
    places: int = 0
    is_more: bool = False
    example: str = ""
    table: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasurePreview:
    """Numbers for the page of an erasure.

    - `rows`: the number of rows by table that name the person, whatever is chosen.
    - `mentions`: the names and addresses to look for inside longer texts.
    - `bodies`: the maximum number of events that carry the name (`capped`).
    - `typed`: the first assets whose own fields contain the name.
    - `twin`: the user or member of staff with the same address.
    - `is_shared`: another user has the same name.
    - `is_me`, `is_last_admin`, `held`, `reserved`: reasons to refuse the erasure.
    """

    rows: dict[str, int]
    mentions: Sequence[Mention]
    bodies: int
    typed: Sequence[AssetName]
    twin: UUID | None
    is_shared: bool
    is_me: bool
    is_last_admin: bool
    held: Sequence[AssetName]
    reserved: Sequence[AssetName]

    @property
    def is_refused(self) -> bool:
        """Return whether the erasure would be refused."""
        return self.is_me or self.is_last_admin or bool(self.held) or bool(self.reserved)


def preview(actor: Actor, row: Staff | User) -> ErasurePreview:
    """Return a preview of erasing this person now."""
    current, is_staff = session(), isinstance(row, Staff)
    person = person_to_be(current, row)
    return ErasurePreview(
        rows=count(person),
        mentions=[_mention(current, person, text) for text in person.texts],
        bodies=capped(current, _bodies_about(row)),
        typed=_typed(current, row),
        twin=_twin(current, row),
        is_shared=person.kind is ErasedKind.USER and len(person.sole_names) < len(person.names),
        is_me=not is_staff and row.id == actor.user_id,
        is_last_admin=not is_staff and _is_last_admin(current, row.id),
        held=_things(holdings_of(row.id)) if is_staff else [],
        reserved=_things(reserved_by(row.id)) if is_staff else [],
    )


def _mention(current: Session, person: KnownPerson, text: str) -> Mention:
    mention = Mention(text, text not in (*person.sole_names, *person.emails))
    alone = replace(person, sought=(text,))
    for place in places_of(person.kind):
        free = [field for field in place.fields_of(person.kind) if field.is_free]
        if not free:
            continue
        says = or_(*(field.names(alone) for field in free))
        query = select(*(field.column for field in free)).where(says).order_by(place.key)
        rows = current.execute(query.limit(MOST_READ)).all()
        mention.is_more |= len(rows) == MOST_READ
        for mentioned, match in (pair for row in rows for pair in person.mentions(list(row))):
            if mentioned == text:
                mention.places += 1
                mention.example = mention.example or around(match.string, match.start())
                mention.table = mention.table or place.table
    return mention


def _bodies_about(row: Staff | User) -> Select[int]:
    """Return a query for timeline lines whose stored events can name the person."""
    lines = select(Activity.id).where(Activity.event_id.is_not(None))
    if isinstance(row, User):
        return lines.where(Activity.actor_id == row.id)
    theirs = (
        select(Assignment.asset_id).where(Assignment.staff_id == row.id),
        select(Reservation.asset_id).where(Reservation.staff_id == row.id),
        select(Maintenance.asset_id).where(
            or_(Maintenance.assignee_id == row.id, Maintenance.performed_by_id == row.id)
        ),
    )
    return lines.where(or_(*(Activity.asset_id.in_(asset_ids) for asset_ids in theirs)))


def _typed(current: Session, row: Staff | User) -> list[AssetName]:
    columns = [getattr(Asset, field.name) for field in ASSET_FIELDS if field.names_people]
    says = or_(*(any_holds(columns, text) for text in (row.name, row.email)))
    query = select(Asset).where(says).order_by(Asset.id).limit(MOST_NAMED)
    return _things(current.scalars(query).all())


def _twin(current: Session, row: Staff | User) -> UUID | None:
    other: type[Staff] | type[User] = User if isinstance(row, Staff) else Staff
    same = func.lower(other.email) == row.email.lower()
    public_id: UUID | None = current.scalar(select(other.public_id).where(same))
    return public_id


def _is_last_admin(current: Session, user_id: int) -> bool:
    admins = select(User.id).where(User.role == Role.ADMIN, User.is_active)
    return set(current.scalars(admins)) == {user_id}


def _things(found: Sequence[Asset]) -> list[AssetName]:
    return [AssetName(asset.id, asset.asset_tag, asset.name) for asset in found]
