"""Say why a webhook did not get an asset's events: of each, the first reason that is so.

The webhook's settings of now are looked at. Where the deciding ones were changed after the event,
its answer says so.
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
    """The person and the time of a change. `what`: the settings that were changed."""

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
    """Answers about an asset's events in `PERIOD`, the newest first, at most `MOST`. `deleted`: by
    whom the webhook was deleted."""

    webhook: UUID
    name: str
    deleted: By | None
    answers: Sequence[Answer]


@dataclass(frozen=True, slots=True)
class _Known:
    """All that is asked of the database. `deliveries` and `facts`: by event; `trail`: the audit
    entries about the webhook's changes and its deletion, the oldest first."""

    webhook: Webhook
    deliveries: dict[int, LogRow]
    facts: dict[int, Facts]
    names: Names
    trail: Sequence[AuditEntry]

    @property
    def deleted(self) -> By | None:
        """Return by whom the webhook was deleted, if it was."""
        ends = [each for each in self.trail if each.action == DELETED]
        return By(ends[-1].actor_name, ends[-1].at) if ends else None

    def first_change(self, since: datetime, settings: Set[str]) -> By | None:
        """Return the first change, afterwards, of one of these settings."""
        changes = (
            By(each.actor_name, each.at, DECIDES & each.changes.keys()) for each in self.trail
        )
        return next((by for by in changes if by.at >= since and settings & by.what), None)


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
    theirs = _deliveries(current, webhook, [event.id for _, event in happened if event])
    others = [event for _, event in happened if event and event.id not in theirs]
    facts = {event.id: facts_of(event.body) for event in others}
    named = [*conditions_in(webhook.conditions), *named_by(facts.values())]
    known = _Known(webhook, theirs, facts, names_in(named), _trail(current, public_id))
    return Missing(
        webhook=public_id,
        name=webhook.name,
        deleted=known.deleted,
        answers=[_answer(known, at, event) for at, event in happened],
    )


def _deliveries(current: Session, webhook: Webhook, event_ids: Sequence[int]) -> dict[int, LogRow]:
    """Return its deliveries by event."""
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
    """Return the entries about its changes in `PERIOD` and about its deletion."""
    about = AuditEntry.target_kind == TARGET, AuditEntry.target_id == str(public_id)
    changed = and_(AuditEntry.action == "webhook.changed", AuditEntry.at >= common_now() - PERIOD)
    found = select(AuditEntry).where(*about, or_(changed, AuditEntry.action == DELETED))
    return current.scalars(found.order_by(AuditEntry.id)).all()
