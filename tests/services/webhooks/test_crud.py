"""The verbs of webhooks, called without the web layer."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.engine.events.catalogue import EventName
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Event, Priority
from portal.models.webhooks import Webhook
from portal.services.core import queries as core_queries
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import crud, sample_deliveries
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.crud import Edited
from portal.services.webhooks.inbox import open_inbox
from portal.services.webhooks.rules import SecretMode, WebhookValues, url_problem
from portal.services.webhooks.sample_deliveries import TestUnderWay
from tests.support.factories import make_user, make_webhook, publish

pytestmark = pytest.mark.usefixtures("app")

SECRET = "my own long pass phrase 4f2a"
TOKEN = "Bearer abcdefghijkl"


def values(**changes: Any) -> WebhookValues:
    """Return a webhook as a person would enter it."""
    entered: dict[str, Any] = {
        "name": "Sync to ERP",
        "url": "https://ERP.example.com/hook",
        "events": ("asset.created", "asset.lost"),
    }
    return WebhookValues(**{**entered, **changes})


def the_webhook() -> Webhook:
    current = session()
    current.rollback()
    return current.scalars(select(Webhook)).one()


def test_the_url_is_stored_normalized() -> None:
    crud.create(make_user().actor, values())
    assert the_webhook().url == "https://erp.example.com/hook"


def test_a_webhook_can_subscribe_to_every_known_event_and_no_other() -> None:
    ana = make_user()
    made = crud.create(ana.actor, values(events=tuple(EventName)))
    assert set(webhook_queries.show(made).events) == set(EventName)
    with pytest.raises(Refusal, match="Choose events from the list"):
        crud.create(ana.actor, values(events=(*EventName, "asset.sung_to")))


def test_database_and_audit_trail_hold_no_plain_secret_or_header_value() -> None:
    ana = make_user()
    entered = values(secret_mode=SecretMode.OWN, secret=SECRET, headers=(("X-Key", TOKEN),))
    public_id = crud.create(ana.actor, entered)
    crud.edit(
        ana.actor, public_id, 1, values(secret_mode=SecretMode.KEEP, headers=(("X-Key", "v2"),))
    )
    stored = the_webhook()
    assert SECRET.encode() not in (stored.secret_enc or b"")
    trail = json.dumps([entry.changes for entry in session().scalars(select(AuditEntry))])
    assert not [word for word in (SECRET, TOKEN, "v2", SECRET[-4:]) if word in trail]
    assert SECRET not in repr(entered)
    assert TOKEN not in repr(entered)


def test_only_one_of_several_concurrent_creations_under_one_name_succeeds(app: Flask) -> None:
    actors = [make_user().actor for _ in range(4)]

    def create(number: int) -> str:
        with app.app_context():
            try:
                crud.create(actors[number], values())
            except Refusal as refusal:
                return refusal.sentence
            finally:
                db.session.remove()
        return "created"

    with ThreadPoolExecutor(4) as pool:
        results = sorted(pool.map(create, range(4)))
    assert results.count("created") == 1
    assert "A webhook called “Sync to ERP” already exists" in results[0]


def test_a_test_is_a_marked_event_of_its_own_without_an_asset() -> None:
    ben, hook = make_user("support"), make_webhook(state="off", events=["asset.lost"])
    public_id = sample_deliveries.send_test(ben.actor, hook.public_id)
    delivery = session().scalars(select(Delivery)).one()
    event = session().scalars(select(Event)).one()
    body = json.loads(event.body)
    assert (delivery.public_id, delivery.priority) == (public_id, Priority.TEST)
    assert (body["event"], body["data"]["test"]) == ("asset.lost", True)
    assert (event.is_test, event.asset_id, delivery.asset_id) == (True, None, None)
    assert abs(event.occurred_at - utcnow()) < timedelta(seconds=10)


def test_only_one_test_at_a_time_can_be_in_progress() -> None:
    ana, hook = make_user(), make_webhook()
    first = sample_deliveries.send_test(ana.actor, hook.public_id, "alert.low_stock")
    with pytest.raises(TestUnderWay) as refused:
        sample_deliveries.send_test(ana.actor, hook.public_id)
    assert refused.value.delivery == first
    with writing() as current:
        current.execute(update(Delivery).values(status="failed"))
    assert sample_deliveries.send_test(ana.actor, hook.public_id) != first


def test_a_test_requires_a_known_event_and_the_permission() -> None:
    hook = make_webhook()
    with pytest.raises(Refusal, match="Choose an event"):
        sample_deliveries.send_test(make_user().actor, hook.public_id, "asset.exploded")
    with pytest.raises(NotAllowed):
        sample_deliveries.send_test(make_user("manager").actor, hook.public_id)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8099/", "https://93.184.215.14/", "https://10.example.com/"]
)
def test_public_and_listed_addresses_are_accepted_without_a_dns_lookup(url: str) -> None:
    assert url_problem(url) is None


def last_changes() -> dict[str, Any]:
    """Return the changes in the newest audit entry."""
    session().rollback()
    newest = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)
    return session().scalars(newest).one().changes


@pytest.mark.parametrize(("count", "told"), [(1, "1"), (2, "2"), (3, "2+"), (4, "2+")])
def test_deleting_a_webhook_audits_the_number_of_dismissed_deliveries(
    monkeypatch: pytest.MonkeyPatch, count: int, told: str
) -> None:
    for module in (core_queries, crud):
        monkeypatch.setattr(module, "COUNT_LIMIT", 2)
    hook = make_webhook()
    for _ in range(count):
        publish()
    crud.delete(make_user().actor, hook.public_id)
    assert last_changes() == {"deliveries_dismissed": {"from": None, "to": told}}


def test_a_changed_secret_in_the_url_is_audited_without_its_value() -> None:
    ana, kept = make_user(), {"secret_mode": SecretMode.KEEP}
    public_id = crud.create(ana.actor, values(url="https://erp.example.com/hook?key=first-key"))
    assert last_changes()["url"] == {"from": None, "to": "https://erp.example.com/hook?key=••••"}
    with writing() as current:
        current.execute(update(Webhook).values(failures_in_row=3, failing_since=utcnow()))
    edited = values(url="https://erp.example.com/hook?key=second-key", **kept)
    assert crud.edit(ana.actor, public_id, 1, edited).is_changed
    shown = "https://erp.example.com/hook?key=••••"
    assert last_changes() == {"url": {"from": shown, "to": shown}}
    # As after any URL change, the count restarts, but the webhook fails until a delivery arrives.
    assert (the_webhook().failures_in_row, the_webhook().failing_since is None) == (0, False)


def test_marking_the_url_secret_is_audited_and_resets_no_failures() -> None:
    ana, kept = make_user(), {"secret_mode": SecretMode.KEEP}
    public_id = crud.create(ana.actor, values())
    assert last_changes()["url_is_secret"] == {"from": None, "to": "no"}
    with writing() as current:
        current.execute(update(Webhook).values(failures_in_row=3, failing_since=utcnow()))
    crud.edit(ana.actor, public_id, 1, values(url_is_secret=True, **kept))
    assert the_webhook().url_is_secret
    assert last_changes() == {"url_is_secret": {"from": "no", "to": "yes"}}
    assert the_webhook().failures_in_row == 3
    # Both the old and the new URL are masked, whichever of them was secret.
    crud.edit(ana.actor, public_id, 2, values(url="https://erp.example.com/new", **kept))
    hidden = "https://erp.example.com/••••"
    assert last_changes()["url"] == {"from": hidden, "to": hidden}


def test_a_chat_format_is_stored_and_audited_and_hides_the_url() -> None:
    ana, kept = make_user(), {"secret_mode": SecretMode.KEEP}
    public_id = crud.create(ana.actor, values())
    assert "format" not in last_changes()
    shown = {"from": "https://erp.example.com/hook", "to": "https://erp.example.com/••••"}
    for version, (chosen, changes) in enumerate(
        (
            ("slack", {"format": ("Standard JSON", "Slack"), "url_is_secret": ("no", "yes")}),
            ("google_chat", {"format": ("Slack", "Google Chat")}),
            (None, {"format": ("Google Chat", "Standard JSON"), "url_is_secret": ("yes", "no")}),
        ),
        1,
    ):
        crud.edit(ana.actor, public_id, version, values(format=chosen, **kept))
        expected = {name: {"from": was, "to": now} for name, (was, now) in changes.items()}
        assert last_changes() == expected
        assert (the_webhook().format, the_webhook().url_is_secret) == (chosen, chosen is not None)
        assert webhook_queries.stored_values(public_id).format == chosen
        assert webhook_queries.show(public_id).url == shown["to" if chosen else "from"]


def test_creating_a_chat_webhook_audits_its_format() -> None:
    crud.create(make_user().actor, values(format="teams"))
    audited = last_changes()
    assert audited["format"] == {"from": None, "to": "Microsoft Teams"}
    assert audited["url"] == {"from": None, "to": "https://erp.example.com/••••"}


def test_an_unknown_format_is_refused_and_the_inbox_accepts_a_chat_format() -> None:
    ana = make_user()
    with pytest.raises(Refusal, match="Choose a format from the list") as refused:
        crud.create(ana.actor, values(format="carrier_pigeon"))
    assert refused.value.field == "format"
    inbox = open_inbox(ana.actor)
    kept = values(name="Built-in inbox", url="", secret_mode=SecretMode.KEEP)
    assert crud.edit(ana.actor, inbox, 1, replace(kept, format="slack")).is_changed


def test_editing_turns_a_webhook_off_and_on_and_asks_about_held_deliveries() -> None:
    ana, kept = make_user(), {"secret_mode": SecretMode.KEEP}
    public_id = crud.create(ana.actor, values())

    def edit(version: int, **changes: Any) -> tuple[Edited, dict[str, Any], str, str | None, int]:
        edited = crud.edit(ana.actor, public_id, version, values(**kept, **changes))
        told, stored = last_changes(), the_webhook()
        return edited, told, stored.state, stored.off_reason, stored.version

    done = Edited(is_changed=True, asks_about_held=False)
    off, on = ({"status": {"from": a, "to": b}} for a, b in (("Active", "Off"), ("Off", "Active")))
    assert edit(1, is_active=False) == (done, off, "off", "person", 2)
    assert edit(2, is_active=True) == (done, on, "active", None, 3)
    assert edit(3, is_active=False) == (done, off, "off", "person", 4)
    publish()
    asks = Edited(is_changed=False, asks_about_held=True)
    assert edit(4, is_active=True) == (asks, off, "off", "person", 4)
