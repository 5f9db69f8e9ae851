"""The outbox, which stores an event and its deliveries in the transaction of the change."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Insert,
    Integer,
    Row,
    Select,
    String,
    Uuid,
    bindparam,
    insert,
    literal_column,
    or_,
    select,
)
from sqlalchemy.orm import Session

from portal.database.engine import UtcDateTime
from portal.engine.conditions.facts import facts_of
from portal.engine.conditions.predicate import are_met
from portal.engine.events.body import AssetSnapshot, build_body
from portal.engine.events.catalogue import EventName
from portal.extensions import Base, settings
from portal.lib.ids import public_id
from portal.models.deliveries import Delivery, DeliveryStatus, Event, Priority
from portal.models.webhooks import ALL_EVENTS, Webhook, WebhookEvent, WebhookKind, WebhookState
from portal.services.core.queries import Rowset, as_json
from portal.services.core.unit_of_work import database_time, notify

LISTENING = (WebhookState.ACTIVE, WebhookState.OFF)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEvent:
    """An event before it is stored. `asset_id` is None once the asset is deleted."""

    event: EventName
    asset_id: int | None
    asset: AssetSnapshot
    data: Mapping[str, Any]
    occurred_at: datetime


class Audience(NamedTuple):
    """The numbers of webhooks that an event is sent to, held for, or kept from by conditions.
    `inbox`: the number of built-in inboxes that it is sent to."""

    sent: int = 0
    held: int = 0
    kept: int = 0
    inbox: int = 0


class Published(NamedTuple):
    """A stored event's row id and its audience."""

    event_id: int
    audience: Audience


def publish(current: Session, new_event: NewEvent) -> Published:
    """Store the event with its frozen body, create its deliveries, and notify the senders."""
    body = build_body(
        new_event.event,
        occurred_at=new_event.occurred_at,
        source=settings().webhook_source,
        asset_id=new_event.asset_id,
        asset=new_event.asset,
        data=new_event.data,
    )
    event = Event(
        event=new_event.event,
        asset_id=new_event.asset.id,
        asset_tag=new_event.asset.asset_tag,
        asset_name=new_event.asset.name,
        occurred_at=new_event.occurred_at,
        body=body,
    )
    current.add(event)
    current.flush()
    return Published(event.id, _fan_out(current, event))


def audience_of(current: Session, event: str) -> Audience:
    """Return the largest possible audience of this event now. `kept` counts webhooks with
    conditions."""
    subscribers = _subscribers(current, event)
    narrowed = sum(row.conditions is not None for row in subscribers)
    return _audience(subscribers, {row.id: row.state for row in subscribers}, narrowed)


def _audience(found: Sequence["Subscriber"], states: Mapping[int, str], kept: int) -> Audience:
    sent = {id_ for id_, state in states.items() if state == WebhookState.ACTIVE}
    inbox = sum(row.kind == WebhookKind.INBOX and row.id in sent for row in found)
    return Audience(len(sent) - inbox, len(states) - len(sent), kept, inbox)


Subscriber = Row[int, str, bool, str | None, str]


def _subscribers(current: Session, event: str) -> Sequence[Subscriber]:
    return current.execute(_subscribed(), {"event": event}).all()


@cache
def _subscribed() -> Select[int, str, bool, str | None, str]:
    event = bindparam("event", type_=String())
    return (
        select(Webhook.id, Webhook.state, Webhook.in_order, Webhook.conditions, Webhook.kind)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(
            or_(WebhookEvent.event == event, WebhookEvent.event == ALL_EVENTS),
            Webhook.state.in_(LISTENING),
            Webhook.deleted_at.is_(None),
        )
        .order_by(Webhook.id)
    )


def _fan_out(current: Session, event: Event) -> Audience:
    """Create one delivery per subscriber, due at once, or on hold if the webhook is off."""
    subscribers = _subscribers(current, event.event)
    recipients = _meeting(subscribers, event.body)
    kept = len(subscribers) - len(recipients)
    if not recipients:
        return Audience(kept=kept)
    states = _locked_states(current, recipients)
    rows = [
        {
            "public_id": public_id(),
            "webhook_id": webhook_id,
            "status": DeliveryStatus.QUEUED if state == "active" else DeliveryStatus.ON_HOLD,
        }
        for webhook_id, state in states.items()
    ]
    now = database_time(current)
    values = {
        "rows": as_json(rows),
        "event_id": event.id,
        "event": event.event,
        "asset_id": event.asset_id,
        "due_at": now,
        "created_at": now,
    }
    current.execute(_store_deliveries(current.connection().dialect.name), values)
    notify(current)
    return _audience(recipients, states, kept)


def _meeting(subscribers: Sequence[Subscriber], body: bytes) -> Sequence[Subscriber]:
    """Leave out subscribers whose conditions the event does not meet. This is checked only once."""
    if all(row.conditions is None for row in subscribers):
        return subscribers
    facts = facts_of(body)
    return [row for row in subscribers if are_met(row.conditions, facts)]


@cache
def _store_deliveries(dialect: str) -> Insert:
    """Insert all deliveries in one statement, which binds shared values once."""
    rowset = Rowset(dialect, public_id=Uuid(), webhook_id=Integer(), status=String())
    values: dict[str, Any] = {
        **{name: rowset[name] for name in ("public_id", "webhook_id", "status")},
        "event_id": bindparam("event_id", type_=BigInteger()),
        "event": bindparam("event", type_=String()),
        "asset_id": bindparam("asset_id", type_=Integer()),
        "due_at": bindparam("due_at", type_=UtcDateTime()),
        "created_at": bindparam("created_at", type_=UtcDateTime()),
        "priority": literal_column(str(int(Priority.NORMAL))),
        "tries": literal_column("0"),
        "attempts": literal_column("0"),
    }
    rows = select(*values.values()).select_from(rowset.source)
    table = Base.metadata.tables[Delivery.__tablename__]
    return insert(table).from_select(list(values), rows, include_defaults=False)


def _locked_states(current: Session, subscribers: Sequence[Subscriber]) -> dict[int, str]:
    """Return each webhook's state by id. It can no longer change in a harmful way.

    Transactions that store an event for an ordered webhook wait here for each other. So ids follow
    the order of commits, and "oldest" means the same everywhere. All ordered webhooks are locked
    together, because two transactions with several events each could otherwise deadlock. Nobody can
    turn on a webhook while a held delivery is stored for it, because that delivery would stay
    behind.
    """
    states = {row.id: row.state for row in subscribers}
    in_order = {row.id for row in subscribers if row.in_order}
    off = {webhook_id for webhook_id, state in states.items() if state == WebhookState.OFF}
    if in_order:
        listens = Webhook.state.in_(LISTENING) & Webhook.deleted_at.is_(None)
        every = _wanted(Webhook.in_order.is_(True), listens).with_for_update(key_share=True)
        rows = current.execute(every)
        states |= {row.id: row.state for row in rows if row.id in in_order}
    if others := off - in_order:
        shared = _wanted(Webhook.id.in_(others)).with_for_update(read=True)
        states |= {row.id: row.state for row in current.execute(shared)}
    return states


def _wanted(*conditions: ColumnElement[bool]) -> Select[int, str]:
    return select(Webhook.id, Webhook.state).where(*conditions).order_by(Webhook.id)
