"""Turn webhooks off and on by hand, on schedule, or automatically, and hold or send deliveries.

The webhook's row is locked before its deliveries, as everywhere. Deliveries that are being sent
finish, and recording them reads the webhook again. Tests are sent while a webhook is off, too.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, Select, insert, select, update
from sqlalchemy.orm import Session

from portal.database.engine import database_now
from portal.engine.circuit_breaker import PATIENCE_IN_WORDS
from portal.lib.clock import common_now
from portal.models.audit import AuditEntry
from portal.models.deliveries import (
    OPEN,
    Delivery,
    DeliveryStatus,
    Priority,
    has_no_live_lease,
    is_open,
    reopened,
)
from portal.models.webhooks import OURS, OffReason, Webhook, WebhookState
from portal.services import audit
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.queries import as_json, given_ids
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import moment_words, zone_of
from portal.services.core.unit_of_work import database_time, notify, session, writing
from portal.services.outbox import at_rest, leases
from portal.services.outbox.at_rest import Dismissal, held_until
from portal.services.outbox.claimable import refuse_while_stopped
from portal.services.webhooks.rows import (
    TARGET,
    count_held,
    lock_webhook,
    oldest_held,
    refuse_undecryptable,
    target_of,
)

log = logging.getLogger(__name__)

DELETED: Final = "webhook.deleted"
WEBHOOK_DELETED: Final = "Webhook deleted"
# Rows in one transaction, because the results of all other webhooks wait for it.
HOLD_BATCH: Final = 500
# Time before deliveries on hold expire, so that a late start loses none.
SPARE: Final = timedelta(hours=1)
A_STATEMENT: Final = 10_000  # rows, because PostgreSQL ends a statement after 30 seconds


@dataclass(frozen=True, slots=True)
class TurnedOn:
    """A webhook's name, whether it was off, and how many deliveries on hold were queued."""

    name: str
    was_off: bool
    sent: int


class HeldChoice(StrEnum):
    """Choices for deliveries on hold when a webhook is turned on."""

    SEND = "send"
    KEEP = "keep"


def turn_off(actor: Actor, public_id: UUID, until: datetime | None = None) -> str:
    """Stop sending to a webhook, hold its deliveries, and return its name. Raises `Refusal`.

    If it is already off, only `until` changes. `until`: the time when `turn_on_due` turns it on.
    Without it, a person does.
    """
    with writing() as current:
        require(current, actor, "webhooks.switch")
        webhook = lock_webhook(current, public_id)
        if until is not None:
            _refuse_unfit(current, actor, webhook, until)
        changes: dict[str, Any] = {}
        action = "webhook.off_until_changed"
        if webhook.state == WebhookState.ACTIVE:
            set_off(current, webhook, OffReason.PERSON)
            action, changes = "webhook.turned_off", {"status": {"from": "Active", "to": "Off"}}
        if until != webhook.off_until:
            changes["off_until"] = {"from": _stored(webhook.off_until), "to": _stored(until)}
            webhook.off_until = until
        if changes:
            audit.record(current, actor, action, target=target_of(webhook), changes=changes)
        return webhook.name


def last_end(oldest_held_at: datetime | None, off_at: datetime | None) -> datetime:
    """Return the latest time until which a webhook can be off without losing deliveries on hold.

    `off_at`: the time it was turned off, or None while it is on.
    """
    if oldest_held_at and off_at:
        return held_until(oldest_held_at, off_at) - SPARE
    return held_until(common_now(), None) - SPARE


def _refuse_unfit(current: Session, actor: Actor, webhook: Webhook, until: datetime) -> None:
    if webhook.off_reason in OURS:
        sentence = "We turned this webhook off. Turn it on when the receiver is ready"
        raise Refusal(sentence, field="off_until")
    if until <= common_now():
        raise Refusal("Choose a time in the future", field="off_until")
    if until > (last := last_end(oldest_held(current, webhook.id), webhook.off_at)):
        at = moment_words(last, zone_of(current, actor))
        raise Refusal(f"At most {at}, before on-hold deliveries expire", field="off_until")


def _stored(until: datetime | None) -> str | None:
    return until.astimezone(UTC).isoformat(timespec="minutes") if until else None


def set_off(current: Session, webhook: Webhook, reason: OffReason) -> None:
    """Turn a locked webhook off and hold its open deliveries."""
    webhook.state, webhook.off_reason, webhook.off_at = WebhookState.OFF, reason, common_now()
    current.flush()
    hold_open(current, webhook.id)


def turn_on_due() -> None:
    """Turn on webhooks when their time off is over, and send their deliveries on hold.

    Safe to run concurrently. While all sending is stopped, or a secret can't be decrypted, a
    webhook stays off and the next run tries again.
    """
    current = session()
    due = select(Webhook.id).where(*_is_over(database_time(current))).order_by(Webhook.off_until)
    for row_id in current.scalars(due).all():
        try:
            _turn_on_due(row_id)
        except Refusal:
            continue  # its page says why
        except Exception:  # an error at one must not keep the others off
            log.exception("A webhook that is off until now wasn’t turned on. We’ll try again.")


def _turn_on_due(row_id: int) -> None:
    with writing() as current:
        refuse_while_stopped()
        chosen = select(Webhook).where(Webhook.id == row_id, *_is_over(database_time(current)))
        locked = chosen.with_for_update(key_share=True)
        fresh = locked.execution_options(populate_existing=True)
        if webhook := current.scalars(fresh).one_or_none():
            _turn_on(current, SYSTEM, webhook, HeldChoice.SEND)


def _is_over(now: datetime) -> list[ColumnElement[bool]]:
    is_off = Webhook.state == WebhookState.OFF
    return [is_off, Webhook.deleted_at.is_(None), Webhook.off_until <= now]


def turn_on(actor: Actor, public_id: UUID, held: HeldChoice | None = None) -> TurnedOn:
    """Turn a webhook on, and send or keep its deliveries on hold.

    Raises `Refusal` if deliveries are on hold and nothing was chosen for them. Also raises it if
    they are to be sent while all sending is stopped.
    """
    with writing() as current:
        require(current, actor, "webhooks.switch")
        if held is HeldChoice.SEND:
            refuse_while_stopped(field="held")
        return _turn_on(current, actor, lock_webhook(current, public_id), held)


def _turn_on(current: Session, actor: Actor, webhook: Webhook, held: HeldChoice | None) -> TurnedOn:
    hold_open(current, webhook.id, every=True)
    if held is None and count_held(current, webhook.id):
        raise Refusal("Choose whether to send or dismiss the deliveries on hold.", field="held")
    was_off = webhook.state == WebhookState.OFF
    set_on(webhook)
    sent = send_held(current, webhook.id) if held is HeldChoice.SEND else 0
    return record_turned_on(current, actor, webhook, was_off, sent)


def record_turned_on(
    current: Session, actor: Actor, webhook: Webhook, was_off: bool, sent: int
) -> TurnedOn:
    """Audit that it was turned on, unless it was on, and the number of queued deliveries on
    hold."""
    changes: dict[str, Any] = {"deliveries_send": {"from": None, "to": sent}} if sent else {}
    if was_off:
        changes = {"status": {"from": "Off", "to": "Active"}, **changes}
    if changes:
        action = "webhook.turned_on" if was_off else "webhook.decided_about_held"
        audit.record(current, actor, action, target=target_of(webhook), changes=changes)
    return TurnedOn(webhook.name, was_off, sent)


def set_on(webhook: Webhook) -> None:
    """Turn a locked webhook on and forget its failures. Raises `UndecryptableSecrets`."""
    refuse_undecryptable(webhook)
    webhook.state, webhook.off_reason = WebhookState.ACTIVE, None
    webhook.off_at = webhook.off_until = None
    webhook.failing_since, webhook.stopped_for = None, 0
    end_backoff(webhook)


def note_change(webhook: Webhook) -> None:
    """End the backoff of a locked webhook, because the changed setting may have fixed it."""
    webhook.changed_at = common_now()
    end_backoff(webhook)


def end_backoff(webhook: Webhook) -> None:
    """End the backoff of a locked webhook, and count failures from 0 again.

    It counts as failing until something arrives.
    """
    webhook.failures_in_row = 0
    webhook.throttled, webhook.backoff_seconds, webhook.backoff_until = False, 0, None


def hold_open(connection: Session | Connection, webhook_id: int, *, every: bool = False) -> int:
    """Hold the open deliveries of a webhook that is off, or dismiss those of a deleted one.

    Returns their number. Dismisses tests too. Takes the oldest `HOLD_BATCH`, or `every` one.
    Maintenance does the rest, and nobody claims it meanwhile. A waiting manual attempt first gets
    its earlier status back. Nothing changes for an active webhook, deliveries being sent, and tests
    of a webhook that is off.
    """
    webhook = connection.execute(_state_of(webhook_id)).one_or_none()
    if webhook is None or (webhook.deleted_at is None and webhook.state == WebhookState.ACTIVE):
        return 0
    plain = _plain(connection)
    now = database_now(plain)
    leases.settle_ended(plain, [webhook_id], now)
    conditions = [Delivery.webhook_id == webhook_id, has_no_live_lease(now)]
    values = at_rest.on_hold(now)
    if webhook.deleted_at is not None:
        dismissal = Dismissal(_deleted_by(connection, webhook), WEBHOOK_DELETED)
        values = at_rest.dismissed(now, dismissal, (*OPEN, DeliveryStatus.ON_HOLD))
        # Includes deliveries put on hold by a process that had not yet seen the deletion.
        conditions.append(Delivery.status.in_((*OPEN, DeliveryStatus.ON_HOLD)))
    else:
        conditions += [is_open(), Delivery.priority != Priority.TEST]
    if every:
        return _change_all(plain, conditions, values, now)
    return _change(plain, conditions, values, now, HOLD_BATCH)


def turn_off_gone(connection: Session | Connection, webhook_id: int) -> None:
    """Turn off a webhook after its receiver closed its URL, until a person turns it on again."""
    cause = "The receiver permanently closed the URL"
    _turn_off_by_us(connection, webhook_id, OffReason.GONE, cause)


def turn_off_failing(connection: Session | Connection, webhook_id: int) -> None:
    """Turn off a webhook to which nothing was delivered for days."""
    cause = f"No delivery succeeded for {PATIENCE_IN_WORDS}"
    _turn_off_by_us(connection, webhook_id, OffReason.FAILING, cause)


def _turn_off_by_us(
    connection: Session | Connection, webhook_id: int, reason: OffReason, cause: str
) -> None:
    webhook = connection.execute(_state_of(webhook_id)).one_or_none()
    if webhook is None or webhook.deleted_at or webhook.state != WebhookState.ACTIVE:
        return
    now = common_now()
    connection.execute(
        update(Webhook)
        .where(Webhook.id == webhook_id)
        .values(state=WebhookState.OFF, off_reason=reason, off_at=now)
        .execution_options(synchronize_session=False)
    )
    connection.execute(
        insert(AuditEntry).values(
            at=now,
            actor_name=SYSTEM.name,
            origin=SYSTEM.origin,
            action="webhook.turned_off",
            target_kind=TARGET,
            target_id=str(webhook.public_id),
            target_name=webhook.name,
            changes={
                "status": {"from": "Active", "to": "Off"},
                "cause": {"from": None, "to": cause},
            },
        )
    )
    hold_open(connection, webhook_id)


def send_held(current: Session, webhook_id: int, *among: ColumnElement[bool]) -> int:
    """Send the deliveries on hold of a locked webhook that match `among`. Return their number."""
    now = database_time(current)
    values: dict[str, Any] = {"status": reopened(), "due_at": now}
    is_held = [Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.ON_HOLD]
    count = _change_all(current.connection(), [*is_held, *among], values, now)
    if count:
        notify(current)
    return count


def _change_all(
    connection: Connection,
    conditions: list[ColumnElement[bool]],
    values: dict[str, Any],
    now: datetime,
) -> int:
    """Write `values` to all deliveries that match `conditions`, which must not hold afterward."""
    changed = 0
    while count := _change(connection, conditions, values, now, A_STATEMENT):
        changed += count
    return changed


def _change(
    connection: Connection,
    conditions: list[ColumnElement[bool]],
    values: dict[str, Any],
    now: datetime,
    limit: int,
) -> int:
    oldest = select(Delivery.id).where(*conditions).order_by(Delivery.id).limit(limit)
    locked = connection.execute(oldest.with_for_update()).scalars().all()
    ids = leases.free_among(connection, locked, now)
    chosen = update(Delivery).where(Delivery.id.in_(given_ids(connection.dialect.name)))
    connection.execute(chosen.values(values), {"ids": as_json(ids)})
    return len(ids)


def _state_of(webhook_id: int) -> Select[UUID, str, str, datetime | None]:
    return (
        select(Webhook.public_id, Webhook.name, Webhook.state, Webhook.deleted_at)
        .where(Webhook.id == webhook_id)
        .with_for_update(key_share=True)
    )


def _deleted_by(
    connection: Session | Connection, webhook: Row[UUID, str, str, datetime | None]
) -> str:
    """Return the name of the person who deleted the webhook, from the audit trail."""
    name = connection.execute(
        select(AuditEntry.actor_name)
        .where(
            AuditEntry.target_kind == TARGET,
            AuditEntry.target_id == str(webhook.public_id),
            AuditEntry.action == DELETED,
        )
        .order_by(AuditEntry.id.desc())
        .limit(1)
    ).scalar_one_or_none()
    return name or SYSTEM.name


def _plain(connection: Session | Connection) -> Connection:
    return connection.connection() if isinstance(connection, Session) else connection
