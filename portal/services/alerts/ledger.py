"""The ledger: an alert fires once for its key, and is over once its matter has passed.

Call these inside `writing()` with the asset's row locked: whoever else fires or changes the same
asset waits for that lock.
"""

from collections.abc import Iterable, Mapping
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
from portal.models.assets import Asset, AssetKind
from portal.models.assignments import Assignment
from portal.models.planning import Maintenance, MaintenanceState
from portal.services import audit
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.kinds import Found, Scanned, judge_stock
from portal.services.alerts.rules import (
    GONE,
    Moment,
    checkout_matter,
    is_low,
    maintenance_matter,
    stock_matter,
    warranty_matter,
)
from portal.services.assets import timeline
from portal.services.assets.snapshots import snapshot
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import insert_or_ignore, writing
from portal.services.outbox.publish import Audience, NewEvent, Published, publish


def fire(
    current: Session, asset: Asset, found: Found, moment: Moment, *, is_sent: bool = True
) -> Audience | None:
    """Enter the alert and tell of it, all in the caller's transaction; who heard of it.

    None: it was there. `is_sent` False enters it alone, as if it had been told already.
    """
    audience = Audience()
    alert_id = _enter(current, asset, found, moment, is_sent)
    if alert_id is None:
        return None
    if found.firing.event is EventName.LOW_STOCK:
        asset.low_stock_alerted_at = moment.now
    if is_sent:
        event_id, audience = _tell(current, asset, found, moment, alert_id)
        current.execute(update(Alert).where(Alert.id == alert_id).values(event_id=event_id))
    if found.firing.reminder:
        _stand_for_earlier(current, asset, found, moment, alert_id)
    return audience


def due(current: Session, scanned: Scanned) -> list[int]:
    """Those things of a chunk whose alerts are not in the ledger yet."""
    firing = {id_: each.key for id_, each in scanned if each is not None}
    if not firing:
        return []
    known = set(
        current.scalars(select(Alert.dedupe_key).where(Alert.dedupe_key.in_(firing.values())))
    )
    return [id_ for id_, key in firing.items() if key not in known]


def settle(current: Session, asset: Asset) -> None:
    """End the alerts of an asset whose matters have passed: returned, done, put off, restocked."""
    standing = select(Alert).where(Alert.asset_id == asset.id, Alert.resolved_at.is_(None))
    alerts = current.scalars(standing).all()
    if alerts:
        matters = set(_matters(current, asset))
        for alert in alerts:
            if alert.matter not in matters:
                alert.resolved_at = asset.updated_at


def details_of(facts: AlertFacts) -> dict[str, Any]:
    """What the ledger keeps of an alert: its event's own keys, as they stand on the wire."""
    details: dict[str, Any] = wire_value(facts)
    return details


def _enter(
    current: Session, asset: Asset, found: Found, moment: Moment, is_sent: bool
) -> int | None:
    row = insert_or_ignore(current.connection())(Alert).values(
        event=found.firing.event,
        asset_id=asset.id,
        maintenance_id=found.maintenance_id,
        assignment_id=found.assignment_id,
        matter=found.firing.matter,
        dedupe_key=found.firing.key,
        fired_at=moment.now,
        is_sent=is_sent,
        details=details_of(found.facts),
    )
    entered = row.on_conflict_do_nothing(index_elements=[Alert.dedupe_key])
    return current.execute(entered.returning(Alert.id)).scalar_one_or_none()


def _tell(current: Session, asset: Asset, found: Found, moment: Moment, alert_id: int) -> Published:
    event = found.firing.event
    data = event_data(
        body.Actor(SYSTEM.kind, SYSTEM.user_id, SYSTEM.name),
        SYSTEM.origin,
        status_from=asset.status,
        status_to=asset.status,
        **alerted(alert_id, found.facts),
    )
    new_event = NewEvent(
        event=event,
        asset_id=asset.id,
        asset=snapshot(asset),
        data=data,
        occurred_at=moment.now,
    )
    published = publish(current, new_event)
    line = timeline.TimelineEntry(
        action=event,
        status_from=asset.status,
        status_to=asset.status,
        changes={},
        note="",
        event_id=published.event_id,
    )
    timeline.write(current, SYSTEM, asset.id, moment.now, line)
    return published


def _stand_for_earlier(
    current: Session, asset: Asset, found: Found, moment: Moment, alert_id: int
) -> None:
    """A reminder takes the place of those before it."""
    earlier = (
        Alert.asset_id == asset.id,
        Alert.resolved_at.is_(None),
        Alert.matter == found.firing.matter,
        Alert.id != alert_id,
    )
    current.execute(update(Alert).where(*earlier).values(resolved_at=moment.now))


def _matters(current: Session, asset: Asset) -> Iterable[str]:
    """Whatever an alert of this asset may still stand for."""
    if asset.deleted_at is not None:
        return
    if asset.warranty_expires is not None and asset.status not in GONE:
        yield warranty_matter(asset.id, asset.warranty_expires)
    if asset.low_stock_alerted_at is not None:
        yield stock_matter(asset.id, asset.low_stock_alerted_at)
    planned = select(Maintenance.id, Maintenance.due_on).where(
        Maintenance.asset_id == asset.id, Maintenance.state == MaintenanceState.SCHEDULED
    )
    for id_, due_on in current.execute(planned):
        yield maintenance_matter(id_, due_on)
    lent = select(Assignment.id, Assignment.due_at).where(
        Assignment.asset_id == asset.id, Assignment.ended_at.is_(None)
    )
    for id_, due_at in current.execute(lent):
        if due_at is not None:
            yield checkout_matter(id_, due_at)


def after_change(current: Session, asset: Asset, before: Mapping[str, Any]) -> None:
    """Low stock is alerted of at once; whatever has passed is over. `before`: blank for a new one.

    The latch opens again when there are enough, or there is no threshold any more.
    """
    if asset.kind == AssetKind.STOCK and asset.deleted_at is None:
        if not is_low(asset.quantity, asset.min_quantity):
            asset.low_stock_alerted_at = None
        elif asset.low_stock_alerted_at is None:
            _alert_of_low_stock(current, asset, before)
    settle(current, asset)


def _alert_of_low_stock(current: Session, asset: Asset, before: Mapping[str, Any]) -> None:
    stored = alert_settings.read_in(current)
    just_now = bool(before) and not is_low(before["quantity"], before["min_quantity"])
    # What was low before anybody decided about alerts belongs to the first question.
    if not (stored.is_answered or just_now):
        return
    moment = alert_settings.moment(asset.updated_at, stored.rules)
    found = judge_stock(current, moment, asset, asset.id)
    if found is not None:
        fire(current, asset, found, moment)


def acknowledge(actor: Actor, public_id: UUID) -> bool:
    """Somebody looks after it; False when somebody did already. Raises `NotFound`."""
    with writing() as current:
        user = require(current, actor, "alerts.acknowledge")
        wanted = select(Alert).where(Alert.public_id == public_id).with_for_update()
        alert = current.scalars(wanted.execution_options(populate_existing=True)).one_or_none()
        if alert is None:
            raise NotFound("There is no such alert.")
        if alert.acknowledged_at is not None:
            return False
        alert.acknowledged_at = common_now()
        alert.acknowledged_by_id = user.id if user else None
        alert.acknowledged_by = actor.name
        name = f"{alert.event} {alert.asset.asset_tag}"
        audit.record(current, actor, "alert.acknowledged", target=("alert", public_id, name))
        return True
