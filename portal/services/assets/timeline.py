"""Write and read an asset's timeline, newest first."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.lib.paging import Page
from portal.models.assets import Activity
from portal.services.core.keyset import newest_first
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session


def write(current: Session, actor: Actor, line: Activity) -> None:
    """Add a line for the actor, in the transaction of the change."""
    line.actor_id, line.actor_name, line.origin = actor.user_id, actor.name, actor.origin
    current.add(line)


def timeline(asset_id: int, cursor: str | None = None, size: int | None = None) -> Page[Activity]:
    query = select(Activity).where(Activity.asset_id == asset_id)
    return newest_first(query, Activity.id, cursor, size)


def latest(asset_id: int, count: int) -> Sequence[Activity]:
    query = select(Activity).where(Activity.asset_id == asset_id)
    return session().scalars(query.order_by(Activity.id.desc()).limit(count)).all()
