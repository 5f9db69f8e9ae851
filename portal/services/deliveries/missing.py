"""Why a webhook did not get what happened to an asset: event by event, the first reason that is so.

By the webhook's settings of now; those of then are not reckoned back. Where what decides was
changed after the event, its answer says so.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.conditions.facts import facts_of
from portal.engine.conditions.predicate import first_unmet
from portal.engine.conditions.sentences import fact_sentence, sentence_of
from portal.lib.clock import common_now
from portal.models.assets import Activity
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import ALL_EVENTS, Webhook, WebhookState
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log
from portal.services.deliveries.log import LogRow
from portal.services.outbox.conditions import names_in, names_of_facts
from portal.services.webhooks.rows import TARGET, events_of
from portal.services.webhooks.turn_on_off import DELETED

PERIOD: Final = timedelta(days=30)
MOST: Final = 50
# What decides which events a webhook gets.
DECIDES: Final = frozenset({"events", "conditions"})


class Verdict(StrEnum):
    """The reasons, in the order in which they are looked for."""

    DELIVERY = "delivery"
    BEFORE = "before"
    DELETED = "deleted"
    NOT_SUBSCRIBED = "not_subscribed"
    UNMET = "unmet"
    CHANGED = "changed"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class By:
    """Who did something, and when. `what`: which settings were changed."""

    name: str
    at: datetime
    what: Set[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One thing that happened to the asset. `event`: blank where it is no longer kept.

    `condition` and `fact`: as sentences, of `UNMET`.
    `changed`: who changed what decides after the event; none where it stood as it does now.
    """

    at: datetime
    event: str
    verdict: Verdict
    delivery: LogRow | None = None
    condition: str = ""
    fact: str = ""
    changed: By | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What happened to an asset in `PERIOD`, the newest first, at most `MOST`. `deleted`: who
    deleted the webhook."""

    webhook: UUID
    name: str
    deleted: By | None
    answers: Sequence[Answer]


def look(public_id: UUID, asset_id: int) -> Missing | None:
    """Return why this webhook did or didn't get what happened; None where there is none."""
    current = session()
    webhook = current.scalars(
        select(Webhook).where(Webhook.public_id == public_id, Webhook.state != WebhookState.DRAFT)
    ).one_or_none()
    if webhook is None:
        return None
    happened = current.execute(
        select(Activity.at, Event)
        .outerjoin(Event, Event.id == Activity.event_id)
        .where(Activity.asset_id == asset_id, Activity.at >= common_now() - PERIOD)
        .order_by(Activity.id.desc())
        .limit(MOST)
    ).all()
    ids = [event.id for _, event in happened if event]
    theirs = _deliveries(current, webhook, ids)
    changes = _changes(current, public_id)
    return Missing(
        webhook=public_id,
        name=webhook.name,
        deleted=_last(current, public_id, DELETED) if webhook.deleted_at else None,
        answers=[_answer(webhook, at, event, theirs, changes) for at, event in happened],
    )


def _deliveries(current: Session, webhook: Webhook, event_ids: Sequence[int]) -> dict[int, LogRow]:
    """Return its deliveries by event."""
    ids = select(Delivery.id).where(
        Delivery.webhook_id == webhook.id, Delivery.event_id.in_(event_ids)
    )
    rows = log.of_ids(current.scalars(ids).all()) if event_ids else ()
    return {row.event_id: row for row in rows}


def _answer(
    webhook: Webhook,
    at: datetime,
    event: Event | None,
    deliveries: dict[int, LogRow],
    changes: Sequence[By],
) -> Answer:
    if event is None:
        return Answer(at=at, event="", verdict=Verdict.GONE)
    if delivery := deliveries.get(event.id):
        return Answer(at=at, event=event.event, verdict=Verdict.DELIVERY, delivery=delivery)
    if event.occurred_at < webhook.created_at:
        return Answer(at=at, event=event.event, verdict=Verdict.BEFORE)
    if webhook.deleted_at and event.occurred_at >= webhook.deleted_at:
        return Answer(at=at, event=event.event, verdict=Verdict.DELETED)
    if not {event.event, ALL_EVENTS} & set(events_of(webhook)):
        changed = _first(changes, event.occurred_at, {"events"})
        return Answer(at=at, event=event.event, verdict=Verdict.NOT_SUBSCRIBED, changed=changed)
    facts = facts_of(event.body)
    if condition := first_unmet(webhook.conditions, facts):
        return Answer(
            at=at,
            event=event.event,
            verdict=Verdict.UNMET,
            condition=sentence_of(condition, names_in([condition])),
            fact=fact_sentence(condition.field, facts, names_of_facts(facts)),
            changed=_first(changes, event.occurred_at, {"conditions"}),
        )
    if changed := _first(changes, event.occurred_at, DECIDES):
        return Answer(at=at, event=event.event, verdict=Verdict.CHANGED, changed=changed)
    return Answer(at=at, event=event.event, verdict=Verdict.UNKNOWN)


def _first(changes: Sequence[By], since: datetime, settings: Set[str]) -> By | None:
    """Return the first change, afterwards, of one of these settings."""
    return next((by for by in changes if by.at >= since and settings & by.what), None)


def _changes(current: Session, public_id: UUID) -> Sequence[By]:
    """Return the changes of what decides which events it gets, the oldest first."""
    changes = current.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.target_kind == TARGET,
            AuditEntry.target_id == str(public_id),
            AuditEntry.action == "webhook.changed",
            AuditEntry.at >= common_now() - PERIOD,
        )
        .order_by(AuditEntry.id)
    )
    return [
        By(each.actor_name, each.at, what)
        for each in changes
        if (what := DECIDES & each.changes.keys())
    ]


def _last(current: Session, public_id: UUID, action: str) -> By | None:
    entry = current.scalars(
        select(AuditEntry)
        .where(
            AuditEntry.target_kind == TARGET,
            AuditEntry.target_id == str(public_id),
            AuditEntry.action == action,
        )
        .order_by(AuditEntry.id.desc())
    ).first()
    return By(entry.actor_name, entry.at) if entry else None
