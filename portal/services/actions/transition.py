"""The one way in which an asset changes: lock, check, change, write it down, tell of it.

Every action of the register hands its own part to `perform`; the rest is the same for all. Change,
timeline, audit, event and deliveries commit together or not at all.
"""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Any

from sqlalchemy.orm import Session

from portal.engine.events import body, details
from portal.engine.events.body import AssetSnapshot, event_data
from portal.engine.events.details import data_of
from portal.lib.clock import common_now
from portal.models.assets import Action, Activity, Asset
from portal.services import audit
from portal.services.actions.rules import RULES, is_legal, why_not
from portal.services.alerts import ledger
from portal.services.assets import timeline
from portal.services.assets.snapshots import fields_of, open_assignment, snapshot
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal, Stale
from portal.services.core.unit_of_work import writing
from portal.services.outbox.publish import NewEvent, publish

Fields = Mapping[str, Any]
Make = Callable[[Session, Asset], object]


@dataclass(frozen=True, slots=True)
class Moved:
    """An asset before and after a change: its fields, and the snapshot after it.

    `made` is what the action's `make` returned; `asset.updated_at` is when it happened.
    """

    before: Fields
    after: Fields
    asset: AssetSnapshot
    made: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """One action's own part.

    `make` changes the locked row and whatever belongs to it, or refuses; `asset.updated_at` is
    already the time at which it happens, `asset.version` the next one. What it returns reaches
    `tell` as `moved.made`; `tell` gives the event's own keys of `data`, of an asset.updated the
    object concerned. `version` is the one that the person saw; None where it does not matter.
    `note` goes to receivers and timeline, `remark` to the timeline alone, and what `aside` says of
    what `make` returned. `may_change_nothing`: then it is told only if the asset's own fields
    changed.
    """

    action: Action
    make: Make
    tell: Callable[[Moved], Mapping[str, Any]] = lambda _moved: {}
    _: KW_ONLY
    version: int | None = None
    note: str = ""
    remark: str = ""
    aside: Callable[[Any], str] = lambda _made: ""
    may_change_nothing: bool = False


def perform(actor: Actor, asset_id: int, change: Change) -> bool:
    """Make the change. False when it left everything as it was: then nothing is told either.

    Raises `NotFound`, `NotAllowed`, `Stale`, or the refusal of the action itself. Inside another
    `writing()` it joins that transaction: so that an action can be told as two.
    """
    with writing() as current:
        require(current, actor, RULES[change.action].permission)
        asset = locked_for(current, asset_id, change.action, change.version)
        return follow(current, actor, asset, change)


def follow(current: Session, actor: Actor, asset: Asset, change: Change) -> bool:
    """Make a change of an asset that is locked and found fit for it; False as in `perform`.

    For the second event of a named double, whatever the table says of it alone.
    """
    before = fields_of(asset)
    asset.updated_at, asset.version = common_now(), asset.version + 1
    made = change.make(current, asset)
    current.flush()
    if change.may_change_nothing and not body.changes(before, fields_of(asset))[0]:
        asset.updated_at, asset.version = before["updated_at"], before["version"]
        return False
    _conclude(current, actor, asset, change, before, made)
    return True


def locked_for(
    current: Session, asset_id: int, action: Action, version: int | None = None
) -> Asset:
    """Lock the asset's row. Refuses an action that is not legal on it."""
    asset = lock(current, asset_id, even_deleted=RULES[action].on_deleted)
    if version is not None and version != asset.version:
        raise Stale(f"{asset.asset_tag} changed after you opened it.")
    deleted = asset.deleted_at is not None
    if not is_legal(action, asset.status, asset.kind, deleted=deleted):
        held = open_assignment(asset.id)
        holder = held.staff.name if held else None
        words = why_not(action, asset.status, asset.kind, deleted=deleted, holder=holder)
        raise Refusal(f"{asset.asset_tag} {words}")
    return asset


def begin(current: Session, actor: Actor, asset: Asset, change: Change) -> None:
    """Tell of an asset that was just added: the first line of its timeline, its first event."""
    _conclude(current, actor, asset, change, {})


def lock(current: Session, asset_id: int, *, even_deleted: bool = False) -> Asset:
    """Lock the asset's row: whoever comes second waits, and sees what the first did."""
    asset = current.get(Asset, asset_id, with_for_update=True)
    if asset is None:
        raise NotFound("This asset doesn’t exist.")
    if asset.deleted_at is not None and not even_deleted:
        raise NotFound(f"{asset.asset_tag} was deleted.")
    return asset


def _conclude(
    current: Session,
    actor: Actor,
    asset: Asset,
    change: Change,
    before: Fields,
    made: object = None,
) -> None:
    current.flush()
    seen = snapshot(asset)
    moved = Moved(before, fields_of(asset, seen), seen, made)
    differences = body.changes(before, moved.after)[1] if before else {}
    status_from = None if before.get("deleted_at") else before.get("status")
    status_to = None if asset.deleted_at else asset.status
    data = event_data(
        body.Actor(actor.kind, actor.wire_id, actor.name),
        actor.origin,
        batch_id=actor.batch_id,
        status_from=status_from,
        status_to=status_to,
        note=change.note,
        **_details(change, moved),
    )
    line = Activity(
        asset_id=asset.id,
        at=asset.updated_at,
        action=change.action,
        status_from=status_from,
        status_to=status_to,
        changes=differences,
        note=". ".join(filter(None, (change.remark, change.note, change.aside(made)))),
        event_id=_publish(current, asset, moved.asset, change.action, data),
    )
    timeline.write(current, actor, line)
    _audit(current, actor, asset, change.action, differences)
    ledger.after_change(current, asset, before)


def _details(change: Change, moved: Moved) -> Mapping[str, Any]:
    reason, facts = RULES[change.action].reason, change.tell(moved)
    return details.updated(reason, moved.before, moved.after, **facts) if reason else facts


def made_facts(moved: Moved) -> Mapping[str, Any]:
    return data_of(moved.made)


def _publish(
    current: Session, asset: Asset, seen: AssetSnapshot, action: Action, data: Mapping[str, Any]
) -> int:
    new_event = NewEvent(
        event=RULES[action].event,
        asset_id=None if asset.deleted_at else asset.id,
        asset=seen,
        data=data,
        occurred_at=asset.updated_at,
    )
    return publish(current, new_event).event_id


def _audit(
    current: Session, actor: Actor, asset: Asset, action: Action, differences: Fields
) -> None:
    target = ("asset", asset.id, f"{asset.asset_tag} {asset.name}")
    audit.record(current, actor, RULES[action].event, target=target, changes=differences)
