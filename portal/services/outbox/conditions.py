"""Put conditions into words, and lock the register rows that they name against deletion."""

from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.conditions.facts import Facts
from portal.engine.conditions.predicate import NAMED, Condition, conditions_in
from portal.engine.conditions.sentences import Names, sentence_of
from portal.models.assets import Category, Location
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session

MODELS: Final[dict[str, type[Category] | type[Location]]] = {
    "category": Category,
    "location": Location,
}


def sentences_of(text: str | None) -> list[str]:
    """Return a webhook's conditions in words, with current names."""
    conditions = conditions_in(text)
    names = names_in(conditions)
    return [sentence_of(condition, names) for condition in conditions]


def names_in(conditions: Iterable[Condition]) -> Names:
    """Return the names of the categories and locations that conditions name."""
    return {
        (field, str(row.id)): row.name
        for field, ids in _named(conditions).items()
        for row in session().execute(
            select(MODELS[field].id, MODELS[field].name).where(MODELS[field].id.in_(ids))
        )
    }


def named_by(events: Iterable[Facts]) -> Iterator[Condition]:
    """Yield conditions that name the categories and locations of these events."""
    for facts in events:
        for field, value in (("category", facts.category), ("location", facts.location)):
            if value:
                yield Condition(field, "is", (value,))


def lock_named(current: Session, text: str | None) -> None:
    """Lock the rows that conditions name against deletion until the transaction ends. Raise
    `Refusal` if one is deleted already."""
    for field, ids in _named(conditions_in(text)).items():
        model = MODELS[field]
        locked = select(model.id).where(model.id.in_(ids)).order_by(model.id)
        existing = current.scalars(locked.with_for_update(read=True)).all()
        if len(existing) < len(ids):
            sentence = f"Choose another {field}. This one was deleted"
            raise Refusal(sentence, field="conditions")


def webhooks_naming(current: Session, field: str, row_id: int) -> list[tuple[UUID, str]]:
    """Return the webhooks (public id, name) whose conditions name this row, by name."""
    rows = current.execute(
        select(Webhook.public_id, Webhook.name, Webhook.conditions)
        .where(
            Webhook.conditions.is_not(None),
            Webhook.deleted_at.is_(None),
            Webhook.state != WebhookState.DRAFT,
        )
        .order_by(Webhook.name, Webhook.id)
    )
    return [
        (row.public_id, row.name)
        for row in rows
        if row_id in _named(conditions_in(row.conditions)).get(field, ())
    ]


def _named(conditions: Iterable[Condition]) -> dict[str, set[int]]:
    """Return the ids that conditions name, by field."""
    named: dict[str, set[int]] = {}
    for field, _, values in conditions:
        if field in NAMED:
            named.setdefault(field, set()).update(int(value) for value in values if _is_id(value))
    return named


def _is_id(value: str) -> bool:
    return value.isascii() and value.isdigit()
