"""Decide about deliveries on hold, one by one, and send waiting ones after a fix."""

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
from portal.services.core.queries import capped, up_to
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, notify, session, writing
from portal.services.outbox.claimable import head_of, refuse_while_stopped
from portal.services.webhooks.rows import find_webhook, lock_webhook, target_of
from portal.services.webhooks.turn_on_off import (
    TurnedOn,
    hold_open,
    record_turned_on,
    send_held,
    set_on,
)

CHUNK: Final = 500
# Deliveries to a receiver that just recovered are spread over this, so that it does not fail again.
SPREAD: Final = timedelta(minutes=1)
SENT: Final = "webhook.waiting_sent"
NEWER: Final = (
    "New events arrived while you were choosing. Review the updated list, then turn on the webhook."
)


class Rest(StrEnum):
    """Choices for held deliveries that were not selected."""

    KEEP = "keep"
    DISMISS = "dismiss"


class Seen(NamedTuple):
    """The newest row id and the number of held deliveries when the person looked."""

    newest: int
    total: int


class Held(NamedTuple):
    """A webhook with deliveries on hold. `many` is `capped`. `oldest_at`: the oldest one's
    creation."""

    public_id: UUID
    name: str
    is_off: bool
    off_at: datetime | None
    off_until: datetime | None
    many: int
    oldest_at: datetime


def held_at(apart: Collection[int]) -> list[Held]:
    """Return the webhooks with deliveries on hold, without these row IDs, the largest first."""
    is_held = Delivery.webhook_id == Webhook.id, Delivery.status == DeliveryStatus.ON_HOLD
    rows = select(Delivery.id).where(*is_held).correlate(Webhook)
    first = select(Delivery.created_at).where(*is_held).order_by(Delivery.id).limit(1)
    oldest_at = first.correlate(Webhook).scalar_subquery()
    statement = select(
        Webhook.public_id,
        Webhook.name,
        Webhook.state == WebhookState.OFF,
        Webhook.off_at,
        Webhook.off_until,
        up_to(rows),
        oldest_at,
    ).where(Webhook.deleted_at.is_(None), oldest_at.is_not(None), Webhook.id.not_in(apart))
    found = [Held(*row) for row in session().execute(statement)]
    return sorted(found, key=lambda held: (-held.many, held.name))


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDecision:
    """A decision about held deliveries. `send`: public ids. `seen`: the list as the person saw
    it."""

    send: Collection[UUID]
    rest: Rest
    seen: Seen


class Resumed(NamedTuple):
    """The number to be sent (`capped`). `has_probe`: one goes first as a probe."""

    total: int
    has_probe: bool


def count_seen(public_id: UUID) -> Seen:
    """Count the deliveries held now. Reads only."""
    current = session()
    return _count_held(current, find_webhook(current, public_id).id)


def decide(actor: Actor, public_id: UUID, choice: HeldDecision) -> TurnedOn:
    """Turn the webhook on and send the chosen deliveries. The rest stays on hold.

    Raises `Refusal`, and changes nothing, if the person has not seen a held delivery. It can also
    be older than those seen, if it was being sent when the webhook was turned off, and failed.
    Raises `SendingStopped` if any delivery is to be sent.
    """
    with writing() as current:
        require(current, actor, "webhooks.switch")
        if choice.send:
            refuse_while_stopped()
        webhook = lock_webhook(current, public_id)
        hold_open(current, webhook.id, every=True)
        now = _count_held(current, webhook.id)
        if now.newest > choice.seen.newest or now.total > choice.seen.total:
            raise Refusal(NEWER)
        was_off = webhook.state == WebhookState.OFF
        set_on(webhook)
        sent = sum(
            send_held(current, webhook.id, Delivery.public_id.in_(ids))
            for ids in _chunks(choice.send)
        )
        return record_turned_on(current, actor, webhook, was_off, sent)


def _chunks(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    ordered = sorted(ids)
    yield from (ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK))


def _count_held(current: Session, webhook_id: int) -> Seen:
    held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.ON_HOLD)
    row = current.execute(select(func.max(Delivery.id), func.count()).where(*held)).one()
    return Seen(row[0] or 0, row[1])


def waiting_for_later(
    webhook_id: int, now: datetime, status: ColumnElement[str] | None = None
) -> list[ColumnElement[bool]]:
    """Return the conditions of a webhook's deliveries with a retry due later.

    `status`: another expression for the column, if its index should not be used.
    """
    status = Delivery.status.expression if status is None else status
    return [
        Delivery.webhook_id == webhook_id,
        is_open(),
        status == DeliveryStatus.RETRYING,
        Delivery.due_at > now + SPREAD,
        has_no_live_lease(now),
    ]


def count_waiting(current: Session, webhook: Webhook) -> int:
    """Count the deliveries that a person can send now (`capped`).

    During a backoff, these are all that wait for its end. For a healthy receiver, these are later
    retries. Otherwise, there are none.
    """
    now = database_time(current)
    is_paused = _is_paused(webhook, now)
    is_well = not webhook.failures_in_row and webhook.reopened_at is None
    if webhook.state != WebhookState.ACTIVE or not (is_paused or is_well):
        return 0
    if is_paused:
        priorities = [Priority.NORMAL, Priority.BULK]  # tests and people's Retries do not wait
        waiting = [Delivery.webhook_id == webhook.id, is_open(), has_no_live_lease(now)]
    else:
        priorities = list(Priority)
        # By the index of due times, from that time on, so that earlier ones are not read.
        status = func.coalesce(Delivery.status, Delivery.status)
        waiting = waiting_for_later(webhook.id, now, status)
    found = select(Delivery.id).where(*waiting).order_by(Delivery.due_at)
    found = found.limit(queries.COUNT_LIMIT + 1)
    scans = (found.where(Delivery.priority == priority) for priority in priorities)
    union = union_all(*(select(scan.subquery()) for scan in scans)).subquery()
    return capped(current, select(union))


def _is_paused(webhook: Webhook, now: datetime) -> bool:
    return webhook.backoff_until is not None and webhook.backoff_until > now


def resume(actor: Actor, public_id: UUID) -> Resumed:
    """End the backoff of a receiver, and send its waiting deliveries and later retries soon.

    They go within a minute. Raises `Refusal`. After a backoff, one delivery still goes first as a
    probe. While it fails, the others use up no attempt.
    """
    with writing() as current:
        require(current, actor, "deliveries.retry")
        webhook = lock_webhook(current, public_id)
        if webhook.state != WebhookState.ACTIVE:
            raise Refusal("This webhook is off. Turn it on to send deliveries.")
        refuse_while_stopped()
        count = count_waiting(current, webhook)
        if count:
            now = database_time(current)
            webhook.backoff_until = None
            current.flush()
            reopen(current.connection(), webhook.id, webhook.in_order, now)
            changes = {"deliveries": {"from": None, "to": count}}
            audit.record(current, actor, SENT, target=target_of(webhook), changes=changes)
            notify(current)
        return Resumed(count, webhook.throttled)


def reopen(connection: Connection, webhook_id: int, in_order: bool, now: datetime) -> None:
    """Send retries soon, because the receiver has recovered. In order, the head goes at once."""
    if in_order:
        connection.execute(
            update(Delivery)
            .where(Delivery.id == head_of(webhook_id), Delivery.due_at > now)
            .values(due_at=now)
        )
        return
    connection.execute(update(Webhook).where(Webhook.id == webhook_id).values(reopened_at=now))
