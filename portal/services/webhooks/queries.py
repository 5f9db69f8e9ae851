"""Read webhooks for pages: never a secret, and for the form alone a header value."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
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
from portal.engine.circuit_breaker import announced_end, needs_attention
from portal.engine.events.catalogue import EventName
from portal.lib.clock import common_now
from portal.lib.paging import Page
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, DeliveryStatus, Priority, is_open
from portal.models.people import User
from portal.models.webhooks import OURS, OffReason, Webhook, WebhookEvent, WebhookKind, WebhookState
from portal.services.audit import shown_changes
from portal.services.core.keyset import FIRST_ID, LAST_ID, by_name
from portal.services.core.unit_of_work import session
from portal.services.outbox.due import (
    count_behind,
    head_of,
    paused_until,
)
from portal.services.webhooks.held_deliveries import count_waiting
from portal.services.webhooks.notices import News
from portal.services.webhooks.rows import (
    TARGET,
    called,
    count_held,
    count_unsent,
    events_of,
    find_webhook,
    is_shown,
    options_of,
    place,
    shown_url,
    stored_headers,
    undecryptable_parts,
)
from portal.services.webhooks.rules import SecretMode, WebhookOptions, WebhookValues
from portal.services.webhooks.secrets import old_secret

FAILING: Final = (DeliveryStatus.RETRYING, DeliveryStatus.FAILED)
LEAST_TROUBLE: Final = 2  # of `severity`: it fails
HISTORY: Final = 100  # entries


class WebhookStatus(StrEnum):
    """A webhook's status as people see it, the worst first.

    Failing: from the first failure that no success has followed. Paused: backing off, because its
    receiver does not respond; only probes are sent.
    """

    PAUSED = "paused"
    FAILING = "failing"
    ACTIVE = "active"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Latest:
    """One delivery of a webhook, briefly."""

    public_id: UUID
    status: DeliveryStatus
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWebhook:
    """A webhook in the list. `last` leaves tests out. `turns_off_at`: when we turn it off, soon.

    `has_missing`: a delivery failed, for good or so far.
    """

    public_id: UUID
    name: str
    host: str
    status: WebhookStatus
    needs_attention: bool
    off_reason: str | None
    turns_off_at: datetime | None
    paused_until: datetime | None
    event_count: int
    last: Latest | None
    has_missing: bool


def youngest() -> ScalarSelect[int]:
    """The row id of the youngest delivery of the webhook in the enclosing query, tests apart.

    The bounds are one tuple, as in `log_query.py`: given the webhook's id alone, PostgreSQL may
    read the whole log backwards for another that has been quiet for long.
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


def latest_of(current: Session, ids: Sequence[int]) -> dict[int, Latest]:
    """These deliveries by their row ids."""
    if not ids:
        return {}
    columns = (Delivery.id, Delivery.public_id, Delivery.status, Delivery.created_at)
    rows = current.execute(select(*columns).where(Delivery.id.in_(ids)))
    return {
        row.id: Latest(row.public_id, DeliveryStatus(row.status), row.created_at) for row in rows
    }


def last_failure(current: Session, webhook: Webhook) -> tuple[str | None, int | None]:
    """Reason and code of its youngest delivery that failed, tests apart; nothing while it is well.

    What waits for the end of a back-off has no reason of its own, so the youngest few of the log
    would not do.
    """
    if webhook.failing_since is None:
        return None, None
    rows = [_youngest_with(current, webhook.id, status) for status in FAILING]
    youngest_row = max((row for row in rows if row), default=None)
    return (youngest_row[1], youngest_row[2]) if youngest_row else (None, None)


def oldest_held(current: Session, webhook_id: int) -> datetime | None:
    """When the oldest held delivery was created; None while nothing is held."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.ON_HOLD)
    first = select(Delivery.created_at).where(*is_held).order_by(Delivery.id).limit(1)
    return current.scalar(first)


def oldest_open(current: Session, webhook_id: int) -> Latest | None:
    """The oldest delivery that is still to be sent, tests too, by its row's status."""
    first = (
        select(Delivery.public_id, Delivery.status, Delivery.created_at)
        .where(Delivery.webhook_id == webhook_id, is_open())
        .order_by(Delivery.id)
        .limit(1)
    )
    row = current.execute(first).one_or_none()
    return Latest(row.public_id, DeliveryStatus(row.status), row.created_at) if row else None


def next_attempt(current: Session, webhook: Webhook) -> datetime | None:
    """When the next delivery is due, not before the end of a back-off. In order, the head's."""
    firsts = {priority: _soonest(webhook.id, priority) for priority in Priority}
    if webhook.in_order:
        head = select(Delivery.due_at).where(Delivery.id == head_of(webhook.id))
        firsts[Priority.NORMAL] = head.scalar_subquery()
    dues = zip(firsts, current.execute(select(*firsts.values())).one(), strict=True)
    now, pause = database_now(current.connection()), webhook.backoff_until
    times = [
        max(due_at, paused_until(priority, pause, now, in_order=webhook.in_order) or due_at)
        for priority, due_at in dues
        if due_at is not None
    ]
    return min(times, default=None)


def webhook_status(webhook: Webhook | AnyRow) -> WebhookStatus:
    """The status of a webhook, by the columns that it is made of."""
    if webhook.state != WebhookState.ACTIVE:
        return WebhookStatus.OFF
    if webhook.throttled:
        return WebhookStatus.PAUSED
    return WebhookStatus.FAILING if webhook.failing_since else WebhookStatus.ACTIVE


def is_in_trouble(webhook: Webhook | AnyRow) -> bool:
    """Return whether it fails, backs off, or was turned off by us."""
    status = webhook_status(webhook)
    if status is WebhookStatus.OFF:
        return webhook.off_reason in OURS
    return status is not WebhookStatus.ACTIVE


def in_trouble() -> ColumnElement[bool]:
    """`is_in_trouble` as a condition on webhooks that are shown."""
    return severity() <= LEAST_TROUBLE


def severity() -> ColumnElement[int]:
    """The rank of a status, the worst first: what we turned off, then as in `WebhookStatus`."""
    is_on = Webhook.state == WebhookState.ACTIVE
    return case(
        (and_(not_(is_on), Webhook.off_reason.in_(OURS)), 0),
        (not_(is_on), 4),
        (Webhook.throttled, 1),
        (Webhook.failing_since.is_not(None), LEAST_TROUBLE),
        else_=3,
    )


def listed(current: Session, ids: Sequence[int]) -> list[ListedWebhook]:
    """Webhooks as the list shows them, in the order of `ids`."""
    events = select(func.count()).where(WebhookEvent.webhook_id == Webhook.id).scalar_subquery()
    shown = select(
        Webhook.id,
        Webhook.public_id,
        Webhook.name,
        Webhook.kind,
        Webhook.url,
        Webhook.state,
        Webhook.off_reason,
        Webhook.throttled,
        Webhook.backoff_until,
        Webhook.failures_in_row,
        Webhook.failing_since,
        Webhook.stopped_for,
        events.label("event_count"),
        youngest().label("last_id"),
        _missing().label("has_missing"),
    ).where(Webhook.id.in_(ids))
    rows = {row.id: row for row in current.execute(shown)}
    last_ids = [row.last_id for row in rows.values() if row.last_id]
    latest = latest_of(current, last_ids)
    return [
        ListedWebhook(
            public_id=row.public_id,
            name=row.name,
            host=place(row),
            status=webhook_status(row),
            needs_attention=is_in_trouble(row),
            off_reason=row.off_reason,
            turns_off_at=turns_off_at(row, common_now()),
            paused_until=row.backoff_until,
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
    """Return whether any of its deliveries failed, for good or so far, tests apart."""
    failed: Select[Any] = select(literal_column("1")).where(
        Delivery.webhook_id == Webhook.id,
        Delivery.status.in_(FAILING),
        Delivery.priority != Priority.TEST,
    )
    return failed.limit(1).correlate(Webhook).scalar_subquery().is_not(None)


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
    """The earliest due time by the index of open rows, which has no order across priorities."""
    return (
        select(func.min(Delivery.due_at))
        .where(
            Delivery.webhook_id == webhook_id,
            is_open(),
            Delivery.priority == literal_column(str(int(priority))),
        )
        .scalar_subquery()
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDetail(WebhookOptions):
    """A webhook on its page. `url` is without its secret parts; `held` and `waits_behind` are
    `capped`, `waits` too: what waits for a later retry although the webhook is well.

    `fails_for`: reason and code of what failed last, while it fails. `is_backing_off`: its receiver
    does not respond, so that only probes are sent until anything arrives, a test too.
    `turns_off_at`: when we turn it off, once that is near. `oldest_open`: of all that is still to
    be sent. `undecryptable`: which stored parts cannot be opened. `waits_behind`: how many wait for
    an older one, in order.
    """

    public_id: UUID
    url: str
    host: str
    is_inbox: bool
    status: WebhookStatus
    needs_attention: bool
    is_active: bool
    off_reason: str | None
    off_at: datetime | None
    events: tuple[str, ...]
    has_secret: bool
    secret_hint: str
    secret_set_at: datetime | None
    secret_shown_until: datetime | None
    secret_made_by_id: int | None
    old_secret_until: datetime | None
    header_names: tuple[str, ...]
    undecryptable: tuple[str, ...]
    failures_in_row: int
    failing_since: datetime | None
    turns_off_at: datetime | None
    fails_for: tuple[str | None, int | None]
    is_backing_off: bool
    last_delivered_at: datetime | None
    next_attempt_at: datetime | None
    held: int
    oldest_held_at: datetime | None
    waits: int
    oldest_open: Latest | None
    waits_behind: int
    owner: str | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of the audit trail. `changes`: {field: {from, to}}."""

    at: datetime
    by: str
    action: str
    changes: dict[str, Any]


class WebhookOrder(StrEnum):
    """Orders of the list: the worst first, by name, or the latest delivery first."""

    STATUS = "status"
    NAME = "name"
    LAST = "last"


def list_webhooks(
    search: str = "",
    cursor: str | None = None,
    order: WebhookOrder = WebhookOrder.STATUS,
    *,
    reverse: bool = False,
) -> Page[ListedWebhook]:
    """One page, equals by name. `search`: only those whose name or host holds it."""
    listed_ids = select(Webhook.id).where(*is_shown())
    if search:
        listed_ids = listed_ids.where(Webhook.id.in_(called(session(), search)))
    ranks = {
        WebhookOrder.STATUS: severity(),
        WebhookOrder.NAME: None,
        WebhookOrder.LAST: -func.coalesce(youngest(), 0),
    }
    page = by_name(
        listed_ids, Webhook.name, Webhook.id, cursor, int, rank=ranks[order], reverse=reverse
    )
    return Page(listed(session(), page.rows), page.newer, page.older)


def count_on_and_off() -> tuple[int, int]:
    """Count the webhooks that are on, and those that are off."""
    is_on = Webhook.state == WebhookState.ACTIVE
    counts = select(func.count(), func.count().filter(is_on)).where(*is_shown())
    total, on = session().execute(counts).one()
    return on, total - on


def show(public_id: UUID) -> WebhookDetail:
    """One webhook. Raises `NotFound`."""
    current = session()
    webhook = find_webhook(current, public_id)
    owner = current.get(User, webhook.owner_id) if webhook.owner_id else None
    return WebhookDetail(
        **options_of(webhook),
        public_id=webhook.public_id,
        url=shown_url(webhook),
        host=place(webhook),
        is_inbox=webhook.kind == WebhookKind.INBOX,
        status=webhook_status(webhook),
        needs_attention=is_in_trouble(webhook),
        is_active=webhook.state == WebhookState.ACTIVE,
        off_reason=webhook.off_reason,
        off_at=webhook.off_at,
        events=events_of(webhook),
        has_secret=webhook.secret_enc is not None,
        secret_hint=webhook.secret_hint,
        secret_set_at=webhook.secret_set_at,
        secret_shown_until=webhook.secret_shown_until,
        secret_made_by_id=webhook.secret_made_by_id,
        old_secret_until=webhook.old_until if old_secret(webhook, common_now()) else None,
        header_names=tuple(name for name, _ in stored_headers(webhook)),
        undecryptable=tuple(undecryptable_parts(webhook)),
        failures_in_row=webhook.failures_in_row,
        failing_since=webhook.failing_since,
        turns_off_at=turns_off_at(webhook, common_now()),
        fails_for=last_failure(current, webhook),
        is_backing_off=webhook.throttled,
        last_delivered_at=webhook.last_delivered_at,
        next_attempt_at=next_attempt(current, webhook),
        held=count_held(current, webhook.id),
        oldest_held_at=oldest_held(current, webhook.id),
        waits=count_waiting(current, webhook),
        oldest_open=oldest_open(current, webhook.id),
        waits_behind=count_behind(current, webhook.id) if webhook.in_order else 0,
        owner=owner.name if owner else None,
        version=webhook.version,
        created_at=webhook.created_at,
        updated_at=webhook.updated_at,
    )


def address(public_id: UUID) -> str:
    """The whole address, for those who may edit it. Raises `NotFound`."""
    return find_webhook(session(), public_id).url


def stored_values(public_id: UUID) -> WebhookValues:
    """A webhook as it was entered, its custom headers in the clear: for the form, which keeps them
    sealed, and never to be printed."""
    webhook = find_webhook(session(), public_id)
    return WebhookValues(
        **options_of(webhook),
        url=webhook.url,
        events=events_of(webhook),
        secret_mode=SecretMode.KEEP,
        headers=stored_headers(webhook),
        is_active=webhook.state == WebhookState.ACTIVE,
    )


def count_open(public_id: UUID) -> int:
    """Count the deliveries that wait or are held, each of the two `capped`."""
    current = session()
    return count_unsent(current, find_webhook(current, public_id).id)


def history(public_id: UUID) -> list[HistoryEntry]:
    """The entries of the audit trail about a webhook, the newest first."""
    current = session()
    entries = (
        select(AuditEntry)
        .where(AuditEntry.target_kind == TARGET, AuditEntry.target_id == str(public_id))
        .order_by(AuditEntry.id.desc())
        .limit(HISTORY)
    )
    shown = shown_changes(current, current.scalars(entries).all())
    return [HistoryEntry(row.at, row.actor_name, row.action, changes) for row, changes in shown]


class Listeners(NamedTuple):
    """The numbers of webhooks that get an event: `on` at once, `off` once they are turned on."""

    on: int
    off: int


def count_listeners(*events: EventName) -> Listeners:
    """Count the webhooks that asked for one of these events."""
    ids = Webhook.id.distinct()
    counts = (
        select(
            func.count(ids).filter(Webhook.state == WebhookState.ACTIVE),
            func.count(ids).filter(Webhook.state == WebhookState.OFF),
        )
        .select_from(Webhook)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(WebhookEvent.event.in_(events), Webhook.deleted_at.is_(None))
    )
    on, off = session().execute(counts).one()
    return Listeners(on, off)


@dataclass(frozen=True, slots=True)
class WebhookTrouble:
    """A webhook that needs a person. `news`: ATTENTION, or OFF when we turned it off, for
    `off_reason`. `is_urgent`: its owner gets an e-mail; until then it may pass by itself.
    """

    webhook: UUID
    name: str
    news: News
    since: datetime
    off_reason: OffReason | None = None
    is_urgent: bool = True


def troubles() -> list[WebhookTrouble]:
    """The webhooks in trouble, by name."""
    current = session()
    webhooks = select(Webhook).where(*is_shown(), in_trouble())
    rows = current.scalars(webhooks.order_by(Webhook.name, Webhook.id)).all()
    now = database_now(current.connection()) if rows else None
    return [_trouble(row, now) for row in rows if now is not None]


def _trouble(webhook: Webhook, now: datetime) -> WebhookTrouble:
    if webhook.state == WebhookState.OFF:
        since = webhook.off_at or webhook.updated_at
        reason = OffReason(webhook.off_reason) if webhook.off_reason else None
        return WebhookTrouble(webhook.public_id, webhook.name, News.OFF, since, reason)
    since = webhook.failing_since or webhook.updated_at
    is_urgent = needs_attention(webhook.failures_in_row, webhook.failing_since, now)
    return WebhookTrouble(
        webhook.public_id, webhook.name, News.ATTENTION, since, is_urgent=is_urgent
    )
