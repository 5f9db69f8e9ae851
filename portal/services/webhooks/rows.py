"""A webhook's row as the verbs take it: locked and alive; how much is held for it; which are called
so."""

from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, or_, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.http.address_guard import host_of
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services.core.counting import capped
from portal.services.core.refusals import NotFound
from portal.services.core.search import any_holds

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


def target_of(webhook: Webhook) -> tuple[str, UUID, str]:
    """The webhook as the audit trail names it."""
    return TARGET, webhook.public_id, webhook.name


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
