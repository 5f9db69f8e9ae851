"""Conditions are decided once, when an event is stored. Values that they name can't be deleted."""

from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select

from jobs import tasks as job
from portal.engine.conditions.predicate import Condition, as_text
from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.models.alerts import AlertRun, RunKind
from portal.models.assets import Action
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery
from portal.models.webhooks import ALL_EVENTS
from portal.services import tasks
from portal.services.actions import bulk
from portal.services.alerts import runs as alert_runs
from portal.services.assets import named_lists
from portal.services.assets.named_lists import CATEGORIES, LOCATIONS
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.outbox import publish as outbox_publish
from portal.services.outbox.publish import Audience
from portal.services.task_kinds import KINDS
from portal.services.webhooks import crud, turn_on_off
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.rules import SecretMode, WebhookValues
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.services.alerts.due_things import decided, with_warranty
from tests.support.database.rivals import Rival, meanwhile
from tests.support.database.statements import asked
from tests.support.deliveries import change
from tests.support.factories import (
    Hook,
    make_asset,
    make_category,
    make_location,
    make_user,
    make_webhook,
    new_event,
)

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def only(field: str, operator: str, *values: object) -> str:
    """Return the text of one condition, as a webhook stores it."""
    return as_text([Condition(field, operator, tuple(map(str, values)))]) or ""


def values(**changes: Any) -> WebhookValues:
    entered: dict[str, Any] = {
        "name": "ERP",
        "url": "https://erp.example.com/hook",
        "events": (ALL_EVENTS,),
        "secret_mode": SecretMode.NONE,
    }
    return WebhookValues(**{**entered, **changes})


def told() -> list[tuple[int, str]]:
    """Return each delivery's webhook row id and event."""
    current = session()
    current.rollback()
    rows = current.execute(select(Delivery.webhook_id, Delivery.event).order_by(Delivery.id))
    return [(row.webhook_id, row.event) for row in rows]


def published(event: EventName = EventName.CREATED) -> Audience:
    with writing() as current:
        return outbox_publish.publish(current, new_event(event)).audience


def test_an_event_goes_only_to_webhooks_whose_conditions_it_meets() -> None:
    laptops, store = make_category(), make_location("Store")
    erp = make_webhook(conditions=only("category", "is", laptops))
    broker = make_webhook(conditions=only("location", "is_not", store))
    off = make_webhook(conditions=only("tag", "contains", "ast"), state="off")
    make_asset(category_id=laptops, location_id=store)
    make_asset()
    assert [webhook_id for webhook_id, _ in told()] == [erp.id, off.id, broker.id, off.id]
    assert published() == Audience(sent=1, held=1, kept=1)


def test_an_event_that_meets_no_condition_touches_no_delivery() -> None:
    for in_order in (True, False):
        make_webhook(conditions=only("status", "is", "lost"), in_order=in_order)
    with asked(db.engine) as statements:
        assert published() == Audience(kept=2)
    assert told() == []
    assert not [statement for statement in statements if "deliveries" in statement]


def test_a_condition_adds_no_statement_to_a_save() -> None:
    make_webhook()
    published()  # runs the queries that a process runs only once
    with asked(db.engine) as without:
        published()
    make_webhook(conditions=only("status", "is", "available"))
    with asked(db.engine) as beside:
        published()
    assert without == beside


def test_a_changed_condition_applies_from_the_next_event_on() -> None:
    actor = make_user().actor
    made = crud.create(actor, values(conditions=only("status", "is", "lost")))
    make_asset()
    edited = values(conditions=None, secret_mode=SecretMode.KEEP)
    crud.edit(actor, made, 1, edited)
    assert told() == []
    make_asset()
    assert len(told()) == 1


def test_a_condition_edited_while_an_event_is_stored_counts_afterwards(app: Flask) -> None:
    """The stored event uses the old condition. Neither side waits for long or decides twice."""
    actor = make_user().actor
    made = crud.create(actor, values())
    narrowed = values(conditions=only("status", "is", "lost"), secret_mode=SecretMode.KEEP)
    other = Rival(app, partial(crud.edit, actor, made, 1, narrowed))
    with writing() as current:
        outbox_publish.publish(current, new_event(EventName.CREATED))
        other.come_to_a_lock()
        outbox_publish.publish(current, new_event(EventName.UPDATED))
    other.finish()
    published()
    assert next(event for _, event in told()) == "asset.created"
    assert "asset.created" not in [event for _, event in told()][1:]


def test_conditions_are_stored_audited_as_sentences_and_versioned() -> None:
    actor = make_user().actor
    laptops = make_category()
    made = crud.create(actor, values(conditions=only("category", "is", laptops)))
    assert webhook_queries.show(made).conditions == only("category", "is", laptops)
    dear = only("cost", "at_least", "1000.00")
    assert crud.edit(actor, made, 1, values(conditions=dear, secret_mode=SecretMode.KEEP))
    session().rollback()
    entry = session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert entry.changes == {
        "conditions": {
            "from": ["Category is Laptops"],
            "to": ["Purchase cost is at least 1,000"],
        }
    }
    assert webhook_queries.show(made).version == 2


def test_invalid_conditions_are_refused() -> None:
    actor = make_user().actor
    many = as_text([Condition("tag", "is", (str(n),)) for n in range(11)])
    for text, sentence in (
        (only("holder", "is", "3"), "Choose a field from the list"),
        (many, "Enter at most 10 conditions"),
        (only("cost", "at_least", "1000"), "Enter the conditions again"),
        (only("category", "is", 77), "Choose another category. This one was deleted"),
        ("{", "Choose a field from the list"),
    ):
        with pytest.raises(Refusal, match=sentence) as refused:
            crud.create(actor, values(conditions=text))
        assert refused.value.field == "conditions"


def public_id_of(kind: named_lists.NamedList, row_id: int) -> UUID:
    return next(public_id for id_, public_id, _ in named_lists.choices(kind) if id_ == row_id)


def test_a_value_cannot_be_deleted_while_a_condition_names_it() -> None:
    actor = make_user().actor
    laptops = make_category()
    public_id = public_id_of(CATEGORIES, laptops)
    named = values(conditions=only("category", "is", laptops))
    made = crud.create(actor, named)
    crud.create(actor, values(name="Other", conditions=only("location", "is", make_location())))
    with pytest.raises(Refusal, match="“Laptops” is used in a condition of ERP"):
        named_lists.delete(CATEGORIES, actor, public_id)
    crud.delete(actor, made)
    named_lists.delete(CATEGORIES, actor, public_id)
    with pytest.raises(Refusal, match="This one was deleted"):
        crud.create(actor, named)


@pytest.mark.parametrize("is_named_first", [True, False])
def test_of_a_concurrent_condition_and_deletion_one_is_refused(
    app: Flask, is_named_first: bool
) -> None:
    actor, store = make_user().actor, make_location("Store")
    delete = partial(named_lists.delete, LOCATIONS, actor, public_id_of(LOCATIONS, store))
    save = partial(crud.create, actor, values(conditions=only("location", "is", store)))
    first, second = (save, delete) if is_named_first else (delete, save)
    refused = meanwhile(app, second, lambda _: first())
    assert isinstance(refused, Refusal)
    why = "is used in a condition" if is_named_first else "This one was deleted"
    assert why in refused.sentence


def narrow(hook: Hook, text: str | None) -> None:
    """Change the conditions of a webhook as another person."""
    values_now = webhook_queries.stored_values(hook.public_id)
    version = webhook_queries.show(hook.public_id).version
    crud.edit(make_user().actor, hook.public_id, version, replace(values_now, conditions=text))


def advance(steps: int) -> None:
    """Run this many steps of the due task, as a background worker."""
    lease = tasks.claim()
    assert lease is not None
    kind = KINDS[lease.kind]
    for _ in range(steps):
        if not tasks.advance(lease, kind):
            return
    tasks.release(lease)


LOST_ONLY = only("status", "is", "lost")


def test_a_change_during_a_bulk_action_applies_from_the_next_asset_on() -> None:
    ids = [make_asset() for _ in range(tasks.ROWS + 5)]
    hook = make_webhook(events=[EventName.DELETED])
    public_id = bulk.start(make_user().actor, Action.DELETE, ids, {"reason": ""})
    advance(1)
    done = bulk.find(public_id).counts["done"]
    assert 0 < done < len(ids)
    narrow(hook, LOST_ONLY)
    job.work(KINDS)
    session().rollback()
    assert bulk.find(public_id).counts == {"done": len(ids)}
    assert len(told()) == done


def test_alerts_of_a_run_are_decided_one_by_one_and_counted() -> None:
    decided()
    hook = make_webhook(events=[EventName.WARRANTY_EXPIRING])
    with_warranty(5)
    alert_runs.run(RunKind.MANUAL)
    narrow(hook, LOST_ONLY)
    with_warranty(6)
    alert_runs.run(RunKind.MANUAL)
    assert len(told()) == 1
    newest = session().scalars(select(AlertRun).order_by(AlertRun.id.desc())).first()
    assert newest is not None
    assert alert_runs.audiences(newest) == [(Audience(kept=1), {"alert.warranty_expiring": 1})]


def test_held_and_retried_deliveries_are_not_checked_again() -> None:
    actor = make_user().actor
    off, failing = make_webhook(state="off", off_reason="person"), make_webhook()
    published()
    failed = (
        session().scalars(select(Delivery.public_id).where(Delivery.webhook_id == failing.id)).one()
    )
    change(failed, status="failed", reason="server", code=500, tries=10, attempts=10)
    narrow(off, LOST_ONLY)
    narrow(failing, LOST_ONLY)
    turn_on_off.turn_on(actor, off.public_id, HeldChoice.SEND)
    failures = LogFilter(status=StatusFilter.FAILED)
    newest = bulk_retry_selection.newest_now()
    bulk_retry.start(actor, Selection(wanted=failures, newest=newest))
    advance(1)
    session().rollback()
    rows = session().execute(select(Delivery.webhook_id, Delivery.status).order_by(Delivery.id))
    assert [tuple(row) for row in rows] == [(off.id, "queued"), (failing.id, "retrying")]
