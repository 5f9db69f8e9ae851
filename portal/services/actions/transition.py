"""Lock an asset, check and apply an action, record the change, and publish its event.

Every action passes its own part to `perform`. The change, timeline, audit entry, event, and
deliveries commit together or not at all.
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
    """An asset's fields before and after a change, and its snapshot after it.

    `made` is the return value of the action's `make`. `asset.updated_at` is the time of the change.
    """

    before: Fields
    after: Fields
    asset: AssetSnapshot
    made: Any = None


@dataclass(frozen=True, slots=True)
class Change:
    """The part of a change that is specific to one action.

    `make` changes the locked row and related rows, or refuses. Before it runs, `asset.updated_at`
    and `asset.version` already have their new values. `tell` gets the result of `make` as
    `moved.made` and returns the event's own keys of `data`, which for asset.updated is the object
    concerned. `version` is the version that the person saw, or None to skip the check. `note` goes
    to receivers and the timeline. `remark` and the result of `aside(made)` go to the timeline only.
    With `may_change_nothing`, nothing is published unless the asset's own fields changed.
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
    """Make the change. Return False and publish nothing if it changed nothing.

    Raises `NotFound`, `NotAllowed`, `Stale`, or the action's own `Refusal`. Inside another
    `writing()` it joins that transaction, so that one action can publish two events.
    """
    with writing() as current:
        require(current, actor, RULES[change.action].permission)
        asset = locked_for(current, asset_id, change.action, change.version)
        return follow(current, actor, asset, change)


def follow(current: Session, actor: Actor, asset: Asset, change: Change) -> bool:
    """Make a change on an asset that is already locked and checked. Return False as in `perform`.

    Used directly for the second event of a combined action, which skips the legality table.
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
    """Lock the asset's row. Raises `Refusal` if the action is not legal on it."""
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
    """Record a newly added asset: write its first timeline line and publish its first event."""
    _conclude(current, actor, asset, change, {})


def lock(current: Session, asset_id: int, *, even_deleted: bool = False) -> Asset:
    """Lock the asset's row, so that concurrent changes wait and see each other's result."""
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
