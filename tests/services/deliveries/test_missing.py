"""The first reason why a webhook did not get an event, by its current settings."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from portal.engine.conditions.predicate import Condition, as_text
from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.assets import Activity
from portal.models.deliveries import Event
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import missing
from portal.services.deliveries.missing import Answer, Missing, Verdict
from portal.services.webhooks import crud
from portal.services.webhooks import queries as webhook_queries
from tests.support.factories import Hook, make_asset, make_location, make_user, make_webhook

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def look(hook: Hook, asset_id: int) -> Missing:
    session().rollback()
    found = missing.look(hook.public_id, asset_id)
    assert found is not None
    return found


def answer(hook: Hook, asset_id: int) -> Answer:
    return look(hook, asset_id).answers[0]


def edit(hook: Hook, **columns: Any) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def test_a_delivery_is_named_with_its_status() -> None:
    hook, off = make_webhook(), make_webhook(state="off")
    asset_id = make_asset()
    for webhook, status in ((hook, "queued"), (off, "on_hold")):
        found = answer(webhook, asset_id)
        assert (found.verdict, found.event) == (Verdict.DELIVERY, EventName.CREATED)
        assert found.delivery is not None
        assert found.delivery.status == status


def test_reasons_are_reported_in_a_fixed_order() -> None:
    """All reasons apply to one event at first. Each step removes the first one."""
    store = make_location("Store")
    asset_id = make_asset(location_id=store)
    person = make_user(name="Ben Fox")
    hook = make_webhook(events=[EventName.LOST])
    lost = as_text([Condition("status", "is", ("lost",))])
    values = webhook_queries.stored_values(hook.public_id)
    narrowed = replace(values, events=(EventName.BROKEN,), conditions=lost)
    crud.edit(person.actor, hook.public_id, 1, narrowed)
    edit(hook, created_at=utcnow() + timedelta(hours=1))
    assert answer(hook, asset_id).verdict is Verdict.BEFORE
    edit(hook, created_at=utcnow() - timedelta(hours=1))
    assert answer(hook, asset_id).verdict is Verdict.NOT_SUBSCRIBED
    with writing() as current:
        webhook = current.get(Webhook, hook.id)
        assert webhook is not None
        webhook.subscriptions[0].event = "*"
    found = answer(hook, asset_id)
    assert (found.verdict, found.condition, found.fact) == (
        Verdict.UNMET,
        "Status is Lost",
        "The status was Available",
    )
    assert found.changed is not None, "of then nothing is known"
    edit(hook, conditions=None)
    found = answer(hook, asset_id)
    assert (found.verdict, found.changed and found.changed.name) == (Verdict.CHANGED, "Ben Fox")
    with writing() as current:
        later = utcnow() + timedelta(hours=1)
        current.execute(update(Event).values(occurred_at=later))
        edit(hook, created_at=utcnow())
    assert answer(hook, asset_id).verdict is Verdict.UNKNOWN
    with writing() as current:
        current.execute(update(Activity).values(event_id=None))
    assert answer(hook, asset_id).verdict is Verdict.GONE


def test_an_unmet_condition_is_explained_by_a_fact() -> None:
    store = make_location("Store")
    asset_id = make_asset(location_id=store)
    for condition, expected in (
        (
            Condition("location", "is_not", (str(store),)),
            ("Location isn’t Store", "The location was Store"),
        ),
        (
            Condition("cost", "at_least", ("1000.00",)),
            ("Purchase cost is at least 1,000", "The asset has no purchase cost"),
        ),
    ):
        hook = make_webhook(conditions=as_text([condition]))
        edit(hook, created_at=utcnow() - timedelta(hours=1))
        found = answer(hook, asset_id)
        assert (found.condition, found.fact, found.changed) == (*expected, None)


@pytest.mark.parametrize("part", ["conditions", "events"])
def test_a_later_change_of_the_deciding_setting_is_named(part: str) -> None:
    """Changes of other settings, and changes before the event, are not named."""
    lost = as_text([Condition("status", "is", ("lost",))])
    person = make_user(name="Ben Fox")
    hook = make_webhook(events=[EventName.LOST] if part == "events" else ["*"], conditions=lost)
    edit(hook, created_at=utcnow() - timedelta(hours=1))

    def change(**values: Any) -> Answer:
        stored = webhook_queries.stored_values(hook.public_id)
        version = webhook_queries.show(hook.public_id).version
        crud.edit(person.actor, hook.public_id, version, replace(stored, **values))
        return answer(hook, asset_id)

    broken = as_text([Condition("status", "is", ("broken",))])
    later = {"events": (EventName.BROKEN,)} if part == "events" else {"conditions": broken}
    asset_id = make_asset()
    found = change(name="Other")
    verdict = Verdict.NOT_SUBSCRIBED if part == "events" else Verdict.UNMET
    assert (found.verdict, found.changed) == (verdict, None)
    found = change(**later)
    assert found.verdict is verdict
    assert found.changed is not None
    assert (found.changed.name, found.changed.what) == ("Ben Fox", {part})


def test_the_person_who_deleted_the_webhook_is_named() -> None:
    hook, person = make_webhook(), make_user(name="Ben Fox")
    asset_id = make_asset()
    crud.delete(person.actor, hook.public_id)
    after = make_asset()
    found = look(hook, asset_id)
    assert found.deleted is not None
    assert (found.deleted.name, found.answers[0].verdict) == ("Ben Fox", Verdict.DELIVERY)
    assert answer(hook, after).verdict is Verdict.DELETED


def test_a_draft_gives_none_and_old_events_are_left_out() -> None:
    asset_id, hook = make_asset(), make_webhook()
    assert missing.look(make_webhook(state="draft").public_id, asset_id) is None
    with writing() as current:
        current.execute(update(Activity).values(at=utcnow() - timedelta(days=31)))
    assert look(hook, asset_id).answers == []
