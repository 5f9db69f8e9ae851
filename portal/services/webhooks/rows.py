"""A webhook's row as the verbs take it: locked and alive; what the audit trail says of it; how much
is held for it; which are called so."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.http.address_guard import check_url, host_of
from portal.models.deliveries import Delivery, DeliveryStatus, is_open
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services.core.counting import capped
from portal.services.core.refusals import NotFound
from portal.services.core.search import any_holds
from portal.services.webhooks.inbox.address import shown_url
from portal.services.webhooks.keys.sealed_values import open_headers
from portal.services.webhooks.values import EVENT_VALUES, Headers, WebhookValues

Facts = dict[str, Any]

TARGET: Final = "webhook"
INBOX: Final = "this portal"


def find_webhook(current: Session, public_id: UUID) -> Webhook:
    """The webhook as it is now. Raises `NotFound` for one that is deleted, or a draft."""
    return _existing(current.scalars(_alive(public_id)).one_or_none())


def lock_webhook(current: Session, public_id: UUID) -> Webhook:
    """The webhook, locked until the transaction ends. Raises `NotFound`.

    `FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not wait.
    """
    locked = _alive(public_id).with_for_update(key_share=True)
    fresh = locked.execution_options(populate_existing=True)
    return _existing(current.scalars(fresh).one_or_none())


def count_held(current: Session, webhook_id: int) -> int:
    """How many deliveries are held (`capped`)."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.HELD)
    return capped(current, select(Delivery.id).where(*is_held))


def count_unsent(current: Session, webhook_id: int) -> int:
    """How many deliveries wait or are held, each of the two `capped`."""
    waiting = select(Delivery.id).where(Delivery.webhook_id == webhook_id, is_open())
    return capped(current, waiting) + count_held(current, webhook_id)


def target_of(webhook: Webhook) -> tuple[str, UUID, str]:
    """The webhook as the audit trail names it."""
    return TARGET, webhook.public_id, webhook.name


def facts_of(webhook: Webhook) -> Facts:
    """What the audit trail says about it: no secret, in its address neither, and no header
    value."""
    events = {each.event for each in webhook.subscriptions}
    return {
        "name": webhook.name,
        "url": shown_url(webhook),
        "url_is_secret": "yes" if webhook.url_is_secret else "no",
        "events": [event for event in EVENT_VALUES if event in events],
        "secret_key": "set" if webhook.secret_enc else "none",
        "custom_headers": [name for name, _ in stored_headers(webhook)],
        "in_order": "yes" if webhook.in_order else "no",
        "status": "Active" if webhook.state == WebhookState.ACTIVE else "Off",
    }


def as_made(webhook: Webhook) -> Facts:
    """All that the audit trail says about it as what has just been made."""
    return {name: {"from": None, "to": value} for name, value in facts_of(webhook).items()}


def stored_headers(webhook: Webhook) -> Headers:
    """The webhook's custom headers in the clear; none where they do not open."""
    return open_headers(webhook) or ()


def set_address(webhook: Webhook, values: WebhookValues) -> None:
    """Where it delivers to from now on: to an address, or, where none was entered, to the built-in
    inbox."""
    webhook.kind = WebhookKind.HTTP if values.url else WebhookKind.INBOX
    webhook.url = check_url(values.url) if values.url else ""
    webhook.url_is_secret = values.url_is_secret


def _alive(public_id: UUID) -> Select[Webhook]:
    return select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.deleted_at.is_(None),
        Webhook.state != WebhookState.DRAFT,
    )


def _existing(webhook: Webhook | None) -> Webhook:
    if webhook is None:
        raise NotFound("There is no such webhook. It may have been deleted.")
    return webhook


def is_shown() -> tuple[ColumnElement[bool], ...]:
    """What makes a row a webhook that people see."""
    return Webhook.deleted_at.is_(None), Webhook.state != WebhookState.DRAFT


def called(current: Session, text: str) -> list[int]:
    """The row ids of those whose name or host holds the text.

    The rest of an address may be secret: who could search for it would find it out bit by bit.
    """
    wanted = select(Webhook.id, Webhook.name, Webhook.kind, Webhook.url).where(
        *is_shown(),
        or_(any_holds((Webhook.name, Webhook.url), text), Webhook.kind == WebhookKind.INBOX),
    )
    part = text.lower()
    found = current.execute(wanted).all()
    return [row.id for row in found if part in row.name.lower() or part in place(row).lower()]


def place(webhook: Webhook | AnyRow) -> str:
    """Where it leads, as people should read it."""
    return INBOX if webhook.kind == WebhookKind.INBOX else host_of(webhook.url)
