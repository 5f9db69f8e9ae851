"""What the check shows of each row, field by field, is what becomes of the asset."""

from datetime import date
from decimal import Decimal
from typing import Any

from flask import Flask
from sqlalchemy import select

from portal.models.assets import Activity
from portal.services.core.unit_of_work import session
from tests.services.csv.import_steps import check, run, shown, sides
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_staff,
    make_user,
)

HEADING = (
    "asset_tag,name,category,manufacturer,model,serial_number,location,supplier,order_number,"
    "purchase_date,purchase_cost,warranty_expires,condition,reservable,notes,assigned_to_email\n"
)


def test_it_shows_each_changed_field_old_and_new(app: Flask) -> None:
    make_asset(
        "ThinkPad",
        asset_tag="L-1",
        category_id=make_category("Laptops"),
        location_id=make_location("Berlin"),
        manufacturer="Lenovo",
        purchase_cost=Decimal("1349"),
        purchase_date=date(2026, 1, 2),
        condition="good",
        notes="By the door",
    )
    make_location("Store")
    make_staff("Maria", email="maria@example.com")
    line = 'L-1,ThinkPad T14,Phones,,T14,,store,,,2026-01-02,"1.299,00",31.12.2028,FAIR,no,,'
    public_id = check(
        make_user(), f"{HEADING}{line}maria@example.com\n", may_add=True, change_existing=True
    )
    assert shown(public_id)[0] == {
        "name": ("ThinkPad", "ThinkPad T14"),
        "category": ("Laptops", "Phones"),
        "model": (None, "T14"),
        "status": ("available", "allocated"),
        "condition": ("good", "fair"),
        "location": ("Berlin", "Store"),
        "holder": (None, "Maria"),
        "purchase_cost": ("1349.00", "1299.00"),
        "warranty_expires": (None, "2028-12-31"),
        "reservable": (True, False),
    }


def test_the_timeline_says_afterwards_what_the_check_has_shown(app: Flask) -> None:
    person = make_user()
    asset_id = make_asset("Lamp", asset_tag="L-1", serial_number="S-1", notes="Old\nlines")
    stock_id = make_asset("Toner", asset_tag="T-1", kind="stock", quantity=4, unit="box")
    make_staff("Maria", email="maria@example.com")
    lines = (
        'l-1,Desk lamp,Lamps,Ikea,T1,S-2,Studio,Shop,4711,2026-01-02,12.5,2027-01-02,fair,no,"New\n'
        'lines",maria@example.com\nT-1,Toner X,,,,,,,,,,,,,,\n'
    )
    public_id = check(person, HEADING + lines, may_add=True, change_existing=True)
    before = shown(public_id)
    assert len(before[0]) == 17
    run(person, public_id)
    for one, expected in zip((asset_id, stock_id), before, strict=True):
        wanted = select(Activity).where(Activity.asset_id == one).order_by(Activity.id).offset(1)
        told: dict[str, Any] = {}
        for activity in session().scalars(wanted):
            told |= sides(activity.changes)
        assert told == expected
    assert shown(public_id) == before


def test_a_new_asset_shows_who_gets_it_and_no_more(app: Flask) -> None:
    make_staff("Maria", email="maria@example.com")
    lines = "name,model,assigned_to_email\nChair,X,\nDesk,Y,maria@example.com\n"
    public_id = check(make_user(), lines)
    assert shown(public_id) == [{}, {"holder": (None, "Maria")}]
