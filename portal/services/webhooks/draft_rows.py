"""Drafts: webhooks that belong to an open form. Found, handed over to what is saved, removed."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, select, update
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, Event, Lease
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import database_time
from portal.services.outbox.removal import remove_deliveries
from portal.services.webhooks.keys.sealed_values import open_secret
from portal.services.webhooks.values import SecretMode

# After the last test; then whoever left the form has left it for good.
KEPT: Final = timedelta(hours=24)
DRAFTS_A_STEP: Final = 50


def draft_ids(current: Session) -> list[int]:
    """The row ids of all drafts, for whoever leaves their deliveries out."""
    return list(current.scalars(select(Webhook.id).where(Webhook.state == WebhookState.DRAFT)))


def own_draft(actor: Actor, public_id: UUID) -> Select[Webhook]:
    """The draft of this form, if it is this person's."""
    return select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.state == WebhookState.DRAFT,
        Webhook.owner_id == actor.user_id,
    )


def lock_draft(current: Session, actor: Actor, public_id: UUID | None) -> Webhook | None:
    """The person's draft, locked until the transaction ends; None where nothing was tested."""
    if public_id is None:
        return None
    locked = own_draft(actor, public_id).with_for_update(key_share=True)
    return current.scalars(locked.execution_options(populate_existing=True)).one_or_none()


def form_of(draft: Webhook) -> dict[str, Any]:
    """What the draft's form says beside its columns."""
    return draft.draft_form or {}


def made_secret(draft: Webhook | None, mode: SecretMode) -> str | None:
    """The secret that we made for the draft's test, if the form still wants one of ours."""
    if draft is None or draft.secret_enc is None or mode is not SecretMode.GENERATE:
        return None
    if form_of(draft).get("secret_mode") != SecretMode.GENERATE:
        return None
    return open_secret(draft.id, draft.secret_enc)


def hand_over(current: Session, draft: Webhook | None, webhook: Webhook) -> None:
    """What was saved takes over the tests that were made of it; its draft is gone."""
    if draft is None:
        return
    theirs = update(Delivery).where(Delivery.webhook_id == draft.id)
    moved = theirs.values(webhook_id=webhook.id)
    current.execute(moved.execution_options(synchronize_session=False))
    # What is being sent now is recorded by whoever sends it, as what it was claimed as.
    leased = update(Lease).where(Lease.webhook_id == draft.id).values(webhook_id=webhook.id)
    current.execute(leased.execution_options(synchronize_session=False))
    current.delete(draft)
    current.flush()


def long_left(current: Session) -> Select[int]:
    """The drafts that nobody has tested for `KEPT`, and whose deliveries nobody is sending."""
    is_draft = Webhook.state == WebhookState.DRAFT
    is_left = Webhook.updated_at < database_time(current) - KEPT
    return select(Webhook.id).where(is_draft, is_left, ~_is_sent(current))


def let_go(current: Session) -> int:
    """Remove drafts that nobody has tested for `KEPT`, with their deliveries; return how many.

    One that is being sent is left to the next time.
    """
    return _remove(current, long_left(current).order_by(Webhook.id).limit(DRAFTS_A_STEP))


def remove_of(current: Session, user_id: int) -> int:
    """Remove a person's drafts, but for one that is being sent: the clean-up takes that."""
    is_draft = Webhook.state == WebhookState.DRAFT
    return _remove(
        current, select(Webhook.id).where(is_draft, Webhook.owner_id == user_id, ~_is_sent(current))
    )


def _is_sent(current: Session) -> ColumnElement[bool]:
    now = database_time(current)
    return exists().where(Lease.webhook_id == Webhook.id, Lease.until > now)


def _remove(current: Session, wanted: Select[int]) -> int:
    ids = current.scalars(wanted.with_for_update(skip_locked=True)).all()
    theirs = select(Delivery.id).where(Delivery.webhook_id.in_(ids))
    samples = select(Delivery.event_id).where(Delivery.webhook_id.in_(ids))
    events = current.scalars(samples).all()
    remove_deliveries(current, theirs)
    current.execute(delete(Event).where(Event.id.in_(events)))
    current.execute(delete(Webhook).where(Webhook.id.in_(ids)))
    return len(ids)
