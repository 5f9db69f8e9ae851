"""The count of past events and the reason for a missing event agree with the stored deliveries."""

from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from portal.engine.conditions.predicate import Condition, as_text
from portal.engine.events.body import AssetSnapshot, Origin, Ref
from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.models.assets import Activity, Asset
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import Webhook
from portal.services.assets import timeline
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import missing
from portal.services.deliveries.missing import Verdict
from portal.services.outbox import publish as outbox_publish
from portal.services.outbox.publish import NewEvent
from portal.services.webhooks import sample_deliveries, would_have_gone
from tests.support.factories import make_asset, make_user, make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")

KINDS = (EventName.CREATED, EventName.UPDATED, EventName.TRANSFERRED)
_ids = count(1)


def snapshots() -> st.SearchStrategy[AssetSnapshot]:
    """Generate assets with or without the fields that conditions read."""
    named = st.none() | st.sampled_from([Ref(1, "One"), Ref(2, "Two")])
    now = utcnow()
    return st.builds(
        AssetSnapshot,
        id=st.just(7),
        asset_tag=st.sampled_from(["LAP-1", "lap-2", "PC-ß"]),
        name=st.sampled_from(["Dock", "STRASSE", "Straße"]),
        kind=st.just("item"),
        category=named,
        location=named,
        status=st.sampled_from(["available", "lost"]),
        condition=st.just("good"),
        purchase_cost=st.none() | st.sampled_from([Decimal("9.99"), Decimal(1000)]),
        version=st.just(1),
        created_at=st.just(now),
        updated_at=st.just(now),
    )


def conditions() -> st.SearchStrategy[str | None]:
    is_or_not = st.sampled_from(["is", "is_not"])
    typed = st.sampled_from(["is", "is_not", "begins", "contains"])
    one = st.one_of(
        st.tuples(
            st.sampled_from(["category", "location"]),
            is_or_not,
            st.sampled_from([("1",), ("1", "2")]),
        ),
        st.tuples(st.just("tag"), typed, st.sampled_from([("LAP",), ("pc-ss", "1")])),
        st.tuples(st.just("name"), typed, st.sampled_from([("strasse",), ("DOCK",)])),
        st.tuples(st.just("cost"), st.sampled_from(["at_least", "at_most"]), st.just(("1000.00",))),
        st.tuples(st.just("origin"), is_or_not, st.sampled_from([("bulk",), ("ui", "import")])),
        st.tuples(st.just("changed"), st.just("is"), st.just(("location", "name"))),
    )
    return st.lists(one.map(lambda each: Condition(*each)), max_size=3).map(as_text)


def store(kind: EventName, asset: AssetSnapshot, origin: Origin) -> int:
    """Store an event of asset 1, with its line of the timeline."""
    data: dict[str, Any] = {"origin": origin, "changed_fields": ["name"]}
    new = NewEvent(event=kind, asset_id=1, asset=asset, data=data, occurred_at=utcnow())
    with writing() as current:
        event_id = outbox_publish.publish(current, new).event_id
        line = Activity(asset_id=1, action="edit", event_id=event_id)
        timeline.write(current, SYSTEM, line)
        return event_id


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_stored_and_counted_events_agree_across_edits(data: st.DataObject) -> None:
    with writing() as current:
        current.execute(delete(Delivery))
        current.execute(delete(Event))
    if session().get(Asset, 1) is None:
        make_asset()
    hook = make_webhook(events=KINDS[:2], name=f"Property {next(_ids)}")
    for _ in range(data.draw(st.integers(1, 3))):
        text = data.draw(conditions())
        with writing() as current:
            webhook = current.get(Webhook, hook.id)
            assert webhook is not None
            webhook.conditions = text
        given_events = st.tuples(st.sampled_from(KINDS), snapshots(), st.sampled_from(Origin))
        for kind, asset, origin in data.draw(st.lists(given_events, max_size=4)):
            before = would_have_gone.count(KINDS[:2], text).met
            event_id = store(kind, asset, origin)
            query = select(Delivery.id).where(
                Delivery.event_id == event_id, Delivery.webhook_id == hook.id
            )
            was_told = session().scalar(query) is not None
            after = would_have_gone.count(KINDS[:2], text).met
            assert after - before == was_told
            found = missing.look(hook.public_id, 1)
            assert found is not None
            is_asked = kind in KINDS[:2]
            expected = Verdict.UNMET if is_asked else Verdict.NOT_SUBSCRIBED
            assert found.answers[0].verdict is (Verdict.DELIVERY if was_told else expected)
    with writing() as current:
        hooked = current.get(Webhook, hook.id)
        assert hooked is not None
        hooked.deleted_at = utcnow()


def test_events_are_counted_by_kind_and_listed_newest_first_without_tests() -> None:
    hook = make_webhook()
    for asset_id in range(1, 14):
        publish(asset_id=asset_id)
    publish(EventName.LOST, asset_id=20)
    publish(EventName.BROKEN, asset_id=21)
    with writing() as current:
        webhook = current.get(Webhook, hook.id)
        assert webhook is not None
        sample_deliveries.queue_test(current, webhook, EventName.CREATED, make_user().actor)
    few = as_text([Condition("tag", "begins", ("AST-0000",))])
    counts = would_have_gone.count((EventName.CREATED, EventName.LOST), few)
    assert (counts.read, counts.met) == (14, 9)
    assert counts.kinds == {EventName.CREATED: (13, 9), EventName.LOST: (1, 0)}
    assert [event.asset_tag for event in counts.newest] == [f"AST-{n:05}" for n in range(9, 0, -1)]
    assert len(would_have_gone.count(("*",), None).newest) == would_have_gone.SHOWN
    assert would_have_gone.count((EventName.DELETED,), None).kinds == {}
