"""An asset's timeline: what was done with it, by whom, when; the newest first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events.catalogue import EventName
from portal.lib.paging import Page
from portal.models.assets import Action, Activity
from portal.services.core.keyset import newest_first
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEntry:
    """A line of the timeline without who and when."""

    action: Action | EventName
    status_from: str | None
    status_to: str | None
    changes: Mapping[str, Any]
    note: str
    event_id: int


def write(
    current: Session, actor: Actor, asset_id: int, at: datetime, entry: TimelineEntry
) -> None:
    """Add a line, in the transaction of the change."""
    current.add(
        Activity(
            asset_id=asset_id,
            at=at,
            actor_id=actor.user_id,
            actor_name=actor.name,
            origin=actor.origin,
            action=entry.action,
            status_from=entry.status_from,
            status_to=entry.status_to,
            changes=dict(entry.changes),
            note=entry.note,
            event_id=entry.event_id,
        )
    )


def timeline(asset_id: int, cursor: str | None = None) -> Page[Activity]:
    wanted = select(Activity).where(Activity.asset_id == asset_id)
    return newest_first(wanted, Activity.id, cursor)


def latest(asset_id: int, count: int) -> Sequence[Activity]:
    wanted = select(Activity).where(Activity.asset_id == asset_id)
    return session().scalars(wanted.order_by(Activity.id.desc()).limit(count)).all()
