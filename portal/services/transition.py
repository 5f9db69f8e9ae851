"""The one way in which an asset changes: lock, check, change, write it down, tell of it.

Every action of the register hands its own part to `perform`; the rest is the same for all. Change,
timeline, audit, event and deliveries commit together or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from portal.delivery import payload
from portal.delivery.payload import AssetSnapshot, event_data
from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.services import audit, timeline
from portal.services.legality import RULES, Action
from portal.services.obstacles import why_not
from portal.services.outbox import Happening, publish
from portal.services.permissions import Actor, require
from portal.services.refusals import NotFound, Refusal, Stale
from portal.services.snapshots import fields_of, snapshot
from portal.services.unit import writing

Fields = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Moved:
    """An asset before and after a change: its fields, and the snapshot after it."""

    before: Fields
    after: Fields
    asset: AssetSnapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One action's own part.

    `make` changes the locked row, or refuses; `tell` gives the event's own keys of `data`.
    `version` is the one that the person saw; None where it does not matter. `note` goes to
    receivers and timeline, `remark` to the timeline alone.
    """

    action: Action
    make: Callable[[Session, Asset], None]
    tell: Callable[[Moved], Mapping[str, Any]]
    version: int | None = None
    note: str = ""
    remark: str = ""


def perform(actor: Actor, asset_id: int, change: Change) -> bool:
    """Make the change. False when it left everything as it was: then nothing is told either.

    Raises `NotFound`, `NotAllowed`, `Stale`, or the refusal of the action itself.
    """
    with writing() as current:
        require(current, actor, RULES[change.action].permission)
        asset = lock(current, asset_id)
        _check(asset, change)
        before = fields_of(asset)
        change.make(current, asset)
        current.flush()
        if fields_of(asset) == before:
            return False
        asset.version += 1
        asset.updated_at = utcnow()
        _conclude(current, actor, asset, change, before)
        return True


def begin(current: Session, actor: Actor, asset: Asset, change: Change) -> None:
    """Tell of an asset that was just added: the first line of its timeline, its first event."""
    _conclude(current, actor, asset, change, {})


def lock(current: Session, asset_id: int) -> Asset:
    """The asset's row for update: whoever comes second waits, and sees what the first did."""
    asset = current.get(Asset, asset_id, with_for_update=True)
    if asset is None:
        raise NotFound("There is no such asset.")
    if asset.deleted_at is not None:
        raise NotFound(f"{asset.asset_tag} has been deleted.")
    return asset


def _check(asset: Asset, change: Change) -> None:
    if change.version is not None and change.version != asset.version:
        raise Stale(f"{asset.asset_tag} was changed since you opened it.")
    obstacle = why_not(change.action, asset.status, asset.kind)
    if obstacle:
        raise Refusal(f"{asset.asset_tag} {obstacle}")


def _conclude(current: Session, actor: Actor, asset: Asset, change: Change, before: Fields) -> None:
    current.flush()
    moved = Moved(before, fields_of(asset), snapshot(asset))
    differences = payload.changes(before, moved.after)[1] if before else {}
    status_from, status_to = before.get("status"), None if asset.deleted_at else asset.status
    data = event_data(
        payload.Actor(actor.kind, actor.user_id, actor.name),
        actor.origin,
        status_from=status_from,
        status_to=status_to,
        note=change.note,
        **change.tell(moved),
    )
    entry = timeline.Entry(
        action=change.action,
        status_from=status_from,
        status_to=status_to,
        changes=differences,
        note=change.note or change.remark,
        event_id=_publish(current, asset, moved.asset, change.action, data),
    )
    timeline.write(current, actor, asset.id, asset.updated_at, entry)
    _audit(current, actor, asset, change.action, differences)


def _publish(
    current: Session, asset: Asset, seen: AssetSnapshot, action: Action, data: Mapping[str, Any]
) -> int:
    happening = Happening(
        event=RULES[action].event,
        asset_id=None if asset.deleted_at else asset.id,
        asset=seen,
        data=data,
        occurred_at=asset.updated_at,
    )
    return publish(current, happening)


def _audit(
    current: Session, actor: Actor, asset: Asset, action: Action, differences: Fields
) -> None:
    target = ("asset", asset.id, f"{asset.asset_tag} {asset.name}")
    audit.record(current, actor, RULES[action].event, target=target, changes=differences)
