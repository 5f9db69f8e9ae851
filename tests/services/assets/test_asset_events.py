"""The exact event body of a changed asset."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_message
from portal.services.actions import lifecycle
from portal.services.assets.fields import AssetValues
from tests.services.actions.plan_examples import last_body
from tests.support.factories import (
    make_location,
    make_user,
)

pytestmark = pytest.mark.usefixtures("app")

BODY = ["event", "timestamp", "source", "asset_id", "asset", "data"]
ASSET = list(sample_message(EventName.CREATED)["asset"])
ALWAYS = ["actor", "origin", "batch_id", "status_from", "status_to", "note"]


def full_values(**others: Any) -> AssetValues:
    """Build asset values with all texts, dates and amounts filled in."""
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


def test_a_change_names_each_field_with_its_old_and_new_value() -> None:
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
