"""Take a webhook in trouble, so that others see who is looking into it.

A take is shown while the webhook is in trouble, and ends by itself soon after.
"""

from contextlib import suppress
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core.permissions import SYSTEM, Actor, require
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time, session, writing
from portal.services.webhooks import backlog as backlogs
from portal.services.webhooks.backlog import Taken, taken_of
from portal.services.webhooks.rows import is_shown, lock_webhook, target_of

PERMISSION: Final = "deliveries.retry"
IS_WELL: Final = "This webhook isn’t failing now."


class TakenByOther(Refusal):
    """A refusal because another person took the webhook, which the actor had not seen."""

    def __init__(self, taken: Taken) -> None:
        super().__init__(f"{taken.by} has taken this webhook. You can take it over.")


def take(actor: Actor, public_id: UUID, seen: datetime | None = None) -> str:
    """Record who is looking into a webhook's failures, and return its name. Raises `Refusal`.

    `seen`: the time of another person's take that is taken over.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        webhook = lock_webhook(current, public_id)
        if backlogs.of_one(current, webhook.id) is None:
            raise Refusal(IS_WELL)
        taken = taken_of(webhook)
        if taken and taken.by_id == actor.user_id:
            return webhook.name
        if taken and taken.at != seen:
            raise TakenByOther(taken)
        webhook.taken_by, webhook.taken_by_id = actor.name, actor.user_id
        webhook.taken_at = database_time(current)
        audit.record(current, actor, "webhook.taken", target=target_of(webhook))
        return webhook.name


def release(actor: Actor, public_id: UUID) -> str:
    """Record that the actor is no longer looking into it, and return the webhook's name.

    Raises `Refusal` if another person took it. Changes nothing if nobody did.
    """
    with writing() as current:
        require(current, actor, PERMISSION)
        webhook = lock_webhook(current, public_id)
        taken = taken_of(webhook)
        if taken and taken.by_id != actor.user_id:
            raise TakenByOther(taken)
        if taken:
            _forget(current, actor, "released", webhook)
        return webhook.name


def end() -> None:
    """End the takes of webhooks that are no longer in trouble."""
    taken = select(Webhook.public_id).where(Webhook.taken_at.is_not(None), *is_shown())
    for public_id in session().scalars(taken.order_by(Webhook.id)).all():
        with suppress(NotFound), writing() as current:
            webhook = lock_webhook(current, public_id)
            is_well = backlogs.of_one(current, webhook.id) is None
            if webhook.taken_at is not None and is_well:
                _forget(current, SYSTEM, "take_ended", webhook)


def _forget(current: Session, actor: Actor, verb: str, webhook: Webhook) -> None:
    webhook.taken_by = webhook.taken_by_id = webhook.taken_at = None
    audit.record(current, actor, f"webhook.{verb}", target=target_of(webhook))
