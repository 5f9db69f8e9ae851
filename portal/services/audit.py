"""Write the audit trail, whose rows can't be altered, and read it for pages."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, String, and_, cast, func, or_, select
from sqlalchemy.orm import Session

from portal.engine.http.address_mask import masked_address
from portal.lib.paging import Page
from portal.models.assets import Asset
from portal.models.audit import AuditEntry
from portal.models.people import User
from portal.models.webhooks import Webhook
from portal.services.core.keyset import by_time
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session

EXPORT_CHUNK: Final = 500
WEBHOOK, ADDRESS = "webhook", "url"  # a target kind, and the field of its changes


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailFilter:
    """Conditions on entries. `nobody` keeps actions of the portal and the command line."""

    person: UUID | None = None
    nobody: bool = False
    actions: tuple[str, ...] = ()
    asset_tag: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailEntry:
    """One entry of the audit trail. `changes`: {field: {from, to}}."""

    id: int
    at: datetime
    by: str
    origin: str
    action: str
    kind: str
    target_id: str
    target_name: str
    changes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LastChange:
    """The author and the time of a thing's newest entry."""

    by: str
    at: datetime


def find_page(filter_: TrailFilter, cursor: str | None = None) -> Page[TrailEntry]:
    """Return one page of matching entries, newest first."""
    page = by_time(_matching(filter_), AuditEntry.at, AuditEntry.id, cursor, newest=True)
    return Page(_entries(session(), page.rows), page.newer, page.older)


def every(filter_: TrailFilter) -> Iterator[TrailEntry]:
    """Yield all matching entries, newest first, in one transaction per chunk."""
    last: tuple[datetime, int] | None = None
    while True:
        chunk = _chunk(filter_, last)
        yield from chunk
        if len(chunk) < EXPORT_CHUNK:
            return
        last = (chunk[-1].at, chunk[-1].id)


def people_names() -> Sequence[tuple[UUID, str]]:
    """Return (public id, name) of every user, sorted by name."""
    rows = session().execute(
        select(User.public_id, User.name).order_by(func.lower(User.name), User.id)
    )
    return [(row.public_id, row.name) for row in rows]


def last_change(kind: str, target_id: object) -> LastChange | None:
    """Return the author and time of the newest entry about a thing."""
    newest = (
        select(AuditEntry.actor_name, AuditEntry.at)
        .where(AuditEntry.target_kind == kind, AuditEntry.target_id == str(target_id))
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
    row = session().execute(newest).first()
    return LastChange(*row) if row else None


def shown_changes(
    current: Session, rows: Sequence[AuditEntry]
) -> list[tuple[AuditEntry, dict[str, Any]]]:
    """Pair each entry with its changes, and mask webhook URLs by today's settings."""
    addressed = set(filter(None, (_webhook_id(row) for row in rows if _has_address(row))))
    if not addressed:
        return [(row, row.changes) for row in rows]
    with_secret_url = select(Webhook.public_id).where(
        Webhook.url_is_secret.is_(True), Webhook.public_id.in_(addressed)
    )
    secret = set(map(str, current.scalars(with_secret_url)))
    return [(row, _masked(row, is_secret=row.target_id in secret)) for row in rows]


def _webhook_id(row: AuditEntry) -> UUID | None:
    """Return the target's id, or None if it isn't a UUID, so that no entry breaks the page."""
    try:
        return UUID(row.target_id)
    except ValueError:
        return None


def _has_address(row: AuditEntry) -> bool:
    return row.target_kind == WEBHOOK and ADDRESS in row.changes


def _masked(row: AuditEntry, *, is_secret: bool) -> dict[str, Any]:
    if not _has_address(row):
        return row.changes
    sides = row.changes[ADDRESS].items()
    shown = {side: url and masked_address(url, is_secret=is_secret) for side, url in sides}
    return {**row.changes, ADDRESS: shown}


def _chunk(filter_: TrailFilter, last: tuple[datetime, int] | None) -> list[TrailEntry]:
    newest = (AuditEntry.at.desc(), AuditEntry.id.desc())
    statement = _matching(filter_).order_by(*newest).limit(EXPORT_CHUNK)
    if last is not None:
        at, id_ = last
        same = and_(AuditEntry.at == at, AuditEntry.id < id_)
        statement = statement.where(or_(AuditEntry.at < at, same))
    current = session()
    try:
        return _entries(current, current.scalars(statement).all())
    finally:
        current.rollback()


def _matching(filter_: TrailFilter) -> Select[AuditEntry]:
    statement = select(AuditEntry)
    if filter_.person is not None:
        person = select(User.id).where(User.public_id == filter_.person).scalar_subquery()
        statement = statement.where(AuditEntry.actor_id == person)
    elif filter_.nobody:
        statement = statement.where(AuditEntry.actor_id.is_(None))
    if filter_.actions:
        statement = statement.where(AuditEntry.action.in_(filter_.actions))
    if filter_.asset_tag:
        tag = func.lower(Asset.asset_tag) == filter_.asset_tag.lower()
        ids = select(cast(Asset.id, String)).where(tag)
        about = AuditEntry.target_kind == "asset", AuditEntry.target_id.in_(ids)
        statement = statement.where(*about)
    if filter_.since is not None:
        statement = statement.where(AuditEntry.at >= filter_.since)
    if filter_.until is not None:
        statement = statement.where(AuditEntry.at < filter_.until)
    return statement


def _entries(current: Session, rows: Sequence[AuditEntry]) -> list[TrailEntry]:
    return [_entry(row, changes) for row, changes in shown_changes(current, rows)]


def _entry(row: AuditEntry, changes: dict[str, Any]) -> TrailEntry:
    return TrailEntry(
        id=row.id,
        at=row.at,
        by=row.actor_name,
        origin=row.origin,
        action=row.action,
        kind=row.target_kind,
        target_id=row.target_id,
        target_name=row.target_name,
        changes=changes,
    )


def record(
    current: Session,
    actor: Actor,
    action: str,
    *,
    target: tuple[str, object, str],
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Add an entry. `target` is (kind, id, name), and `changes` is {field: {from, to}}."""
    kind, target_id, name = target
    current.add(
        AuditEntry(
            actor_id=actor.user_id,
            actor_name=actor.name,
            origin=actor.origin,
            action=action,
            target_kind=kind,
            target_id=str(target_id),
            target_name=name,
            changes=dict(changes or {}),
        )
    )


def added(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return {field: value} as changes from nothing."""
    return {name: {"from": None, "to": value} for name, value in values.items()}


def from_to(**changes: tuple[object, object]) -> dict[str, Any]:
    """Return field=(before, now) as changes."""
    return {name: {"from": before, "to": now} for name, (before, now) in changes.items()}


def record_person(
    current: Session, actor: Actor, action: str, user: User, **changes: tuple[object, object]
) -> None:
    """Add an entry about a user's account. `changes` is {field: (before, now)}."""
    target = ("person", user.public_id, user.name)
    record(current, actor, action, target=target, changes=from_to(**changes))
