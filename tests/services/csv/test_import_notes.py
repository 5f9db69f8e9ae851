"""What holds for many rows is noted once, with how many they are."""

from flask import Flask

from portal.lib.spreadsheets.sheets import read_csv
from portal.services import tasks
from portal.services.csv import import_task
from tests.services.csv.import_steps import check, found, run
from tests.support.factories import make_asset, make_category, make_user


def test_a_name_that_is_added_is_noted_once_with_its_rows(app: Flask) -> None:
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
    public_id = check(make_user(), text, may_add=True)
    assert [row[1:] for row in found(public_id)] == [
        *[("create", "")] * 5,
        (
            "error",
            "Enter purchase_date as year, month and day, such as 2026-05-03, not “never”",
        ),
        ("skipped", ""),
    ]
    assert tasks.find(public_id).params["notes"] == {
        "category": {"chairs": ["Chairs", 3], "lamps": ["Lamps", 1]},
        "location": {"berlin": ["Berlin", 2], "graz": ["Graz", 1]},
    }


def test_what_is_left_out_of_a_row_is_said_there_and_counted(app: Flask) -> None:
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


def test_the_notes_say_what_the_import_adds(app: Flask) -> None:
    person = make_user()
    lines = "".join(f"A,Category {number % 4}\n" for number in range(60))
    public_id = check(person, f"name,category\n{lines}", may_add=True)
    noted = [name for name, _ in tasks.find(public_id).params["notes"]["category"].values()]
    run(person, public_id)
    again = check(person, f"name,category\n{lines}", may_add=True)
    assert noted == ["Category 0", "Category 1", "Category 2", "Category 3"]
    assert tasks.find(again).params["notes"] == {}


def test_columns_that_only_actions_change_are_told(app: Flask) -> None:
    sheet = read_csv(b"name,status,Assigned To,due_at,id,created_at\nA,lost,Ben,2026-01-01,7,x\n")
    public_id = import_task.upload(make_user().actor, sheet, may_add=False)
    assert tasks.find(public_id).params["left_alone"] == ["status", "assigned_to", "due_at"]


def test_of_what_is_skipped_nothing_is_called_left_out(app: Flask) -> None:
    make_asset("Lamp", asset_tag="L-1")
    public_id = check(make_user(), "asset_tag,name,quantity\nL-1,Lantern,5\n")
    assert [row[1:] for row in found(public_id)] == [("skipped", "")]
    assert tasks.find(public_id).params["notes"] == {}
