"""Read webhooks for pages. Never returns a secret, and returns header values only for the form."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ScalarSelect,
    Select,
    bindparam,
    case,
    func,
    literal,
    select,
    tuple_,
)
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.circuit_breaker import announced_end
from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason, alike
from portal.lib.clock import common_now
from portal.lib.paging import Page
from portal.models.audit import AuditEntry
from portal.models.deliveries import (
    Attempt,
    Delivery,
    DeliveryStatus,
    Priority,
    is_failed_attempt,
    is_failing,
    is_open,
)
from portal.models.webhooks import (
    ALL_EVENTS,
    OURS,
    OffReason,
    Webhook,
    WebhookEvent,
    WebhookKind,
    WebhookState,
)
from portal.services.audit import shown_changes
from portal.services.core.keyset import FIRST_ID, LAST_ID, by_name, newest_first
from portal.services.core.unit_of_work import session
from portal.services.outbox.claimable import count_behind
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks import notes, watches
from portal.services.webhooks.backlog import Backlog, Cause, WebhookStatus
from portal.services.webhooks.held_deliveries import count_waiting
from portal.services.webhooks.notes import Note
from portal.services.webhooks.rows import (
    TARGET,
    called,
    count_held,
    count_unsent,
    events_of,
    find_webhook,
    is_shown,
    oldest_held,
    options_of,
    place,
    shown_url,
    stored_headers,
    undecryptable_parts,
)
from portal.services.webhooks.rules import SecretMode, WebhookOptions, WebhookValues
from portal.services.webhooks.secrets import old_secret

HISTORY: Final = 100  # entries
EXAMPLES: Final = 3
MOST_CAUSES: Final = 10
MOST_READ: Final = 30  # several may be of one delivery
ATTEMPTED: Final = (DeliveryStatus.DELIVERED, DeliveryStatus.RETRYING, DeliveryStatus.FAILED)


@dataclass(frozen=True, slots=True)
class Latest:
    """A summary of one delivery."""

    public_id: UUID
    status: DeliveryStatus
    created_at: datetime

    @property
    def is_attempted(self) -> bool:
        """Return whether its status is the result of an attempt."""
        return self.status in ATTEMPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedWebhook:
    """A webhook in the list.

    `last`: the newest delivery, without tests. `last_test`: only if there is no such delivery.
    `turns_off_at`: the time when we turn it off, if soon. `off_until`: the time when we turn it on.
    `event_count`: None if it is subscribed to all events. `has_conditions`: it gets only events
    that meet them. `backlog`: its undelivered deliveries, or None while it is healthy. `held`: the
    number of deliveries on hold, if a person turned it off.
    """

    public_id: UUID
    name: str
    host: str
    format: str | None
    status: WebhookStatus
    backlog: Backlog | None
    off_reason: str | None
    off_until: datetime | None
    turns_off_at: datetime | None
    event_count: int | None
    has_conditions: bool
    last: Latest | None
    note: Note | None
    last_test: Latest | None = None
    held: int = 0


@cache
def youngest() -> ScalarSelect[int]:
    """Select the row id of the newest delivery of the enclosing query's webhook, tests excluded.

    The bounds are one tuple, as in `log_query.py`. With the webhook's id alone, PostgreSQL may read
    the whole log backward for a webhook that has been quiet for long.
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


def _last_tests(current: Session, ids: Sequence[int]) -> dict[int, Latest]:
    """Return the last tests of these webhooks, which have no other deliveries, by row id."""
    if not ids:
        return {}
    of_each = select(Delivery.webhook_id, func.max(Delivery.id)).group_by(Delivery.webhook_id)
    last = current.execute(of_each.where(Delivery.webhook_id.in_(ids))).all()
    latest = latest_of(current, [last_id for _, last_id in last])
    return {row_id: latest[last_id] for row_id, last_id in last}


def latest_of(current: Session, ids: Sequence[int]) -> dict[int, Latest]:
    """Return summaries of these deliveries by row id."""
    if not ids:
        return {}
    columns = (Delivery.id, Delivery.public_id, Delivery.status, Delivery.created_at)
    rows = current.execute(select(*columns).where(Delivery.id.in_(ids)))
    return {
        row.id: Latest(row.public_id, DeliveryStatus(row.status), row.created_at) for row in rows
    }


def oldest_open(current: Session, webhook_id: int) -> Latest | None:
    """Return the oldest open delivery, tests included."""
    first = (
        select(Delivery.public_id, Delivery.status, Delivery.created_at)
        .where(Delivery.webhook_id == webhook_id, is_open())
        .order_by(Delivery.id)
        .limit(1)
    )
    row = current.execute(first).one_or_none()
    return Latest(row.public_id, DeliveryStatus(row.status), row.created_at) if row else None


def listed(current: Session, ids: Sequence[int]) -> list[ListedWebhook]:
    """Return webhooks as the list shows them, in the order of `ids`."""
    rows = {row.id: row for row in current.execute(_listed(), {"ids": ids})}
    last_ids = [row.last_id for row in rows.values() if row.last_id]
    latest = latest_of(current, last_ids)
    tests = _last_tests(current, [row.id for row in rows.values() if not row.last_id])
    backlog_by_id = backlogs.of_ids(current, ids)
    off = [
        row.id
        for row in rows.values()
        if row.state == WebhookState.OFF and row.id not in backlog_by_id
    ]
    held = {row_id: count_held(current, row_id) for row_id in off}
    now = common_now()
    return [
        ListedWebhook(
            public_id=row.public_id,
            name=row.name,
            host=place(row),
            format=row.format,
            status=backlogs.status_of(row, backlog_by_id.get(row.id)),
            backlog=backlog_by_id.get(row.id),
            off_reason=row.off_reason,
            off_until=row.off_until,
            turns_off_at=turns_off_at(row, now),
            event_count=row.event_count,
            has_conditions=row.has_conditions,
            last=latest.get(row.last_id),
            note=notes.note_of(row),
            last_test=tests.get(row.id),
            held=held.get(row.id, 0),
        )
        for row in map(rows.__getitem__, ids)
    ]


@cache
def _listed() -> Select[*tuple[Any, ...]]:
    is_all = func.count().filter(WebhookEvent.event == ALL_EVENTS) > 0
    events = (
        select(case((is_all, None), else_=func.count()))
        .where(WebhookEvent.webhook_id == Webhook.id)
        .scalar_subquery()
    )
    return select(
        Webhook.id,
        Webhook.public_id,
        Webhook.name,
        Webhook.kind,
        Webhook.url,
        Webhook.format,
        Webhook.state,
        Webhook.off_reason,
        Webhook.off_until,
        Webhook.failures_in_row,
        Webhook.failing_since,
        Webhook.stopped_for,
        events.label("event_count"),
        Webhook.conditions.is_not(None).label("has_conditions"),
        youngest().label("last_id"),
        *notes.COLUMNS,
    ).where(Webhook.id.in_(bindparam("ids", expanding=True)))


def turns_off_at(webhook: Webhook | AnyRow, now: datetime) -> datetime | None:
    """Return the time when we turn the webhook off, if that is near."""
    if webhook.state != WebhookState.ACTIVE:
        return None
    since, stopped_for = webhook.failing_since, webhook.stopped_for
    return announced_end(webhook.failures_in_row, since, now, stopped_for)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDetail(WebhookOptions):
    """A webhook on its page. `url` is without its secret parts.

    `held`, `waits`, and `waits_behind` are `capped`. `waits`: the number that *Resume now* sends.
    `events`: as stored. `backlog`: its undelivered deliveries, or None while it is healthy.
    `is_backing_off`: only probes are sent until anything arrives, including a test. `turns_off_at`:
    the time when we turn it off, if near. `oldest_open`: of all that is still to be sent.
    `undecryptable`: the stored parts that can't be decrypted. `waits_behind`: the number that wait
    for an older one, in order. `owner`: the name, or None if that person can't sign in any more.
    """

    public_id: UUID
    url: str
    host: str
    is_inbox: bool
    status: WebhookStatus
    backlog: Backlog | None
    is_active: bool
    off_reason: str | None
    off_at: datetime | None
    off_until: datetime | None
    events: tuple[str, ...]
    has_secret: bool
    secret_hint: str
    secret_set_at: datetime | None
    secret_shown_until: datetime | None
    secret_made_by_id: int | None
    old_secret_until: datetime | None
    header_names: tuple[str, ...]
    undecryptable: tuple[str, ...]
    turns_off_at: datetime | None
    is_backing_off: bool
    last_delivered_at: datetime | None
    held: int
    oldest_held_at: datetime | None
    waits: int
    oldest_open: Latest | None
    waits_behind: int
    owner: str | None
    note: Note | None
    version: int
    created_at: datetime

    @property
    def is_off_by_us(self) -> bool:
        """Return whether the portal turned it off, not a person."""
        return self.off_reason in OURS

    @property
    def is_asked_about(self) -> bool:
        """Return whether a person has to answer a question before it is turned on."""
        return bool(self.held) or self.off_reason == OffReason.GONE


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One entry of the audit trail. `changes`: {field: {from, to}}."""

    at: datetime
    by: str
    action: str
    changes: dict[str, Any]


class WebhookOrder(StrEnum):
    """Orders of the list, which are worst first, by name, and latest delivery first."""

    STATUS = "status"
    NAME = "name"
    LAST = "last"


def list_webhooks(
    search: str = "",
    cursor: str | None = None,
    order: WebhookOrder = WebhookOrder.STATUS,
    *,
    reverse: bool = False,
    in_trouble: bool = False,
) -> Page[ListedWebhook]:
    """Return one page, with equal ranks ordered by name.

    `search`: only webhooks with a name, host, or format that contains it. `in_trouble`: only
    webhooks in trouble.
    """
    listed_ids = select(Webhook.id).where(*is_shown())
    if in_trouble:
        listed_ids = listed_ids.where(backlogs.is_in_trouble())
    if search:
        listed_ids = listed_ids.where(Webhook.id.in_(called(session(), search)))
    ranks = {
        WebhookOrder.STATUS: backlogs.severity(),
        WebhookOrder.NAME: None,
        WebhookOrder.LAST: -func.coalesce(youngest(), 0),
    }
    page = by_name(
        listed_ids, Webhook.name, Webhook.id, cursor, int, rank=ranks[order], reverse=reverse
    )
    return Page(listed(session(), page.rows), page.newer, page.older)


def find_page(cursor: str | None = None, size: int | None = None, url: str = "") -> Page[Webhook]:
    """Return one page of shown webhooks, newest first. `url`: only those with exactly this URL."""
    shown = select(Webhook).where(*is_shown())
    return newest_first(shown.where(Webhook.url == url) if url else shown, Webhook.id, cursor, size)


def of_token(token_id: int) -> Sequence[tuple[UUID, str]]:
    """Return (public id, name) of the webhooks that an API token created, by name."""
    query = select(Webhook.public_id, Webhook.name).where(*is_shown(), Webhook.token_id == token_id)
    rows = session().execute(query.order_by(func.lower(Webhook.name)))
    return [(row.public_id, row.name) for row in rows]


def count_on_and_off() -> tuple[int, int]:
    """Return the number of webhooks that are on, and of those that are off."""
    is_on = Webhook.state == WebhookState.ACTIVE
    counts = select(func.count(), func.count().filter(is_on)).where(*is_shown())
    total, on = session().execute(counts).one()
    return on, total - on


def show(public_id: UUID) -> WebhookDetail:
    """Return one webhook. Raises `NotFound`."""
    current = session()
    webhook = find_webhook(current, public_id)
    owner = watches.owner_of(webhook)
    undelivered = backlogs.of_one(current, webhook.id)
    return WebhookDetail(
        **options_of(webhook),
        public_id=webhook.public_id,
        url=shown_url(webhook),
        host=place(webhook),
        is_inbox=webhook.kind == WebhookKind.INBOX,
        status=backlogs.status_of(webhook, undelivered),
        backlog=undelivered,
        is_active=webhook.state == WebhookState.ACTIVE,
        off_reason=webhook.off_reason,
        off_at=webhook.off_at,
        off_until=webhook.off_until,
        events=events_of(webhook),
        has_secret=webhook.secret_enc is not None,
        secret_hint=webhook.secret_hint,
        secret_set_at=webhook.secret_set_at,
        secret_shown_until=webhook.secret_shown_until,
        secret_made_by_id=webhook.secret_made_by_id,
        old_secret_until=webhook.old_until if old_secret(webhook, common_now()) else None,
        header_names=tuple(name for name, _ in stored_headers(webhook)),
        undecryptable=tuple(undecryptable_parts(webhook)),
        turns_off_at=turns_off_at(webhook, common_now()),
        is_backing_off=webhook.throttled,
        last_delivered_at=webhook.last_delivered_at,
        held=count_held(current, webhook.id),
        oldest_held_at=oldest_held(current, webhook.id),
        waits=count_waiting(current, webhook),
        oldest_open=oldest_open(current, webhook.id),
        waits_behind=count_behind(current, webhook.id) if webhook.in_order else 0,
        owner=owner.name if owner else None,
        note=notes.note_of(webhook),
        version=webhook.version,
        created_at=webhook.created_at,
    )


class LastFailure(NamedTuple):
    """A delivery's last failed attempt, and its reason."""

    public_id: UUID
    at: datetime
    reason: Reason | None
    code: int | None


def last_failures(backlog: Backlog, cause: Cause | None = None) -> list[LastFailure]:
    """Return the deliveries that failed last, latest first, at most `EXAMPLES`. `cause`: only of
    this."""
    failures = (
        select(Delivery.public_id, Attempt.finished_at, Attempt.reason, Attempt.code)
        .join(Attempt, Attempt.delivery_id == Delivery.id)
        .where(Delivery.webhook_id == backlog.webhook_id, is_failing(), is_failed_attempt())
        .order_by(Attempt.finished_at.desc(), Attempt.delivery_id.desc())
        .limit(MOST_READ)
    )
    if cause is not None:
        if cause.reason is None:
            return []
        failures = failures.where(
            Attempt.reason.in_(alike(cause.reason)),
            Attempt.code == cause.code if cause.code else Attempt.code.is_(None),
        )
    by_delivery: dict[UUID, LastFailure] = {}
    for public_id, at, reason, code in session().execute(failures):
        if at and public_id not in by_delivery:
            why = alike(Reason(reason))[0] if reason else None
            by_delivery[public_id] = LastFailure(public_id, at, why, code)
    return list(by_delivery.values())[:EXAMPLES]


def examples(backlog: Backlog) -> dict[Cause, int]:
    """Return one delivery (row id) for each of the most common causes that have a response."""
    known = [each for each in backlog.causes if each.code][:MOST_CAUSES]
    found = _examples([(backlog.webhook_id, each) for each in known])
    return {cause: row_id for (_, cause), row_id in found.items()}


def examples_of(found: Sequence[Backlog]) -> dict[UUID, int]:
    """Return one delivery (row id) per webhook for its most common cause, if that has a
    response."""
    causes = {
        backlog.public_id: (backlog.webhook_id, backlog.cause) for backlog in found if backlog.cause
    }
    ids = _examples([key for key in causes.values() if key[1].code])
    return {public_id: ids[key] for public_id, key in causes.items() if key in ids}


def _examples(causes: Sequence[tuple[int, Cause]]) -> dict[tuple[int, Cause], int]:
    """Return one delivery (row id) for each cause of a webhook (row id)."""

    def one(webhook_id: int, cause: Cause, reason: Reason) -> ScalarSelect[int]:
        conditions = Delivery.webhook_id == webhook_id, is_failing(), Delivery.code == cause.code
        query = select(Delivery.id).where(*conditions, Delivery.reason.in_(alike(reason)))
        # The end of the index of failing deliveries, where those being retried are.
        newest = query.order_by(Delivery.status.desc(), Delivery.failing_since.desc())
        return newest.limit(1).scalar_subquery()

    queries = {key: one(*key, key[1].reason) for key in causes if key[1].reason}
    row = session().execute(select(*queries.values())).one() if queries else ()
    return {key: row_id for key, row_id in zip(queries, row, strict=True) if row_id}


def address(public_id: UUID) -> str:
    """Return the whole URL, for people who are allowed to edit it. Raises `NotFound`."""
    return find_webhook(session(), public_id).url


def stored_values(public_id: UUID) -> WebhookValues:
    """Return a webhook as it was entered, with its custom headers in the clear.

    Meant for the form, which keeps them sealed. Never print the result.
    """
    webhook = find_webhook(session(), public_id)
    owner = watches.owner_of(webhook)
    return WebhookValues(
        **options_of(webhook),
        url=webhook.url,
        events=events_of(webhook),
        secret_mode=SecretMode.KEEP,
        headers=stored_headers(webhook),
        is_active=webhook.state == WebhookState.ACTIVE,
        owner=owner.public_id if owner else None,
    )


def count_open(public_id: UUID) -> int:
    """Count open and held deliveries, each `capped`."""
    current = session()
    return count_unsent(current, find_webhook(current, public_id).id)


def history(public_id: UUID) -> list[HistoryEntry]:
    """Return the audit entries about a webhook, newest first."""
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
    """Counts of webhooks that get an event now (`on`), or after they are turned on (`off`).

    `narrowed`: those with conditions, which can exclude the event.
    """

    on: int
    off: int
    narrowed: int


def count_listeners(*events: EventName) -> Listeners:
    """Count the webhooks that are subscribed to one of these events."""
    ids = Webhook.id.distinct()
    counts = (
        select(
            func.count(ids).filter(Webhook.state == WebhookState.ACTIVE),
            func.count(ids).filter(Webhook.state == WebhookState.OFF),
            func.count(ids).filter(
                Webhook.state != WebhookState.DRAFT, Webhook.conditions.is_not(None)
            ),
        )
        .select_from(Webhook)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(WebhookEvent.event.in_((*events, ALL_EVENTS)), Webhook.deleted_at.is_(None))
    )
    return Listeners(*session().execute(counts).one())
