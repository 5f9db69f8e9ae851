"""Deciding one by one about what was held while a webhook was off."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, func, select, union_all, update
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, DeliveryStatus, Priority, has_no_live_lease, is_open
from portal.models.webhooks import Webhook, WebhookState
from portal.services import audit
from portal.services.core import queries
from portal.services.core.permissions import Actor, require
from portal.services.core.queries import capped
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, notify, session, writing
from portal.services.outbox.due import head_of, refuse_while_stopped
from portal.services.webhooks.activation import (
    HeldChoice,
    hold_open,
    record_decided,
    set_on,
    settle_held,
)
from portal.services.webhooks.rows import find_webhook, lock_webhook, target_of

CHUNK: Final = 500
NEWER: Final = (
    "More happened while you were choosing. It is on the list now: look at it, then turn it on."
)


class Rest(StrEnum):
    """What becomes of those that were not chosen."""

    KEEP = "keep"
    DISCARD = "discard"


class Seen(NamedTuple):
    """What was held when the person looked: the row id of the newest, and how many they were."""

    newest: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDecision:
    """`send`: public ids of deliveries. `seen`: what the person could have looked at."""

    send: Collection[UUID]
    rest: Rest
    seen: Seen


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it, by the webhook's name."""

    name: str
    sent: int
    discarded: int


def look(public_id: UUID) -> Seen:
    """What is held now. Reads only."""
    current = session()
    return _look(current, find_webhook(current, public_id).id)


def decide(actor: Actor, public_id: UUID, choice: HeldDecision) -> Decided:
    """Send the chosen ones, discard or keep the rest, and turn the webhook on: all at once.

    Raises `Refusal` when something was held that the person has not seen: the webhook stays as it
    is, so that nothing goes ahead of it, and nothing is discarded with it. It may be older than
    what was seen: it was being sent when the webhook was turned off, and did not arrive. Nothing
    is chosen to be sent while all sending is stopped, either.
    """
    with writing() as current:
        require(current, actor, "webhooks.switch")
        if choice.send:
            refuse_while_stopped()
        webhook = lock_webhook(current, public_id)
        hold_open(current, webhook.id, every=True)
        now = _look(current, webhook.id)
        if now.newest > choice.seen.newest or now.total > choice.seen.total:
            raise Refusal(NEWER)
        was_off = webhook.state == WebhookState.OFF
        set_on(webhook)
        sent = sum(
            settle_held(current, webhook.id, HeldChoice.SEND, actor, Delivery.public_id.in_(some))
            for some in _chunks(choice.send)
        )
        discarded = 0
        if choice.rest is Rest.DISCARD:
            discarded = settle_held(current, webhook.id, HeldChoice.DISCARD, actor)
        counts = {HeldChoice.SEND: sent, HeldChoice.DISCARD: discarded}
        record_decided(current, actor, webhook, was_off, counts)
        return Decided(webhook.name, sent, discarded)


def _chunks(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    every = sorted(ids)
    yield from (every[start : start + CHUNK] for start in range(0, len(every), CHUNK))


def _look(current: Session, webhook_id: int) -> Seen:
    held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.HELD)
    row = current.execute(select(func.max(Delivery.id), func.count()).where(*held)).one()
    return Seen(row[0] or 0, row[1])


# What a receiver that has just recovered gets at once is spread over this, lest it falls again.
SPREAD: Final = timedelta(minutes=1)
SENT: Final = "webhook.waiting_sent"


def waiting_for_later(
    webhook_id: int, now: datetime, status: ColumnElement[str] | None = None
) -> list[ColumnElement[bool]]:
    """Its deliveries that wait for a retry which the schedule has set for later. `status`: in other
    words, where its index should not be used."""
    status = Delivery.status.expression if status is None else status
    return [
        Delivery.webhook_id == webhook_id,
        is_open(),
        status == DeliveryStatus.RETRYING,
        Delivery.due_at > now + SPREAD,
        has_no_live_lease(now),
    ]


def count_waiting(current: Session, webhook: Webhook) -> int:
    """How many a person may send now (`capped`): none while it fails, is off, or sends them."""
    is_well = webhook.state == WebhookState.ACTIVE and not webhook.failures_in_row
    if not is_well or webhook.reopened_at is not None:
        return 0
    # Along the index of what is due, from that time on: what is due sooner is not read.
    status = func.coalesce(Delivery.status, Delivery.status)
    later = select(Delivery.id).where(
        *waiting_for_later(webhook.id, database_time(current), status)
    )
    most = queries.COUNT_LIMIT + 1
    walks = (later.where(Delivery.priority == each).limit(most) for each in Priority)
    every = union_all(*(select(walk.subquery()) for walk in walks)).subquery()
    return capped(current, select(every))


def send_waiting(actor: Actor, public_id: UUID) -> int:
    """Have what waits for a retry go within a minute; return how many. Raises `Refusal`.

    Twice does no harm: the second finds none left, or those of the first on their way.
    """
    with writing() as current:
        require(current, actor, "deliveries.retry")
        webhook = lock_webhook(current, public_id)
        if webhook.state != WebhookState.ACTIVE:
            raise Refusal("This webhook is off. What waits can be sent once it is on.")
        refuse_while_stopped()
        count = count_waiting(current, webhook)
        if count:
            reopen(current.connection(), webhook.id, webhook.in_order, database_time(current))
            changes = {"deliveries": {"from": None, "to": count}}
            audit.record(current, actor, SENT, target=target_of(webhook), changes=changes)
            notify(current)
        return count


def reopen(connection: Connection, webhook_id: int, in_order: bool, now: datetime) -> None:
    """The receiver is well again: what waits for a retry goes soon, in order the head at once."""
    if in_order:
        connection.execute(
            update(Delivery)
            .where(Delivery.id == head_of(webhook_id), Delivery.due_at > now)
            .values(due_at=now)
        )
        return
    connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(reopened_at=now))
