"""Import of a list of 30 assets as an office keeps it, without edits."""

import csv
import io

import pytest
from flask import Flask
from sqlalchemy import select

from jobs import tasks as job
from portal.models.assets import Asset
from portal.models.assignments import Staff
from portal.services.core.unit_of_work import session
from portal.services.task_kinds import KINDS
from tests.services.csv import thirty_rows
from tests.support.factories import make_category, make_staff
from tests.support.pages import Page, Pages
from tests.web.csv.test_import_match import chosen, preview, send
from tests.web.signed_in import visit


def checked(pages: Pages, page: Page) -> Page:
    """Accept the guessed headings and return the preview of the rows."""
    page = pages.submit(page.form(), "Continue")
    assert page.h1 == "Check file", page.errors
    return preview(pages, page)


def imported(pages: Pages, page: Page, button: str) -> None:
    pages.submit(page.form(page.path), button)
    job.work(KINDS)


@pytest.mark.parametrize("name", thirty_rows.FILES)
def test_valid_rows_are_imported_at_once_and_the_rest_after_correction(
    app: Flask, name: str
) -> None:
    make_category("Laptops")
    make_staff("Maria Lopez", email="maria@example.com")
    pages = visit(app)
    page = send(pages, thirty_rows.FILES[name], name)
    fields = ["Tag", "Name", "Category", "Purchase date", "Warranty ends", "Purchase cost"]
    assert chosen(page)[:8] == [*fields, "Location", "Holder"]
    assert "Leave out" not in chosen(page)
    page = checked(pages, page)
    assert "Recognized all 8 columns." in page.main
    assert "2 rows can’t be imported. The rest can." in page.main
    for line in (
        "1 row: date not recognized in “Bought on”",
        "1 row: date not recognized in “Guarantee until”",
        "1 row: amount not recognized in “Price”",
        "1 row: amount in another currency in “Price”",
        "1 row: same value as in an earlier row in “Inventory No.”",
        "3 new categories",
        "3 new locations",
        "1 new person: Jonas Brandt",
    ):
        assert line in page.main
    failed = pages.get(f"{page.path}?show=failed").rows()
    assert [row[0] for row in failed] == ["13", "26"]
    for row, faults in zip(
        failed,
        (
            (
                "Bought on: Enter the purchase date",
                "Guarantee until: Enter",
                "in EUR, not “$1,399”",
            ),
            (
                "Inventory No.: Row 6 already has this tag",
                "Asset name: No asset has",
                "Price: Enter the",
            ),
        ),
        strict=True,
    ):
        assert [words for words in faults if words not in row[-1]] == []
    look = page.path
    imported(pages, page, "Import 28 rows")
    (download,) = pages.get(look).links("Download them with error details")
    lines = pages.client.get(download, buffered=True).get_data(as_text=True).removeprefix("\ufeff")
    between = thirty_rows.SEPARATORS.get(name, ",")
    heading, *rows = csv.reader(io.StringIO(lines), delimiter=between)
    assert heading == [*thirty_rows.HEADINGS, "problem"]
    assert [row[:8] for row in rows] == list(thirty_rows.WRONG.values())
    mended = io.StringIO()
    csv.writer(mended, delimiter=between).writerows([heading, *thirty_rows.MENDED.values()])
    page = send(pages, mended.getvalue().encode(), "failed-rows.csv")
    assert page.main.count("same as last time") == 8
    page = checked(pages, page)
    imported(pages, page, "Import 2 rows")
    as_it_was_written()


def as_it_was_written() -> None:
    session().rollback()
    assets = {row.asset_tag: row for row in session().scalars(select(Asset))}
    assert len(assets) == 30
    for number in range(1, 31):
        if number in thirty_rows.WRONG:
            continue
        asset = assets[f"INV-{number:03}"]
        assert asset.purchase_date == thirty_rows.bought(number), number
        assert asset.warranty_expires == thirty_rows.ends(number), number
        assert asset.purchase_cost is not None
        assert asset.purchase_cost * 100 == thirty_rows.price(number), number
        assert asset.location is not None
        assert asset.location.name == thirty_rows.PLACES[number % 3]
    mended = assets["INV-012"], assets["INV-025"]
    assert [(str(each.purchase_date), str(each.purchase_cost)) for each in mended] == [
        ("2023-02-28", "1399.00"),
        ("2023-05-01", "99.00"),
    ]
    people = select(Staff.name, Staff.email).order_by(Staff.name)
    assert [tuple(each) for each in session().execute(people)] == [
        ("Jonas Brandt", "jonas.brandt@example.com"),
        ("Maria Lopez", "maria@example.com"),
    ]
