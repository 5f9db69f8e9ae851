"""Plausible and hostile sheets: each row is told what is really wrong with it."""

import pytest
from flask import Flask

from portal.lib.csv_upload import read_csv
from portal.services.core.refusals import Refusal
from portal.services.csv import import_task
from tests.services.csv.import_steps import check, found
from tests.support.factories import make_user


@pytest.mark.parametrize(
    ("column", "cell", "sentence"),
    [
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
    ],
)
def test_a_value_is_refused_for_what_is_wrong_with_it(
    app: Flask, column: str, cell: str, sentence: str
) -> None:
    text = f"name,kind,{column}\nToner,stock,{cell}\n"
    assert found(check(make_user(), text)) == [(2, "error", sentence)]


@pytest.mark.parametrize(
    ("heading", "read_as"),
    [
        ("Tag;Bezeichnung;Ort", "tag, bezeichnung, ort"),
        ("Inventory 2026;;", "inventory_2026"),
        ("asset_tag|name", "asset_tag|name"),
        (",".join(f"column {number}" for number in range(1, 9)), "column_1, column_2, column_3, …"),
        ("x" * 90, "x" * 40),
    ],
)
def test_a_file_without_our_headings_is_told_what_its_first_row_reads(
    app: Flask, heading: str, read_as: str
) -> None:
    person, sheet = make_user(), read_csv(f"{heading}\nA,B,C\n".encode())
    with pytest.raises(Refusal) as refused:
        import_task.upload(person.actor, sheet, may_add=False)
    assert (refused.value.field, refused.value.sentence) == (
        "file",
        f"The file needs a column asset_tag or name. Its first row reads “{read_as}”",
    )


def test_a_first_row_without_a_word_is_told_apart(app: Flask) -> None:
    person, sheet = make_user(), read_csv(b";;\nA;B;C\n")
    with pytest.raises(Refusal, match=r"asset_tag or name\. Its first row is blank"):
        import_task.upload(person.actor, sheet, may_add=False)
