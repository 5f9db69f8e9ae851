"""Plausible and hostile sheets: each row is told what is really wrong with it."""

from datetime import timedelta

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.services.actions import assignments, incidents
from portal.services.actions.incidents import DisposalValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import Refusal
from portal.services.csv import import_task
from tests.services.csv.import_steps import check, found
from tests.support.factories import make_asset, make_staff, make_user


def test_a_value_is_refused_for_what_is_wrong_with_it(app: Flask) -> None:
    for column, cell, sentence in (
        (
            "purchase_date",
            "31.02.2026",
            "Enter purchase_date as a date that exists, not “31.02.2026”: "
            "there is no 31 February 2026",
        ),
        (
            "warranty_expires",
            "2027-04-31",
            "Enter warranty_expires as a date that exists, not “2027-04-31”: "
            "there is no 31 April 2027",
        ),
        (
            "purchase_date",
            "03/05/2026",
            "Enter purchase_date as year, month and day, such as 2026-05-03, not “03/05/2026”",
        ),
        (
            "purchase_cost",
            "1.250",
            "Enter purchase_cost with two decimals, such as 1250.00, not “1.250”: "
            "the point may stand for thousands",
        ),
        ("purchase_cost", "-5", "Enter purchase_cost as 0 or more, not “-5”"),
        ("min_quantity", "2.5", "Enter min_quantity as a whole number, such as 25, not “2.5”"),
        ("min_quantity", "9" * 11, f"Enter min_quantity with at most 10 digits, not “{'9' * 11}”"),
    ):
        text = f"name,kind,{column}\nToner,stock,{cell}\n"
        assert found(check(make_user(), text)) == [(2, "error", sentence)], column


def test_a_file_without_our_headings_is_told_what_its_first_row_reads(app: Flask) -> None:
    for heading, read_as in (
        ("Tag;Bezeichnung;Ort", "tag, bezeichnung, ort"),
        ("Inventory 2026;;", "inventory_2026"),
        ("asset_tag|name", "asset_tag|name"),
        (",".join(f"column {number}" for number in range(1, 9)), "column_1, column_2, column_3, …"),
        ("x" * 90, "x" * 40),
    ):
        person, sheet = make_user(), read_csv(f"{heading}\nA,B,C\n".encode())
        with pytest.raises(Refusal) as refused:
            import_task.upload(person.actor, sheet, may_add=False)
        assert (refused.value.field, refused.value.sentence) == (
            "file",
            f"The file needs a column asset_tag or name. Its first row reads “{read_as}”",
        ), heading


def test_a_first_row_without_a_word_is_told_apart(app: Flask) -> None:
    person, sheet = make_user(), read_csv(b";;\nA;B;C\n")
    with pytest.raises(Refusal, match=r"asset_tag or name\. Its first row is blank"):
        import_task.upload(person.actor, sheet, may_add=False)


@pytest.mark.parametrize(
    ("heading", "line", "sentence"),
    [
        (
            "asset_tag,location",
            "L-11,",
            "No asset has the tag L-11. To add one with it, enter its name",
        ),
        (
            "name,serial_number",
            "Lamp,s1",
            "L-1 already has this serial number. If this row is about it, enter L-1 in asset_tag",
        ),
        ("asset_tag,name,serial_number", "L-9,Lamp,s1", "L-1 already has this serial number"),
        ("asset_tag,kind", "L-1,stock", "It is a single item, and its kind cannot be changed"),
        ("asset_tag,kind", "T-1,item", "It is stock, and its kind cannot be changed"),
        ("name,category", f"A,{'c' * 121}", "Use at most 120 characters in category"),
        (
            "name,kind,quantity",
            "A,stock,1000000001",
            "Enter quantity from 0 to 1,000,000,000, not “1000000001”",
        ),
        (
            "name,kind,min_quantity",
            "A,stock,2000000000",
            "Enter min_quantity from 0 to 1,000,000,000, not “2000000000”",
        ),
        (
            "name,condition",
            "A,Excelent",
            "Enter one of excellent, good, fair, poor, damaged in condition, not “Excelent”",
        ),
        ("name,kind", "A,laptop", "Enter item or stock in kind, not “laptop”"),
        ("name,reservable", "A,maybe", "Enter yes or no in reservable, not “maybe”"),
        ("name,model", f"A,{'m' * 121}", "Use at most 120 characters in the model"),
        (
            "asset_tag,name",
            "Läp 1,A",
            "Use only letters without accents, digits and . _ / - in the asset tag",
        ),
        (
            "name,assigned_to_email",
            "A,nobody@example.com",
            "Nobody on the staff list has the address nobody@example.com",
        ),
        (
            "asset_tag,assigned_to_email",
            "G-1,ben@example.com",
            "G-1 is lent to Ana. Check it in first",
        ),
        (
            "asset_tag,assigned_to_email",
            "B-1,ben@example.com",
            "B-1 is broken. Have it repaired first",
        ),
        (
            "asset_tag,category",
            "D-1,Chairs",
            "It is disposed of. Only its notes can be changed",
        ),
    ],
)
def test_a_row_is_refused_for_what_is_wrong_with_it(
    app: Flask, heading: str, line: str, sentence: str
) -> None:
    make_asset("Lamp", asset_tag="L-1", serial_number="S1")
    make_asset("Toner", asset_tag="T-1", kind="stock", quantity=4)
    make_staff("Ben", email="ben@example.com")
    assignments.check_out(
        SYSTEM,
        make_asset("Camera", asset_tag="G-1"),
        staff_id=make_staff("Ana", email="ana@example.com"),
        due_at=utcnow() + timedelta(days=1),
    )
    incidents.report_broken(SYSTEM, make_asset("Drill", asset_tag="B-1"), description="Fell")
    incidents.liquidate(SYSTEM, make_asset("Desk", asset_tag="D-1"), DisposalValues(method="sold"))
    public_id = check(make_user(), f"{heading}\n{line}\n", may_add=True, change_existing=True)
    assert found(public_id) == [(2, "error", sentence)]
