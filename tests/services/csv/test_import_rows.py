"""Import rows one by one: the message of the check and the result of the import."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.assets import Asset, Category, Location
from portal.models.assignments import Staff
from portal.models.tasks import TaskRow
from portal.services.actions import assignments
from portal.services.assets.fields import AssetValues
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import session
from portal.services.csv import import_task
from portal.services.csv.import_rows import (
    Faults,
    ImportOptions,
    filled,
    kind_of,
    quantity_of,
)
from tests.services.actions.plan_examples import make_reservation, put_in
from tests.services.csv.import_steps import check, found, run
from tests.support.factories import make_asset, make_category, make_staff, make_user
from tests.support.golden.expected_file import Golden


@pytest.fixture
def register(app: Flask) -> None:
    """Store assets in every state that matters to a row, and their people."""
    ana = make_staff("Ana", email="ana@example.com")
    make_staff("Ben", email="ben@example.com", is_active=False)
    cleo = make_staff("Cleo", email="cleo@example.com")
    make_asset("Lamp", asset_tag="FREE", category_id=make_category("Lights"))
    taken = make_asset("Camera", asset_tag="TAKEN")
    assignments.allocate(make_user().actor, taken, staff_id=ana)
    due_at = utcnow() + timedelta(days=1)
    lent = make_asset("Tent", asset_tag="LENT")
    assignments.check_out(make_user().actor, lent, staff_id=cleo, due_at=due_at)
    put_in(make_asset("Saw", asset_tag="BROKEN"), "broken")
    make_reservation(make_asset("Drill", asset_tag="WANTED"), cleo, approved=True)
    make_asset("Toner", asset_tag="STOCK", kind="stock", quantity=7, min_quantity=2, unit="box")
    put_in(make_asset("Desk", asset_tag="SOLD", serial_number="D-1"), "liquidated")
    gone = make_asset("Fan", asset_tag="GONE")
    put_in(gone, "available", deleted_at=session().get_one(Asset, gone).created_at)


# Cells as column=text.
ROWS: Final = (
    "name=Chair",
    "name=Chair asset_tag=C-1 assigned_to_email=ANA@example.com",
    "asset_tag=free name=Lantern",
    "asset_tag=FREE name=Lamp",
    "asset_tag=FREE category=LIGHTS",
    "asset_tag=FREE category=Optics",
    "name=Chair location=Attic",
    f"name=Chair location={'x' * 120}",
    f"name=Chair location={'x' * 121}",
    "asset_tag=FREE kind=item",
    "asset_tag=FREE kind=stock",
    "name=Chair kind=thing",
    "asset_tag=FREE min_quantity=3 unit=box",
    "asset_tag=FREE assigned_to_email=cleo@example.com",
    "asset_tag=FREE assigned_to_email=nobody@example.com",
    "asset_tag=FREE assigned_to_email=ben@example.com",
    "asset_tag=TAKEN assigned_to_email=ana@example.com",
    "asset_tag=TAKEN assigned_to_email=cleo@example.com",
    "asset_tag=BROKEN assigned_to_email=ana@example.com",
    "asset_tag=WANTED assigned_to_email=ana@example.com",
    "asset_tag=WANTED assigned_to_email=cleo@example.com",
    "asset_tag=STOCK assigned_to_email=ana@example.com",
    "asset_tag=STOCK quantity=7",
    "asset_tag=STOCK quantity=007",
    "asset_tag=STOCK quantity=8",
    "asset_tag=STOCK min_quantity=3",
    "name=Paper kind=stock quantity=12 unit=box",
    "name=Paper kind=stock",
    "name=Chair quantity=1",
    "name=Chair quantity=2",
    "asset_tag=SOLD notes=Sold",
    "asset_tag=SOLD notes=Sold min_quantity=3",
    "asset_tag=SOLD notes=Sold unit=box",
    "asset_tag=SOLD name=Table notes=Sold",
    "asset_tag=SOLD serial_number=D-1",
    "asset_tag=GONE name=Fan",
    "name=Chair serial_number=d-1",
    "asset_tag=FREE serial_number=D-1",
    "asset_tag=FREE purchase_date=soon",
    "name=Chair manufacturer=" + "x" * 201,
    "asset_tag=L-11 location=",
    "name=Chair location=",
    "asset_tag=C-9 name=Chair serial_number=d-1",
    "asset_tag=STOCK kind=item",
    f"name=Chair category={'c' * 121}",
    "name=Ink kind=stock quantity=1000000001",
    "name=Ink kind=stock min_quantity=2000000000",
    "name=Chair condition=Excelent",
    "name=Chair reservable=maybe",
    "asset_tag=Läp name=Chair",
    "asset_tag=LENT assigned_to_email=ana@example.com",
    "name=Ink kind=stock purchase_date=31.02.2026",
    "name=Ink warranty_expires=2027-04-31",
    f"name=Ink reservable={'x' * 50}",
    "name=Ink kind=stock min_quantity=٣",
    "name=Ink kind=stock min_quantity=-1",
    "name=Ink purchase_cost=1.250",
    "name=Ink purchase_cost=-5",
    "name=Ink kind=stock min_quantity=2.5",
    "name=Ink kind=stock min_quantity=99999999999",
    "name=Chair assigned_to_email=Ana",
    "name=Chair assigned_to_email=Zoe",
    "name=Ink purchase_cost=$12",
    "name=Ink purchase_cost=€12",
    "name=Ink purchase_date=45275",
    "name= kind=thing purchase_date=soon purchase_cost=much condition=odd",
)


def as_file(cells: str) -> str:
    pairs = [part.split("=", 1) for part in cells.split(" ")]
    return "\n".join(",".join(column) for column in zip(*pairs, strict=True)) + "\n"


@pytest.mark.usefixtures("register")
def test_the_check_of_each_row_matches_the_golden_file(golden: Golden) -> None:
    person, texts = make_user(), {}
    for cells in ROWS:
        public_id = check(person, as_file(cells), change_existing=True)
        ((_, outcome, message),) = found(public_id)
        texts[cells] = f"{outcome}. {' | '.join(message.splitlines())}"
    golden.said(Path(__file__).parent / "golden" / "rows.txt", texts)


@pytest.mark.usefixtures("register")
def test_a_new_row_sets_quantities_for_consumables_only() -> None:
    person = make_user()
    text = "name,kind,quantity,min_quantity,unit\nPaper,stock,12,3,box\nChair,item,5,3,box\n"
    run(person, check(person, text))
    session().rollback()
    by_name = {asset.name: asset for asset in session().scalars(select(Asset))}
    paper, chair = by_name["Paper"], by_name["Chair"]
    assert (paper.quantity, paper.min_quantity, paper.unit) == (12, 3, "box")
    assert (chair.min_quantity, chair.unit) == (None, None)
    assert chair.quantity == by_name["Lamp"].quantity


def test_a_new_consumable_without_a_quantity_starts_empty(app: Flask) -> None:
    person = make_user()
    run(person, check(person, "name,kind,quantity\nPaper,stock,0\nToner,stock,\n"))
    session().rollback()
    rows = session().execute(select(Asset.name, Asset.quantity).order_by(Asset.name)).all()
    assert [tuple(row) for row in rows] == [("Paper", 0), ("Toner", 0)]


def test_missing_list_entries_are_added_once(app: Flask) -> None:
    person = make_user()
    text = (
        "name,category,location,assigned_to_email\n"
        "A,Optics,Attic,maria.lopez@example.com\n"
        "B,optics,attic,Maria Lopez <MARIA.LOPEZ@example.com>\n"
    )
    run(person, check(person, text))
    session().rollback()
    assert session().scalars(select(Category.name)).all() == ["Optics"]
    assert session().scalars(select(Location.name)).all() == ["Attic"]
    people = session().execute(select(Staff.name, Staff.email)).all()
    assert [tuple(row) for row in people] == [("Maria Lopez", "maria.lopez@example.com")]
    assets = session().scalars(select(Asset)).all()
    assert {(row.category.name, row.location.name) for row in assets} == {("Optics", "Attic")}  # type: ignore[union-attr]  # both have them
    assert {row.status for row in assets} == {"allocated"}


def test_rows_link_to_their_assets(app: Flask) -> None:
    person, lamp = make_user(), make_asset("Lamp", asset_tag="L-1")
    public_id = check(person, "asset_tag,name\nL-1,Lantern\n,Chair\n")
    assert asset_ids(public_id) == [lamp, None]
    run(person, public_id)
    chair = session().scalars(select(Asset.id).where(Asset.name == "Chair")).one()
    assert asset_ids(public_id) == [lamp, chair]


def asset_ids(public_id: object) -> list[int | None]:
    session().rollback()
    rows = import_task.rows_page(import_task.find_check(public_id), (), 0)[0]  # type: ignore[arg-type]  # a public id
    return [row.asset_id for row in rows]


def test_exactly_the_failed_rows_come_back(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_task, "CHUNK", 2)
    text = "name,condition\n" + "A,odd\nB,good\n" * 4 + "C,odd\n"
    task = import_task.find_check(check(make_user(), text))
    returned = [(line, session().in_transaction()) for line in import_task.failed_rows(task)]
    (heading, _), *lines = returned
    assert heading == ("name", "condition", "problem")
    # No transaction stays open while a browser reads.
    assert [(*line[:2], is_open) for line, is_open in lines] == [
        *[("A", "odd", False)] * 4,
        ("C", "odd", False),
    ]
    assert str(lines[0][0][2]).startswith("condition: Enter one of excellent")


def test_a_check_keeps_the_file_name_and_only_known_columns(app: Flask) -> None:
    person = make_user()
    text = "name,colour,status,problem,due_at,Weight\nA,red,broken,none,now,3\n"
    public_id = check(person, text, file_name="x" * 130 + ".csv")
    params = import_task.find_check(public_id).params
    assert params["columns"] == ["name"]
    assert params["file_name"] == "x" * 120
    rows = session().scalars(select(TaskRow)).all()
    assert [import_task.cells_of(import_task.find_check(public_id), row) for row in rows] == [
        {"name": "A"}
    ]


def test_only_people_who_can_edit_assets_can_import(app: Flask) -> None:
    public_id = check(make_user(), "name\nA\n")
    support = make_user("support")
    with pytest.raises(NotAllowed):
        check(support, "name\nA\n")
    with pytest.raises(NotAllowed):
        import_task.confirm(support.actor, public_id)
    with pytest.raises(NotFound):
        import_task.find_check(run(make_user(), public_id).public_id)


BEFORE = AssetValues(name="Lamp", notes="By the door", condition="fair", min_quantity=2)


def read(**cells: str) -> AssetValues:
    faults = Faults()
    readings = {"purchase_date": "day_first", "warranty_expires": "day_first"}
    after = filled(BEFORE, cells, ImportOptions(change_existing=True, readings=readings), faults)
    assert faults == []
    return after


def test_a_text_is_taken_as_is_and_a_blank_keeps_the_old_value() -> None:
    for column in (
        "asset_tag",
        "name",
        "manufacturer",
        "model",
        "serial_number",
        "supplier",
        "order_number",
        "unit",
        "notes",
    ):
        assert getattr(read(**{column: "As it is"}), column) == "As it is", column
        assert read(**{column: ""}) == BEFORE, column


def test_every_accepted_spelling_is_understood() -> None:
    for column, text, value in (
        ("purchase_date", "2026-05-03", date(2026, 5, 3)),
        ("purchase_date", "03.05.2026", date(2026, 5, 3)),
        ("warranty_expires", "3.5.2026", date(2026, 5, 3)),
        ("purchase_cost", "1.250,00", Decimal("1250.00")),
        ("condition", "Good", "good"),
        ("condition", "DAMAGED", "damaged"),
        ("reservable", "Yes", True),
        ("reservable", "y", True),
        ("reservable", "TRUE", True),
        ("reservable", "1", True),
        ("reservable", "No", False),
        ("reservable", "n", False),
        ("reservable", "false", False),
        ("reservable", "0", False),
        ("min_quantity", "0", 0),
        ("min_quantity", "1000000000", 1_000_000_000),
    ):
        assert getattr(read(**{column: text}), column) == value, column


def test_kind_and_quantity_apply_only_to_new_rows() -> None:
    assert read(kind="stock", quantity="9") == BEFORE
    assert (kind_of({}), kind_of({"kind": ""}), kind_of({"kind": "Stock"})) == (
        "item",
        "item",
        "stock",
    )
    assert (quantity_of({}), quantity_of({"quantity": ""})) == (None, None)
    assert quantity_of({"quantity": "012"}) == 12
    with pytest.raises(Refusal, match="Enter the number in digits"):
        quantity_of({"quantity": "many"})


def test_a_refusal_of_unknown_headings_quotes_the_first_row(app: Flask) -> None:
    for heading, read_as in (
        ("Tag;Bezeichnung;Ort", "tag, bezeichnung, ort"),
        ("Inventory 2026;;", "inventory_2026"),
        ("asset_tag|name", "asset_tag|name"),
        (",".join(f"column {number}" for number in range(1, 9)), "column_1, column_2, column_3, …"),
        ("x" * 90, "x" * 40),
    ):
        person, sheet = make_user(), read_csv(f"{heading}\nA,B,C\n".encode())
        with pytest.raises(Refusal) as refused:
            import_task.upload(person.actor, sheet)
        assert (refused.value.field, refused.value.sentence) == (
            "file",
            f"Add a column asset_tag or name. The first row reads “{read_as}”",
        ), heading


def test_a_blank_first_row_has_its_own_refusal(app: Flask) -> None:
    person, sheet = make_user(), read_csv(b";;\nA;B;C\n")
    with pytest.raises(Refusal, match=r"asset_tag or name\. The first row is blank"):
        import_task.upload(person.actor, sheet)
