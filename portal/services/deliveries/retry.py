"""Retry or resend one delivery for a person.

The webhook's row is locked before the delivery's, as everywhere. Nothing is sent here. The row
becomes due, and the senders are notified.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select, update
from sqlalchemy.orm import Session

from portal.models.deliveries import (
    OPEN,
    BatchRow,
    Delivery,
    DeliveryStatus,
    Event,
    Priority,
    RowOutcome,
    reopened,
)
from portal.models.tasks import Task, TaskState
from portal.models.webhooks import Webhook, WebhookState
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, notify, writing
from portal.services.outbox import at_rest, leases
from portal.services.outbox.claimable import (
    REFUSED,
    find_stop,
    heads,
    kept_by,
    paced_until,
    paused_until,
)
from portal.services.outbox.connectivity import offline_to

GONE: Final = "This delivery doesn’t exist or is no longer kept."
STALE: Final = "There was another attempt after you opened this page. Here’s the current status."
ARRIVED: Final = "This delivery already arrived. If the receiver needs it again, select Resend."
KEPT: Final = "This delivery is still on hold. Send it from the webhook’s page."
ASKED_FOR: Final = "This delivery is already queued. Its result will appear here."
BEING_SENT: Final = "We’re sending this delivery now. Its result will appear here."
ON_HOLD: Final = (
    "This delivery is on hold because the webhook is off. To send it, turn the webhook on."
)


class AlreadyArrived(Refusal):
    """A refusal that a person can override, by confirming to send it again."""


@dataclass(frozen=True, slots=True)
class RetryEligibility:
    """The facts that decide whether a delivery can be retried.

    `is_manual`: a person's Retry of it is open. `is_sending_stopped`: a person stopped sending to
    all webhooks. `is_kept`: it waits for a pause of its webhook, an older delivery, or a chat's
    pace. A Retry skips the first two waits, and goes next at a chat's pace. A running bulk retry
    sets neither of the last two, because the deliveries that it hands over wait like all others.
    """

    status: DeliveryStatus
    is_being_sent: bool
    is_test: bool
    webhook_name: str
    is_webhook_off: bool
    is_webhook_deleted: bool
    is_manual: bool = False
    is_sending_stopped: bool = False
    is_kept: bool = False


def why_not_retry(at: RetryEligibility, *, again: bool = False) -> str | None:
    """Return the sentence that refuses a Retry or Resend, or None if it is allowed."""
    if at.is_webhook_deleted:
        return f"You can’t send this delivery. “{at.webhook_name}” was deleted."
    if at.is_test:
        return "You can’t retry a test. Send a new test."
    if at.status is DeliveryStatus.ON_HOLD and not at.is_webhook_off:
        return KEPT
    if at.is_being_sent:
        return BEING_SENT
    if at.status is DeliveryStatus.ON_HOLD:
        return ON_HOLD
    if at.is_manual or (at.status is DeliveryStatus.QUEUED and not at.is_kept):
        return ASKED_FOR
    if at.is_webhook_off:
        return f"“{at.webhook_name}” is off. To send this delivery, turn the webhook on."
    if at.is_sending_stopped:
        return REFUSED
    return ARRIVED if at.status is DeliveryStatus.DELIVERED and not again else None


def retry(actor: Actor, public_id: UUID, *, seen: int | None = None, again: bool = False) -> None:
    """Request one extra attempt. Raises `Refusal`.

    `seen`: the number of attempts that the person saw. A further attempt since then causes a
    refusal. A double click therefore sends once, even if the first attempt ends in between.
    `again`: allow a delivery that has arrived, although the receiver may act twice.
    """
    with writing() as current:
        require(current, actor, "deliveries.retry")
        delivery, eligibility = _lock(current, public_id)
        now = database_time(current)
        if sentence := why_not_retry(eligibility, again=again):
            raise AlreadyArrived(sentence) if sentence == ARRIVED else Refusal(sentence)
        if seen is not None and seen != delivery.attempts:
            raise Refusal(STALE)
        before = delivery.status
        if before == DeliveryStatus.DISMISSED:
            _restore(current, delivery)
        prior = delivery.status
        status = current.scalars(select(reopened()).where(Delivery.id == delivery.id)).one()
        delivery.prior_status, delivery.prior_due_at = prior, delivery.due_at
        delivery.status, delivery.due_at = status, now
        delivery.priority, delivery.requested_by = Priority.INTERACTIVE, actor.name
        _record(current, actor, delivery, "delivery.retried", before)
        notify(current)


def _restore(current: Session, delivery: Delivery) -> None:
    """Restore a dismissed delivery, in the transaction that retries it."""
    one = update(Delivery).where(Delivery.id == delivery.id)
    current.connection().execute(one.values(at_rest.restored(is_off=False)))
    current.refresh(delivery)


def _lock(current: Session, public_id: UUID) -> tuple[Delivery, RetryEligibility]:
    """Lock the webhook's row, then the delivery's, and return the delivery and its eligibility.

    An expired lease becomes an attempt first, because its holder can no longer record the result.
    """
    webhook = current.execute(
        select(Webhook)
        .join(Delivery, Delivery.webhook_id == Webhook.id)
        .where(Delivery.public_id == public_id, Webhook.state != WebhookState.DRAFT)
        .with_for_update(key_share=True, of=Webhook)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if webhook is None:
        raise NotFound(GONE)
    now, in_order = database_time(current), webhook.in_order
    leases.settle_ended(current, [webhook.id], now)
    delivery = current.execute(
        select(Delivery)
        .where(Delivery.public_id == public_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()
    if delivery is None:
        raise NotFound(GONE)
    leased_until = leases.ends(current, [delivery.id]).get(delivery.id)
    pause = paused_until(delivery.priority, webhook.backoff_until, now, in_order=in_order)
    head = heads(current, [webhook.id])[webhook.id] if in_order else None
    is_behind = head is not None and head < delivery.id
    is_paced = paced_until(delivery, webhook, now) is not None and offline_to(webhook) is None
    kept = kept_by(delivery.due_at, pause, is_behind=is_behind, is_paced=is_paced)
    return delivery, RetryEligibility(
        status=DeliveryStatus(delivery.status),
        # True also for one that was dismissed while it was being sent.
        is_being_sent=leased_until is not None and leased_until > now,
        is_test=delivery.priority == Priority.TEST,
        webhook_name=webhook.name,
        is_webhook_off=webhook.state != WebhookState.ACTIVE,
        is_webhook_deleted=webhook.deleted_at is not None,
        is_manual=delivery.status in OPEN and delivery.prior_status is not None,
        is_sending_stopped=find_stop() is not None,
        is_kept=kept is not None,
    )


def audited(public_id: UUID, event: str, asset_tag: str) -> tuple[str, UUID, str]:
    """Return the audit target of a delivery, named by its event and asset."""
    return "delivery", public_id, f"{event} {asset_tag}".strip()


def _record(current: Session, actor: Actor, delivery: Delivery, action: str, before: str) -> None:
    tag = current.scalars(select(Event.asset_tag).where(Event.id == delivery.event_id)).one()
    audit.record(
        current,
        actor,
        action,
        target=audited(delivery.public_id, delivery.event, tag),
        changes={"status": {"from": before, "to": delivery.status}},
    )


NAME: Final = "bulk_retry"
# States in which rows are still to be sent.
UNDER_WAY: Final = (TaskState.WAITING, TaskState.RUNNING, TaskState.PAUSED)
NOT_ENDED: Final = (RowOutcome.WAITING, RowOutcome.SENT)
MOST_QUEUED: Final = 5000


class Place(NamedTuple):
    """The row ids of the bulk retry and of the webhook where a delivery waits to be retried."""

    task_id: int
    webhook_id: int


def taken(current: Session, ids: Sequence[int]) -> dict[int, Place]:
    """Return the place of each of these deliveries that is in a bulk retry now."""
    if not ids:
        return {}
    statement = select(BatchRow.delivery_id, BatchRow.task_id, BatchRow.webhook_id).where(
        BatchRow.delivery_id.in_(ids), is_of(running(current))
    )
    rows = current.execute(statement)
    return {row.delivery_id: Place(row.task_id, row.webhook_id) for row in rows}


def queued(current: Session) -> dict[UUID, dict[Place, int]]:
    """Count deliveries still to be sent in bulk retries, by webhook and place.

    Looks at the first `MOST_QUEUED` rows.
    """
    ids = running(current)
    if not ids:
        return {}
    rows_left = (
        select(BatchRow.task_id, BatchRow.delivery_id, BatchRow.webhook_id)
        .where(BatchRow.task_id.in_(ids), BatchRow.outcome.in_(NOT_ENDED))
        .limit(MOST_QUEUED)
        .subquery()
    )
    at = rows_left.c.task_id, rows_left.c.webhook_id
    rows = current.execute(
        select(Webhook.public_id, *at, func.count())
        .select_from(rows_left)
        .join(Delivery, Delivery.id == rows_left.c.delivery_id)
        .join(Webhook, Webhook.id == rows_left.c.webhook_id)
        .where(Delivery.status.in_(at_rest.UNDELIVERED))
        .group_by(Webhook.public_id, *at)
        .order_by(rows_left.c.task_id)
    )
    by_webhook: dict[UUID, dict[Place, int]] = {}
    for public_id, task_id, webhook_id, many in rows:
        by_webhook.setdefault(public_id, {})[Place(task_id, webhook_id)] = many
    return by_webhook


def running(current: Session) -> Sequence[int]:
    """Return the row ids of the bulk retries that have not ended."""
    statement = select(Task.id).where(Task.kind == NAME, Task.state.in_(UNDER_WAY))
    return current.scalars(statement).all()


def is_of(bulk_retries: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition of a row that is still to be sent in one of these bulk retries."""
    return and_(BatchRow.task_id.in_(bulk_retries), BatchRow.outcome.in_(NOT_ENDED))
