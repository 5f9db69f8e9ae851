"""Facts that hold for many rows are noted once, with the number of rows."""

from datetime import date
from decimal import Decimal
from typing import Any

from flask import Flask
from sqlalchemy import select

from portal.lib.spreadsheets.sheets import read_csv
from portal.models.assets import Activity
from portal.services import tasks
from portal.services.core.unit_of_work import session
from portal.services.csv import import_task
from tests.services.csv.import_steps import check, found, run, shown, sides
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_staff,
    make_user,
)


def test_an_added_name_is_noted_once_with_its_number_of_rows(app: Flask) -> None:
    make_category("Desks")
    make_asset("Lamp", asset_tag="L-1")
    text = "asset_tag,name,category,location,purchase_date\n" + "".join(
        f"{line}\n"
        for line in (
            ",A,Chairs,Berlin,",
            ",B,chairs,Graz,",
            ",C,CHAIRS,Berlin,",
            ",D,Lamps,,",
            ",E,desks,,",
            ",F,Tables,,never",
            "L-1,,Beds,,",
        )
    )
    public_id = check(make_user(), text)
    assert [row[1:] for row in found(public_id)] == [
        *[("create", "")] * 5,
        (
            "error",
            "purchase_date: Enter the purchase date as year, month, and day, such as 2026-05-03, "
            "not “never”",
        ),
        ("skipped", ""),
    ]
    assert tasks.find(public_id).params["notes"] == {
        "category": {"chairs": ["Chairs", 3], "lamps": ["Lamps", 1]},
        "location": {"berlin": ["Berlin", 2], "graz": ["Graz", 1]},
        "faults": {"unread:purchase_date": 1},
    }


def test_values_left_out_of_a_row_are_named_there_and_counted(app: Flask) -> None:
    make_asset("Lamp", asset_tag="L-1")
    make_asset("Toner", asset_tag="T-1", kind="stock", quantity=4)
    make_asset("Paper", asset_tag="T-2", kind="stock", quantity=0)
    lines = (
        "L-1,,,5,2,piece\n"
        ",Chair,,30,,\n"
        ",Stool,,1,,\n"
        ",Ink,stock,12,3,box\n"
        ",Shelf,,,,box\n"
        "T-1,,,9,,\n"
        "T-2,,,0,,\n"
    )
    heading = "asset_tag,name,kind,quantity,min_quantity,unit\n"
    public_id = check(make_user(), heading + lines, change_existing=True)
    assert [row[1:] for row in found(public_id)] == [
        ("unchanged", "Left out: quantity 5, min_quantity 2, unit piece"),
        ("create", "Left out: quantity 30"),
        ("create", ""),
        ("create", ""),
        ("create", "Left out: unit box"),
        ("unchanged", "Left out: quantity 9"),
        ("unchanged", ""),
    ]
    assert tasks.find(public_id).params["notes"] == {"single": 3, "counted": 1}


def test_the_notes_list_the_names_that_the_import_adds(app: Flask) -> None:
    person = make_user()
    lines = "".join(f"A,Category {number % 4}\n" for number in range(60))
    public_id = check(person, f"name,category\n{lines}")
    noted = [name for name, _ in tasks.find(public_id).params["notes"]["category"].values()]
    run(person, public_id)
    again = check(person, f"name,category\n{lines}")
    assert noted == ["Category 0", "Category 1", "Category 2", "Category 3"]
    assert tasks.find(again).params["notes"] == {}


def test_columns_that_only_actions_change_are_listed(app: Flask) -> None:
    sheet = read_csv(b"name,status,Assigned To,due_at,id,created_at\nA,lost,Ben,2026-01-01,7,x\n")
    public_id = import_task.upload(make_user().actor, sheet)
    assert tasks.find(public_id).params["left_alone"] == ["status", "assigned_to", "due_at"]


def test_a_skipped_row_has_no_left_out_values(app: Flask) -> None:
    make_asset("Lamp", asset_tag="L-1")
    public_id = check(make_user(), "asset_tag,name,quantity\nL-1,Lantern,5\n")
    assert [row[1:] for row in found(public_id)] == [("skipped", "")]
    assert tasks.find(public_id).params["notes"] == {}


HEADING = (
    "asset_tag,name,category,manufacturer,model,serial_number,location,supplier,order_number,"
    "purchase_date,purchase_cost,warranty_expires,condition,reservable,notes,assigned_to_email\n"
)


def test_the_check_shows_each_changed_field_old_and_new(app: Flask) -> None:
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
    public_id = check(make_user(), f"{HEADING}{line}maria@example.com\n", change_existing=True)
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


def test_the_timeline_shows_the_changes_that_the_check_showed(app: Flask) -> None:
    person = make_user()
    asset_id = make_asset("Lamp", asset_tag="L-1", serial_number="S-1", notes="Old\nlines")
    stock_id = make_asset("Toner", asset_tag="T-1", kind="stock", quantity=4, unit="box")
    make_staff("Maria", email="maria@example.com")
    lines = (
        'l-1,Desk lamp,Lamps,Ikea,T1,S-2,Studio,Shop,4711,2026-01-02,12.5,2027-01-02,fair,no,"New\n'
        'lines",maria@example.com\nT-1,Toner X,,,,,,,,,,,,,,\n'
    )
    public_id = check(person, HEADING + lines, change_existing=True)
    before = shown(public_id)
    assert len(before[0]) == 17
    run(person, public_id)
    for row_id, expected in zip((asset_id, stock_id), before, strict=True):
        query = select(Activity).where(Activity.asset_id == row_id).order_by(Activity.id).offset(1)
        changes: dict[str, Any] = {}
        for activity in session().scalars(query):
            changes |= sides(activity.changes)
        assert changes == expected
    assert shown(public_id) == before


def test_a_new_asset_shows_only_its_holder(app: Flask) -> None:
    make_staff("Maria", email="maria@example.com")
    lines = "name,model,assigned_to_email\nChair,X,\nDesk,Y,maria@example.com\n"
    public_id = check(make_user(), lines)
    assert shown(public_id) == [{}, {"holder": (None, "Maria")}]
