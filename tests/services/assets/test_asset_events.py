"""What receivers get when an asset is created, changed and deleted, to the letter."""

import json
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_message
from portal.models.assets import Activity
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery, Event
from portal.services.actions import lifecycle
from portal.services.assets.fields import AssetValues
from portal.services.core.unit_of_work import session
from tests.support.factories import (
    Person,
    make_asset,
    make_category,
    make_location,
    make_user,
    make_webhook,
)

pytestmark = pytest.mark.usefixtures("app")

BODY = ["event", "timestamp", "source", "asset_id", "asset", "data"]
ASSET = list(sample_message(EventName.CREATED)["asset"])
ALWAYS = ["actor", "origin", "batch_id", "status_from", "status_to", "note"]


def full_values(**others: Any) -> AssetValues:
    """An asset with something in every field."""
    known: dict[str, Any] = {
        "asset_tag": "LAP-7",
        "name": "Göran's laptop",
        "manufacturer": "Lenovo",
        "model": "T14",
        "serial_number": "PF-1",
        "supplier": "Northwind",
        "order_number": "PO-9",
        "purchase_date": date(2026, 1, 31),
        "purchase_cost": Decimal("1249.5"),
        "warranty_expires": date(2028, 1, 31),
        "notes": "Sticker on the lid",
    }
    return AssetValues(**known | others)


def last_event() -> Event:
    session().rollback()
    return session().scalars(select(Event).order_by(Event.id.desc()).limit(1)).one()


def last_body() -> dict[str, Any]:
    body: dict[str, Any] = json.loads(last_event().body)
    return body


def count_events() -> int:
    session().rollback()
    return len(session().scalars(select(Event.id)).all())


def who(person: Person) -> dict[str, Any]:
    return {"type": "user", "id": person.id, "name": person.name}


def test_a_new_asset_is_told_of_with_everything_known_of_it() -> None:
    ana, category, location = make_user(), make_category("Laptops"), make_location("Room 204")
    asset_id = lifecycle.create_asset(
        ana.actor, full_values(category_id=category, location_id=location)
    )
    body = last_body()
    assert list(body) == BODY
    assert list(body["asset"]) == ASSET
    assert list(body["data"]) == ALWAYS
    assert body["event"] == "asset.created"
    assert body["source"] == "perfex_assets_module"
    assert body["asset_id"] == asset_id
    assert body["timestamp"] == body["asset"]["created_at"] == body["asset"]["updated_at"]
    assert body["timestamp"].endswith("+00:00")
    expected = {
        "id": asset_id,
        "asset_tag": "LAP-7",
        "name": "Göran's laptop",
        "kind": "item",
        "category": {"id": category, "name": "Laptops"},
        "manufacturer": "Lenovo",
        "model": "T14",
        "serial_number": "PF-1",
        "status": "available",
        "condition": "good",
        "location": {"id": location, "name": "Room 204"},
        "holder": None,
        "supplier": "Northwind",
        "order_number": "PO-9",
        "purchase_date": "2026-01-31",
        "purchase_cost": "1249.50",
        "currency": "EUR",
        "warranty_expires": "2028-01-31",
        "version": 1,
    }
    assert {name: body["asset"][name] for name in expected} == expected
    assert body["data"] == {
        "actor": who(ana),
        "origin": "ui",
        "batch_id": None,
        "status_from": None,
        "status_to": "available",
        "note": "",
    }


def test_a_change_names_each_field_with_both_its_values() -> None:
    ana, here, there = make_user(), make_location("Here"), make_location("There")
    asset_id = lifecycle.create_asset(ana.actor, full_values(location_id=here))
    changed = full_values(
        location_id=there, purchase_cost=Decimal("900"), notes=None, warranty_expires=None
    )
    assert lifecycle.edit_asset(ana.actor, asset_id, 1, changed)
    body = last_body()
    assert list(body) == BODY
    assert list(body["asset"]) == ASSET
    assert list(body["data"]) == [*ALWAYS, "reason", "changed_fields", "changes"]
    assert body["event"] == "asset.updated"
    assert body["asset_id"] == asset_id
    assert body["asset"]["version"] == 2
    assert body["asset"]["location"] == {"id": there, "name": "There"}
    assert body["asset"]["updated_at"] == body["timestamp"]
    data = body["data"]
    assert (data["status_from"], data["status_to"]) == ("available", "available")
    assert data["reason"] == "edit"
    assert data["changed_fields"] == ["location", "purchase_cost", "warranty_expires", "notes"]
    assert data["changes"] == {
        "location": {"from": {"id": here, "name": "Here"}, "to": {"id": there, "name": "There"}},
        "purchase_cost": {"from": "1249.50", "to": "900.00"},
        "warranty_expires": {"from": "2028-01-31", "to": None},
        "notes": {"from": "Sticker on the lid", "to": None},
    }


def test_a_deletion_carries_the_last_snapshot_and_no_id() -> None:
    ana = make_user()
    asset_id = lifecycle.create_asset(ana.actor, full_values())
    lifecycle.delete_asset(ana.actor, asset_id, "Entered twice")
    body = last_body()
    assert list(body) == BODY
    assert list(body["asset"]) == ASSET
    assert body["event"] == "asset.deleted"
    assert body["asset_id"] is None
    assert body["asset"]["id"] == asset_id
    assert body["asset"]["version"] == 2
    assert body["data"] == {
        "actor": who(ana),
        "origin": "ui",
        "batch_id": None,
        "status_from": "available",
        "status_to": None,
        "note": "",
        "deleted_asset_id": asset_id,
        "asset_tag": "LAP-7",
        "name": "Göran's laptop",
        "reason": "Entered twice",
    }
    assert last_event().asset_id == asset_id  # the log still finds it by its asset


def test_each_action_tells_the_webhooks_that_asked_and_them_alone() -> None:
    ana = make_user()
    all_three = make_webhook(events=["asset.created", "asset.updated", "asset.deleted"])
    make_webhook(events=["asset.lost"])
    asset_id = lifecycle.create_asset(ana.actor, full_values())
    lifecycle.edit_asset(ana.actor, asset_id, 1, full_values(name="Another name"))
    lifecycle.delete_asset(ana.actor, asset_id)
    session().rollback()
    stored = session().execute(
        select(Delivery.webhook_id, Delivery.event, Delivery.asset_id).order_by(Delivery.id)
    )
    assert [tuple(row) for row in stored] == [
        (all_three.id, "asset.created", asset_id),
        (all_three.id, "asset.updated", asset_id),
        (all_three.id, "asset.deleted", asset_id),
    ]


def test_timeline_and_audit_are_written_with_the_event() -> None:
    ana = make_user(name="Ana Novak")
    asset_id = make_asset("Lamp", by=ana.actor)
    lifecycle.edit_asset(
        ana.actor, asset_id, 1, AssetValues(asset_tag="AST-00001", name="Desk lamp")
    )
    lifecycle.delete_asset(ana.actor, asset_id, "Broken beyond repair")
    session().rollback()
    activities = session().scalars(select(Activity).order_by(Activity.id)).all()
    events = session().scalars(select(Event.id).order_by(Event.id)).all()
    assert [(each.action, each.actor_name) for each in activities] == [
        ("create", "Ana Novak"),
        ("edit", "Ana Novak"),
        ("delete", "Ana Novak"),
    ]
    assert [each.event_id for each in activities] == list(events)
    assert activities[1].changes == {"name": {"from": "Lamp", "to": "Desk lamp"}}
    assert activities[2].note == "Broken beyond repair"
    audited = session().scalars(
        select(AuditEntry.action)
        .where(AuditEntry.target_kind == "asset", AuditEntry.target_id == str(asset_id))
        .order_by(AuditEntry.id)
    )
    assert list(audited) == ["asset.created", "asset.updated", "asset.deleted"]


def test_a_save_that_changes_nothing_tells_nothing() -> None:
    ana = make_user()
    asset_id = lifecycle.create_asset(ana.actor, full_values())
    assert not lifecycle.edit_asset(ana.actor, asset_id, 1, full_values())
    assert count_events() == 1
    assert lifecycle.find_asset(asset_id).version == 1
