"""Deciding one by one about what was held while a webhook was off."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.webhooks import WebhookState
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.outbox.sending_switch import refuse_while_stopped
from portal.services.webhooks.activation import (
    HeldChoice,
    hold_open,
    record_decided,
    set_on,
    settle_held,
)
from portal.services.webhooks.rows import find_webhook, lock_webhook

CHUNK: Final = 500
NEWER: Final = (
    "More happened while you were choosing. It is on the list now: look at it, then turn it on."
)


class Rest(StrEnum):
    """What becomes of those that were not chosen."""

    KEEP = "keep"
    DISCARD = "discard"


class Seen(NamedTuple):
    """What was held when the person looked: the row id of the newest, and how many they were."""

    newest: int
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldDecision:
    """`send`: public ids of deliveries. `seen`: what the person could have looked at."""

    send: Collection[UUID]
    rest: Rest
    seen: Seen


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of it, by the webhook's name."""

    name: str
    sent: int
    discarded: int


def look(public_id: UUID) -> Seen:
    """What is held now. Reads only."""
    current = session()
    return _look(current, find_webhook(current, public_id).id)


def decide(actor: Actor, public_id: UUID, choice: HeldDecision) -> Decided:
    """Send the chosen ones, discard or keep the rest, and turn the webhook on: all at once.

    Raises `Refusal` when something was held that the person has not seen: the webhook stays as it
    is, so that nothing goes ahead of it, and nothing is discarded with it. It may be older than
    what was seen: it was being sent when the webhook was turned off, and did not arrive. Nothing
    is chosen to be sent while all sending is stopped, either.
    """
    with writing() as current:
        require(current, actor, "webhooks.switch")
        if choice.send:
            refuse_while_stopped()
        webhook = lock_webhook(current, public_id)
        hold_open(current, webhook.id, every=True)
        now = _look(current, webhook.id)
        if now.newest > choice.seen.newest or now.total > choice.seen.total:
            raise Refusal(NEWER)
        was_off = webhook.state == WebhookState.OFF
        set_on(webhook)
        sent = sum(
            settle_held(current, webhook.id, HeldChoice.SEND, actor, Delivery.public_id.in_(some))
            for some in _chunks(choice.send)
        )
        discarded = 0
        if choice.rest is Rest.DISCARD:
            discarded = settle_held(current, webhook.id, HeldChoice.DISCARD, actor)
        counts = {HeldChoice.SEND: sent, HeldChoice.DISCARD: discarded}
        record_decided(current, actor, webhook, was_off, counts)
        return Decided(webhook.name, sent, discarded)


def _chunks(ids: Collection[UUID]) -> Iterator[list[UUID]]:
    every = sorted(ids)
    yield from (every[start : start + CHUNK] for start in range(0, len(every), CHUNK))


def _look(current: Session, webhook_id: int) -> Seen:
    held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.HELD)
    row = current.execute(select(func.max(Delivery.id), func.count()).where(*held)).one()
    return Seen(row[0] or 0, row[1])
