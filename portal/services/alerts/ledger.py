"""Record alerts in the ledger. An alert fires once per key and resolves when its matter passes.

Except for `acknowledge`, all functions that write run inside `writing()` with the asset's row
locked. Concurrent runs and changes of the same asset wait for that lock.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.engine.events import body
from portal.engine.events.body import event_data, wire_value
from portal.engine.events.catalogue import EventName
from portal.engine.events.details import AlertFacts, alerted
from portal.lib.clock import common_now
from portal.models.alerts import Alert
from portal.models.assets import Activity, Asset, AssetKind
from portal.services import audit
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import KINDS, DueAlert, Scanned, decide_stock
from portal.services.alerts.rules import Firing, Moment, is_low
from portal.services.assets import timeline
from portal.services.assets.snapshots import snapshot
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import insert_or_ignore, writing
from portal.services.outbox.publish import Audience, NewEvent, Published, publish


def fire(
    current: Session, asset: Asset, alert: DueAlert, moment: Moment, *, is_sent: bool = True
) -> Audience | None:
    """Enter the alert and publish its event. Return its audience, or None if already entered.

    With `is_sent` False, the alert is entered as already sent, without an event.
    """
    audience = Audience()
    alert_id = _enter(current, asset, alert, moment, is_sent)
    if alert_id is None:
        return None
    if alert.firing.event is EventName.LOW_STOCK:
        asset.low_stock_alerted_at = moment.now
    if is_sent:
        event_id, audience = _publish(current, asset, alert, moment, alert_id)
        current.execute(update(Alert).where(Alert.id == alert_id).values(event_id=event_id))
    if alert.firing.reminder:
        _resolve_earlier(current, asset, alert, moment, alert_id)
    return audience


def due(current: Session, scanned: Scanned) -> list[int]:
    """Return the ids in a chunk whose firing alerts are not in the ledger yet."""
    keys = {id_: firing.key for id_, firing in scanned if isinstance(firing, Firing)}
    if not keys:
        return []
    known = current.scalars(select(Alert.dedupe_key).where(Alert.dedupe_key.in_(keys.values())))
    entered = set(known)
    return [id_ for id_, key in keys.items() if key not in entered]


def settle(current: Session, asset: Asset) -> None:
    """Resolve the asset's alerts whose matter has passed: returned, done, postponed, restocked."""
    unresolved = select(Alert).where(Alert.asset_id == asset.id, Alert.resolved_at.is_(None))
    alerts = current.scalars(unresolved).all()
    if not alerts:
        return
    kinds = KINDS if asset.deleted_at is None else ()
    matters = {matter for kind in kinds for matter in kind.matters(current, asset)}
    for alert in alerts:
        if alert.matter not in matters:
            alert.resolved_at = asset.updated_at


def details_of(facts: AlertFacts) -> dict[str, Any]:
    """Return an alert's facts as stored in the ledger, which are its event's own keys."""
    details: dict[str, Any] = wire_value(facts)
    return details


def after_change(current: Session, asset: Asset, before: Mapping[str, Any]) -> None:
    """Fire a low-stock alert immediately and resolve past alerts. `before` is empty for new assets.

    Low stock can fire again after the stock was sufficient or had no threshold.
    """
    if asset.kind == AssetKind.STOCK and asset.deleted_at is None:
        if not is_low(asset.quantity, asset.min_quantity):
            asset.low_stock_alerted_at = None
        elif asset.low_stock_alerted_at is None:
            _alert_of_low_stock(current, asset, before)
    settle(current, asset)


def acknowledge(actor: Actor, public_id: UUID) -> bool:
    """Acknowledge an alert. Return False if it already was. Raises `NotFound`."""
    with writing() as current:
        user = require(current, actor, "alerts.acknowledge")
        locked = select(Alert).where(Alert.public_id == public_id).with_for_update()
        alert = current.scalars(locked.execution_options(populate_existing=True)).one_or_none()
        if alert is None:
            raise NotFound("This alert doesn’t exist.")
        if alert.acknowledged_at is not None:
            return False
        alert.acknowledged_at = common_now()
        alert.acknowledged_by_id = user.id if user else None
        alert.acknowledged_by = actor.name
        name = f"{alert.event} {alert.asset.asset_tag}"
        audit.record(current, actor, "alert.acknowledged", target=("alert", public_id, name))
        return True


def _enter(
    current: Session, asset: Asset, alert: DueAlert, moment: Moment, is_sent: bool
) -> int | None:
    row = insert_or_ignore(current.connection())(Alert).values(
        event=alert.firing.event,
        asset_id=asset.id,
        maintenance_id=alert.maintenance_id,
        assignment_id=alert.assignment_id,
        matter=alert.firing.matter,
        dedupe_key=alert.firing.key,
        fired_at=moment.now,
        is_sent=is_sent,
        details=details_of(alert.facts),
        mailed_at=None if is_sent else moment.now,
    )
    entered = row.on_conflict_do_nothing(index_elements=[Alert.dedupe_key])
    return current.execute(entered.returning(Alert.id)).scalar_one_or_none()


def _publish(
    current: Session, asset: Asset, alert: DueAlert, moment: Moment, alert_id: int
) -> Published:
    event = alert.firing.event
    data = event_data(
        body.Actor(SYSTEM.kind, SYSTEM.user_id, SYSTEM.name),
        SYSTEM.origin,
        status_from=asset.status,
        status_to=asset.status,
        **alerted(alert_id, alert.facts),
    )
    new_event = NewEvent(
        event=event,
        asset_id=asset.id,
        asset=snapshot(asset),
        data=data,
        occurred_at=moment.now,
    )
    published = publish(current, new_event)
    line = Activity(
        asset_id=asset.id,
        at=moment.now,
        action=event,
        status_from=asset.status,
        status_to=asset.status,
        event_id=published.event_id,
    )
    timeline.write(current, SYSTEM, line)
    return published


def _resolve_earlier(
    current: Session, asset: Asset, alert: DueAlert, moment: Moment, alert_id: int
) -> None:
    """Resolve the earlier alerts that a reminder replaces."""
    earlier = (
        Alert.asset_id == asset.id,
        Alert.resolved_at.is_(None),
        Alert.matter == alert.firing.matter,
        Alert.id != alert_id,
    )
    current.execute(update(Alert).where(*earlier).values(resolved_at=moment.now))


def _alert_of_low_stock(current: Session, asset: Asset, before: Mapping[str, Any]) -> None:
    stored = alert_settings.read()
    just_now = bool(before) and not is_low(before["quantity"], before["min_quantity"])
    # Until the first question is answered, stock that was already low is part of that question.
    if not (stored.is_answered or just_now):
        return
    moment = alert_settings.moment(asset.updated_at, stored.rules)
    alert = decide_stock(current, moment, asset, asset.id)
    if alert is not None:
        fire(current, asset, alert, moment)
