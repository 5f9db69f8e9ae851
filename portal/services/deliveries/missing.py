"""Explain why a webhook did not get an asset's events, with the first reason that applies to each.

The checks use the webhook's current settings. An answer says so if the deciding settings changed
after its event.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from portal.engine.conditions.facts import Facts, facts_of
from portal.engine.conditions.predicate import conditions_in, first_unmet
from portal.engine.conditions.sentences import Names, fact_sentence, sentence_of
from portal.lib.clock import common_now
from portal.models.assets import Activity
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import ALL_EVENTS, Webhook, WebhookState
from portal.services.core.unit_of_work import session
from portal.services.deliveries import log
from portal.services.deliveries.log import LogRow
from portal.services.outbox.conditions import named_by, names_in
from portal.services.webhooks.rows import TARGET, events_of
from portal.services.webhooks.turn_on_off import DELETED

PERIOD: Final = timedelta(days=30)
MOST: Final = 50
# The settings that decide which events a webhook gets.
DECIDES: Final = frozenset({"events", "conditions"})


class Verdict(StrEnum):
    """Reasons, in the order in which they are checked, except that `GONE` is checked first."""

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
    """The author and time of a change. `what`: the changed settings."""

    name: str
    at: datetime
    what: Set[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The verdict on one activity of the asset. `event`: blank if it is no longer kept.

    `condition`, `fact`: sentences, only for `UNMET`. `changed`: the first change of the deciding
    settings after the event, if any.
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
    """At most `MOST` answers about an asset's events in `PERIOD`, newest first.

    `deleted`: the author and time of the webhook's deletion.
    """

    webhook: UUID
    name: str
    deleted: By | None
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything read from the database. `deliveries` and `facts` are by event id.

    `trail`: the audit entries about the webhook's changes and its deletion, oldest first.
    """

    webhook: Webhook
    deliveries: dict[int, LogRow]
    facts: dict[int, Facts]
    names: Names
    trail: Sequence[AuditEntry]

    @property
    def deleted(self) -> By | None:
        """Return the author and time of the webhook's deletion, if any."""
        ends = [entry for entry in self.trail if entry.action == DELETED]
        return By(ends[-1].actor_name, ends[-1].at) if ends else None

    def first_change(self, since: datetime, settings: Set[str]) -> By | None:
        """Return the first change of one of these settings at or after `since`."""
        changes = (
            By(entry.actor_name, entry.at, DECIDES & entry.changes.keys()) for entry in self.trail
        )
        return next((by for by in changes if by.at >= since and settings & by.what), None)


def look(public_id: UUID, asset_id: int) -> Missing | None:
    """Return the answers about this webhook and asset, or None if there is no such webhook."""
    current = session()
    webhook = current.scalars(
        select(Webhook).where(Webhook.public_id == public_id, Webhook.state != WebhookState.DRAFT)
    ).one_or_none()
    if webhook is None:
        return None
    activities = current.execute(
        select(Activity.at, Event)
        .outerjoin(Event, Event.id == Activity.event_id)
        .where(Activity.asset_id == asset_id, Activity.at >= common_now() - PERIOD)
        .order_by(Activity.id.desc())
        .limit(MOST)
    ).all()
    deliveries = _deliveries(current, webhook, [event.id for _, event in activities if event])
    unsent = [event for _, event in activities if event and event.id not in deliveries]
    facts = {event.id: facts_of(event.body) for event in unsent}
    named = [*conditions_in(webhook.conditions), *named_by(facts.values())]
    known = _Known(webhook, deliveries, facts, names_in(named), _trail(current, public_id))
    return Missing(
        webhook=public_id,
        name=webhook.name,
        deleted=known.deleted,
        answers=[_answer(known, at, event) for at, event in activities],
    )


def _deliveries(current: Session, webhook: Webhook, event_ids: Sequence[int]) -> dict[int, LogRow]:
    """Return the webhook's deliveries by event id."""
    ids = select(Delivery.id).where(
        Delivery.webhook_id == webhook.id, Delivery.event_id.in_(event_ids)
    )
    rows = log.of_ids(current.scalars(ids).all()) if event_ids else ()
    return {row.event_id: row for row in rows}


def _answer(known: _Known, at: datetime, event: Event | None) -> Answer:
    webhook = known.webhook
    if event is None:
        return Answer(at=at, event="", verdict=Verdict.GONE)
    if delivery := known.deliveries.get(event.id):
        return Answer(at=at, event=event.event, verdict=Verdict.DELIVERY, delivery=delivery)
    if event.occurred_at < webhook.created_at:
        return Answer(at=at, event=event.event, verdict=Verdict.BEFORE)
    if webhook.deleted_at and event.occurred_at >= webhook.deleted_at:
        return Answer(at=at, event=event.event, verdict=Verdict.DELETED)
    if not {event.event, ALL_EVENTS} & set(events_of(webhook)):
        changed = known.first_change(event.occurred_at, {"events"})
        return Answer(at=at, event=event.event, verdict=Verdict.NOT_SUBSCRIBED, changed=changed)
    facts = known.facts[event.id]
    if condition := first_unmet(webhook.conditions, facts):
        return Answer(
            at=at,
            event=event.event,
            verdict=Verdict.UNMET,
            condition=sentence_of(condition, known.names),
            fact=fact_sentence(condition.field, facts, known.names),
            changed=known.first_change(event.occurred_at, {"conditions"}),
        )
    if changed := known.first_change(event.occurred_at, DECIDES):
        return Answer(at=at, event=event.event, verdict=Verdict.CHANGED, changed=changed)
    return Answer(at=at, event=event.event, verdict=Verdict.UNKNOWN)


def _trail(current: Session, public_id: UUID) -> Sequence[AuditEntry]:
    """Return the audit entries about the webhook's changes in `PERIOD` and about its deletion."""
    about = AuditEntry.target_kind == TARGET, AuditEntry.target_id == str(public_id)
    changed = and_(AuditEntry.action == "webhook.changed", AuditEntry.at >= common_now() - PERIOD)
    entries = select(AuditEntry).where(*about, or_(changed, AuditEntry.action == DELETED))
    return current.scalars(entries.order_by(AuditEntry.id)).all()
