"""What a webhook is seen by at a glance: its youngest delivery, why it fails, when it tries next.

One probe of an index each, however long the log and the backlog are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Row,
    ScalarSelect,
    Select,
    and_,
    case,
    func,
    literal,
    literal_column,
    not_,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow, database_now
from portal.engine.health import announced_end
from portal.lib.clock import common_now
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, is_open
from portal.models.webhooks import OURS, Webhook, WebhookEvent, WebhookState
from portal.services.core.keyset import FIRST_ID, LAST_ID
from portal.services.outbox.due import ShownStatus, head_of, paused_until, seen_statuses
from portal.services.webhooks.rows import place

FAILING: Final = (DeliveryStatus.RETRYING, DeliveryStatus.FAILED)
LEAST_NEED: Final = 2  # of `severity`: it fails


class Standing(StrEnum):
    """How a webhook fares, as people see it, the worst first.

    Failing: from the first failure that no success has followed. Paused: its receiver does not
    respond, so only a probe goes now and then.
    """

    PAUSED = "paused"
    FAILING = "failing"
    ACTIVE = "active"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Latest:
    """The youngest real delivery of a webhook, or another one of its, briefly."""

    public_id: UUID
    status: ShownStatus
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWebhook:
    """A webhook in the list. `last` leaves tests out. `turns_off_at`: when we turn it off, soon.

    `has_missing`: there is a delivery that failed, for good or so far.
    """

    public_id: UUID
    name: str
    host: str
    standing: Standing
    needs_attention: bool
    off_reason: str | None
    turns_off_at: datetime | None
    paused_until: datetime | None
    event_count: int
    last: Latest | None
    has_missing: bool


def youngest() -> ScalarSelect[int]:
    """The row id of the youngest delivery of the webhook in the enclosing query, tests apart.

    The bounds are one tuple, as in `log/walk.py`: told that the webhook is one, PostgreSQL may walk
    the whole log backwards for another that has been quiet for long.
    """
    key = tuple_(Delivery.webhook_id, Delivery.id)
    return (
        select(Delivery.id)
        .where(
            key >= tuple_(Webhook.id, literal(FIRST_ID)),
            key <= tuple_(Webhook.id, literal(LAST_ID)),
            Delivery.priority != Priority.TEST,
        )
        .order_by(Delivery.webhook_id.desc(), Delivery.id.desc())
        .limit(1)
        .correlate(Webhook)
        .scalar_subquery()
    )


def latest_of(current: Session, ids: Sequence[int], now: datetime) -> dict[int, Latest]:
    """These deliveries by their row ids. `now`: the database's clock."""
    if not ids:
        return {}
    joined = select(Delivery, Webhook).join(Webhook, Webhook.id == Delivery.webhook_id)
    found = current.execute(joined.where(Delivery.id.in_(ids))).all()
    rows = [(row[0], row[1]) for row in found]
    statuses = seen_statuses(current, rows, now)
    return {row.id: Latest(row.public_id, statuses[row.id], row.created_at) for row, _ in rows}


def last_failure(current: Session, webhook: Webhook) -> tuple[str | None, int | None]:
    """Reason and code of its youngest delivery that did not arrive, tests apart.

    Nothing while it is well. What waits until a receiver is left alone no longer has no reason of
    its own, so the youngest few of the log would not do.
    """
    if webhook.failing_since is None:
        return None, None
    rows = [_youngest_with(current, webhook.id, each) for each in FAILING]
    found = max((row for row in rows if row), default=None)
    return (found[1], found[2]) if found else (None, None)


def oldest_held(current: Session, webhook_id: int) -> datetime | None:
    """Since when the oldest of what is held is there; None while nothing is."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.HELD)
    first = select(Delivery.created_at).where(*is_held).order_by(Delivery.id).limit(1)
    return current.scalar(first)


def oldest_open(current: Session, webhook_id: int) -> Latest | None:
    """The oldest delivery that is still to be sent, tests too, by its row's status; None where
    nothing is."""
    first = (
        select(Delivery.public_id, Delivery.status, Delivery.created_at)
        .where(Delivery.webhook_id == webhook_id, is_open())
        .order_by(Delivery.id)
        .limit(1)
    )
    row = current.execute(first).one_or_none()
    return Latest(row.public_id, ShownStatus(row.status), row.created_at) if row else None


def next_try(current: Session, webhook: Webhook) -> datetime | None:
    """When something goes next: at its own time, or later while the receiver is left alone. In
    order, the rest waits for its head."""
    firsts = {each: _soonest(webhook.id, each) for each in Priority}
    if webhook.in_order:
        head = select(Delivery.due_at).where(Delivery.id == head_of(webhook.id))
        firsts[Priority.NORMAL] = head.scalar_subquery()
    found = zip(firsts, current.execute(select(*firsts.values())).one(), strict=True)
    now, pause = database_now(current.connection()), webhook.not_before
    times = [
        max(due_at, paused_until(each, pause, now, in_order=webhook.in_order) or due_at)
        for each, due_at in found
        if due_at is not None
    ]
    return min(times, default=None)


def standing_of(webhook: Webhook | AnyRow) -> Standing:
    """How it fares."""
    if webhook.state != WebhookState.ACTIVE:
        return Standing.OFF
    if webhook.throttled:
        return Standing.PAUSED
    return Standing.FAILING if webhook.failing_since else Standing.ACTIVE


def wants_a_look(webhook: Webhook | AnyRow) -> bool:
    """Failing, paused, or off, unless a person turned it off."""
    if webhook.state != WebhookState.ACTIVE:
        return webhook.off_reason in OURS
    return bool(webhook.throttled or webhook.failing_since)


def is_in_need() -> ColumnElement[bool]:
    """`wants_a_look` as a condition on webhooks that are shown."""
    return severity() <= LEAST_NEED


def severity() -> ColumnElement[int]:
    """The worst first: what we turned off, then as `Standing` has it."""
    is_on = Webhook.state == WebhookState.ACTIVE
    return case(
        (and_(not_(is_on), Webhook.off_reason.in_(OURS)), 0),
        (not_(is_on), 4),
        (Webhook.throttled, 1),
        (Webhook.failing_since.is_not(None), LEAST_NEED),
        else_=3,
    )


def listed(current: Session, ids: Sequence[int]) -> list[ListedWebhook]:
    """These webhooks as the list shows them, in this order."""
    events = select(func.count()).where(WebhookEvent.webhook_id == Webhook.id).scalar_subquery()
    wanted = select(
        Webhook.id,
        Webhook.public_id,
        Webhook.name,
        Webhook.kind,
        Webhook.url,
        Webhook.state,
        Webhook.off_reason,
        Webhook.throttled,
        Webhook.not_before,
        Webhook.failures_in_row,
        Webhook.failing_since,
        Webhook.stopped_for,
        events.label("event_count"),
        youngest().label("last_id"),
        _missing().label("has_missing"),
    ).where(Webhook.id.in_(ids))
    rows = {row.id: row for row in current.execute(wanted)}
    last_ids = [row.last_id for row in rows.values() if row.last_id]
    latest = latest_of(current, last_ids, database_now(current.connection()))
    return [
        ListedWebhook(
            public_id=row.public_id,
            name=row.name,
            host=place(row),
            standing=standing_of(row),
            needs_attention=wants_a_look(row),
            off_reason=row.off_reason,
            turns_off_at=turns_off_at(row, common_now()),
            paused_until=row.not_before,
            event_count=row.event_count,
            last=latest.get(row.last_id),
            has_missing=row.has_missing,
        )
        for row in map(rows.__getitem__, ids)
    ]


def turns_off_at(webhook: Webhook | AnyRow, now: datetime) -> datetime | None:
    """When we turn it off, once that is near."""
    if webhook.state != WebhookState.ACTIVE:
        return None
    since, stopped_for = webhook.failing_since, webhook.stopped_for
    return announced_end(webhook.failures_in_row, since, now, stopped_for)


def _missing() -> ColumnElement[bool]:
    """Whether any of its deliveries failed, for good or so far, tests apart."""
    any_one: Select[Any] = select(literal_column("1")).where(
        Delivery.webhook_id == Webhook.id,
        Delivery.status.in_(FAILING),
        Delivery.priority != Priority.TEST,
    )
    return any_one.limit(1).correlate(Webhook).scalar_subquery().is_not(None)


def _youngest_with(
    current: Session, webhook_id: int, status: DeliveryStatus
) -> Row[int, str | None, int | None] | None:
    return current.execute(
        select(Delivery.id, Delivery.reason, Delivery.code)
        .where(
            Delivery.webhook_id == webhook_id,
            Delivery.status == status,
            Delivery.priority != Priority.TEST,
            Delivery.reason.is_not(None),
        )
        .order_by(Delivery.id.desc())
        .limit(1)
    ).one_or_none()


def _soonest(webhook_id: int, priority: Priority) -> ScalarSelect[datetime]:
    """The first of the open rows' index: across priorities it is in no order of time."""
    return (
        select(func.min(Delivery.due_at))
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority == literal_column(str(int(priority))),
        )
        .scalar_subquery()
    )
