"""What the pages show of webhooks: never a secret, never a header value."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select

from portal.engine.events.names import EventName
from portal.lib.clock import common_now
from portal.lib.paging import Page
from portal.models.audit import AuditEntry
from portal.models.people import User
from portal.models.webhooks import Webhook, WebhookEvent, WebhookKind, WebhookState
from portal.services.audit import shown_changes
from portal.services.core.keyset import by_name
from portal.services.core.unit_of_work import session
from portal.services.outbox.due import count_behind
from portal.services.webhooks.held_deliveries import count_waiting
from portal.services.webhooks.rows import (
    TARGET,
    called,
    closed_parts,
    count_held,
    count_unsent,
    find_webhook,
    is_shown,
    place,
    shown_url,
    stored_headers,
)
from portal.services.webhooks.secrets import old_secret
from portal.services.webhooks.summary import (
    Latest,
    ListedWebhook,
    Standing,
    last_failure,
    listed,
    next_try,
    oldest_held,
    oldest_open,
    severity,
    standing_of,
    turns_off_at,
    wants_a_look,
    youngest,
)
from portal.services.webhooks.values import EVENT_VALUES

HISTORY: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDetail:
    """A webhook on its page and in its form. `url` is without what is secret in it, see `address`;
    `held` is `capped`; `oldest_held_at`: of these.

    `fails_for`: reason and code of what failed last, while it fails. `is_left_alone`: its receiver
    is in trouble, so that only a probe goes now and then, until anything arrives, a test too.
    `turns_off_at`: when we turn it off, once that is near. `waits`: what waits for a later retry
    although the webhook is well (`capped`). `oldest_open`: of all that is still to be sent.
    `closed`: which parts of what is stored sealed cannot be opened. `waits_behind`: how many wait
    for an older one, in order (`capped`).
    """

    public_id: UUID
    name: str
    url: str
    url_is_secret: bool
    host: str
    is_inbox: bool
    standing: Standing
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
    closed: tuple[str, ...]
    in_order: bool
    failures_in_row: int
    failing_since: datetime | None
    turns_off_at: datetime | None
    fails_for: tuple[str | None, int | None]
    is_left_alone: bool
    last_delivered_at: datetime | None
    next_try_at: datetime | None
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
    """One entry of a webhook's history. `changes`: {field: {from, to}}."""

    at: datetime
    by: str
    action: str
    changes: dict[str, Any]


class WebhookOrder(StrEnum):
    """What the list is sorted by: the worst first, by name, or what was sent last first."""

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
    """One page; of two alike by name. `search`: only those whose name or host holds it. `reverse`:
    the other way round."""
    wanted = select(Webhook.id).where(*is_shown())
    if search:
        wanted = wanted.where(Webhook.id.in_(called(session(), search)))
    ranks = {
        WebhookOrder.STATUS: severity(),
        WebhookOrder.NAME: None,
        WebhookOrder.LAST: -func.coalesce(youngest(), 0),
    }
    page = by_name(
        wanted, Webhook.name, Webhook.id, cursor, int, rank=ranks[order], reverse=reverse
    )
    return Page(listed(session(), page.rows), page.newer, page.older)


def count_on_and_off() -> tuple[int, int]:
    """How many webhooks are on, and how many are off."""
    is_on = Webhook.state == WebhookState.ACTIVE
    wanted = select(func.count(), func.count().filter(is_on)).where(*is_shown())
    total, on = session().execute(wanted).one()
    return on, total - on


def show(public_id: UUID) -> WebhookDetail:
    """One webhook. Raises `NotFound`."""
    current = session()
    webhook = find_webhook(current, public_id)
    owner = current.get(User, webhook.owner_id) if webhook.owner_id else None
    chosen = {each.event for each in webhook.subscriptions}
    return WebhookDetail(
        public_id=webhook.public_id,
        name=webhook.name,
        url=shown_url(webhook),
        url_is_secret=webhook.url_is_secret,
        host=place(webhook),
        is_inbox=webhook.kind == WebhookKind.INBOX,
        standing=standing_of(webhook),
        needs_attention=wants_a_look(webhook),
        is_active=webhook.state == WebhookState.ACTIVE,
        off_reason=webhook.off_reason,
        off_at=webhook.off_at,
        events=tuple(value for value in EVENT_VALUES if value in chosen),
        has_secret=webhook.secret_enc is not None,
        secret_hint=webhook.secret_hint,
        secret_set_at=webhook.secret_set_at,
        secret_shown_until=webhook.secret_shown_until,
        secret_made_by_id=webhook.secret_made_by_id,
        old_secret_until=webhook.old_until if old_secret(webhook, common_now()) else None,
        header_names=tuple(name for name, _ in stored_headers(webhook)),
        closed=tuple(closed_parts(webhook)),
        in_order=webhook.in_order,
        failures_in_row=webhook.failures_in_row,
        failing_since=webhook.failing_since,
        turns_off_at=turns_off_at(webhook, common_now()),
        fails_for=last_failure(current, webhook),
        is_left_alone=webhook.throttled,
        last_delivered_at=webhook.last_delivered_at,
        next_try_at=next_try(current, webhook),
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
    """The address as it is sent to: for those who may edit it. Raises `NotFound`."""
    return find_webhook(session(), public_id).url


def header_values(public_id: UUID) -> tuple[tuple[str, str], ...]:
    """The custom headers in the clear, for the form that keeps them sealed. Never to be printed."""
    return stored_headers(find_webhook(session(), public_id))


def count_open(public_id: UUID) -> int:
    """How many deliveries wait or are held, each of the two `capped`."""
    current = session()
    return count_unsent(current, find_webhook(current, public_id).id)


def history(public_id: UUID) -> list[HistoryEntry]:
    """Who changed what, the youngest first."""
    current = session()
    entries = (
        select(AuditEntry)
        .where(AuditEntry.target_kind == TARGET, AuditEntry.target_id == str(public_id))
        .order_by(AuditEntry.id.desc())
        .limit(HISTORY)
    )
    found = shown_changes(current, current.scalars(entries).all())
    return [HistoryEntry(each.at, each.actor_name, each.action, seen) for each, seen in found]


class Listeners(NamedTuple):
    """How many webhooks hear of something: `on` at once, `off` once they are turned on."""

    on: int
    off: int


def count_listeners(*events: EventName) -> Listeners:
    """How many webhooks asked for one of these events."""
    one = Webhook.id.distinct()
    wanted = (
        select(
            func.count(one).filter(Webhook.state == WebhookState.ACTIVE),
            func.count(one).filter(Webhook.state == WebhookState.OFF),
        )
        .select_from(Webhook)
        .join(WebhookEvent, WebhookEvent.webhook_id == Webhook.id)
        .where(WebhookEvent.event.in_(events), Webhook.deleted_at.is_(None))
    )
    on, off = session().execute(wanted).one()
    return Listeners(on, off)
