"""The export has every column of every listed asset, in chunks, oldest first."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from flask import Flask

from portal.lib.csv_cells import write_csv
from portal.models.assets import Asset
from portal.services.actions import assignments
from portal.services.assets.queries import AssetFilter, Shown
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session
from portal.services.csv import export
from tests.services.actions.plan_examples import put_in
from tests.support.factories import make_asset, make_category, make_location, make_staff

pytestmark = pytest.mark.both_databases

DUE = datetime(2030, 5, 3, 7, 30, tzinfo=UTC)
MADE = datetime(2025, 1, 2, 3, 4, 5, tzinfo=UTC)


def exported(chosen: AssetFilter | None = None) -> list[dict[str, str]]:
    heading, *lines = (
        "".join(write_csv(export.rows(chosen or AssetFilter()))).lstrip("\ufeff").splitlines()
    )
    return [dict(zip(heading.split(","), line.split(","), strict=True)) for line in lines]


def test_a_line_has_every_value_of_an_asset(app: Flask) -> None:
    asset_id = make_asset(
        "Camera",
        asset_tag="C-1",
        category_id=make_category("Optics"),
        location_id=make_location("Studio"),
        manufacturer="Lumen",
        model="L2",
        serial_number="S-1",
        supplier="Datahaus",
        order_number="O-9",
        purchase_date=date(2025, 2, 3),
        purchase_cost=Decimal("1249.50"),
        warranty_expires=date(2028, 2, 3),
        condition="fair",
        reservable=False,
        notes="By the door",
    )
    maria = make_staff("Maria", email="maria@example.com")
    assignments.check_out(SYSTEM, asset_id, staff_id=maria, due_at=DUE)
    put_in(asset_id, "checked_out", created_at=MADE, updated_at=MADE)
    (line,) = exported()
    known = {
        "asset_tag": "C-1",
        "name": "Camera",
        "kind": "item",
        "category": "Optics",
        "manufacturer": "Lumen",
        "model": "L2",
        "serial_number": "S-1",
        "location": "Studio",
        "supplier": "Datahaus",
        "order_number": "O-9",
        "purchase_date": "2025-02-03",
        "purchase_cost": "1249.50",
        "warranty_expires": "2028-02-03",
        "condition": "fair",
        "reservable": "no",
        "quantity": str(session().get_one(Asset, asset_id).quantity or ""),
        "min_quantity": "",
        "unit": "",
        "notes": "By the door",
        "assigned_to_email": "maria@example.com",
        "status": "checked_out",
        "assigned_to": "Maria",
        "due_at": "2030-05-03T07:30:00+00:00",
        "id": str(asset_id),
        "created_at": "2025-01-02T03:04:05+00:00",
        "updated_at": "2025-01-02T03:04:05+00:00",
    }
    assert line | known == line


def test_a_missing_holder_and_location_are_blank(app: Flask) -> None:
    make_asset("Toner", kind="stock", quantity=3, min_quantity=1, unit="box")
    (line,) = exported()
    blank = ["category", "location", "assigned_to_email", "assigned_to", "due_at"]
    assert [line[name] for name in blank] == [""] * 5
    assert (line["reservable"], line["quantity"], line["unit"]) == ("yes", "3", "box")


@pytest.mark.parametrize("count", [5, 6])
def test_every_asset_is_exported_once_across_chunks(
    app: Flask, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(export, "CHUNK", 2)
    names = [f"Chair {number}" for number in range(count, 0, -1)]
    for place, name in enumerate(names):
        put_in(make_asset(name), "allocated" if place < 3 else "checked_out")
    for chosen in (AssetFilter(), AssetFilter(shown=Shown.OUT)):
        assert [line["name"] for line in exported(chosen)] == names
    # No transaction stays open while a browser reads.
    assert not any([session().in_transaction() for _ in export.rows(AssetFilter())][1:])
