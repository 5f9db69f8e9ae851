"""The list of assets: chips with counts, search by person, and the same list as a file."""

import csv
import io
from datetime import timedelta

from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.assignments import Assignment
from portal.services.actions import assignments
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from tests.support.factories import make_asset, make_staff
from tests.support.pages import Pages
from tests.web.signed_in import visit


def chips(pages: Pages, query: str = "") -> dict[str, str]:
    page = pages.get(f"/assets{query}")
    bar = next(
        node for node in page.root.find_all("nav") if node.get("aria-label") == "Assets by state"
    )
    words = [link.text.rsplit(" ", 1) for link in bar.find_all("a")]
    return dict(words)


def lend(asset_id: int, staff_id: int, *, late: bool = False) -> None:
    due_at = utcnow() + timedelta(days=1)
    assignments.check_out(SYSTEM, asset_id, staff_id=staff_id, due_at=due_at)
    if late:
        with writing() as current:
            yesterday = utcnow() - timedelta(days=1)
            current.execute(
                update(Assignment)
                .where(Assignment.asset_id == asset_id)
                .values(started_at=yesterday - timedelta(days=1), due_at=yesterday)
            )


def fill() -> None:
    maria = make_staff("Maria Lopez", email="maria@example.com")
    make_asset("Lamp")
    lend(make_asset("Camera"), maria)
    lend(make_asset("Projector"), maria, late=True)
    make_asset("Toner", kind="stock", quantity=2, min_quantity=5)
    with writing() as current:
        current.execute(update(Asset).where(Asset.name == "Lamp").values(status="broken"))


def test_low_stock_is_shown_with_its_threshold(app: Flask) -> None:
    make_asset("Toner", kind="stock", quantity=3, min_quantity=4, unit="pieces")
    make_asset("Paper", kind="stock", quantity=8, min_quantity=4, unit="reams")
    pages = visit(app)
    cells = {row[1].split(" ")[0]: row[3] for row in pages.get("/assets").rows()}
    assert cells == {"Toner": "Low stock 3 pieces (threshold 4)", "Paper": "Available 8 reams"}


def names(pages: Pages, query: str) -> list[str]:
    return [row[1].rsplit(" ", 1)[0] for row in pages.get(f"/assets?{query}").rows()]


def test_chips_count_the_assets_that_they_would_show(app: Flask) -> None:
    fill()
    pages = visit(app)
    assert chips(pages) == {
        "All": "4",
        "Available": "1",
        "In use": "2",
        "Overdue": "1",
        "Needs repair": "1",
        "Low stock": "1",
    }
    assert chips(pages, "?q=Maria&show=lost") == {
        "All": "2",
        "In use": "2",
        "Overdue": "1",
        "Lost": "0",
    }
    assert names(pages, "show=overdue") == ["Projector"]
    assert names(pages, "show=low") == ["Toner"]
    badges = {row[1]: row[3] for row in pages.get("/assets").rows()}
    assert "Overdue" in badges["Projector"]
    assert "Low stock" in badges["Toner"]
    assert "Overdue" not in badges["Camera"]
    assert names(pages, "show=out") == ["Projector", "Camera"]
    page = pages.get("/assets?show=nonsense")
    assert (page.status, page.errors) == (400, ["Show “nonsense” isn’t known"])


def test_deleted_assets_can_be_listed_and_restored(app: Flask) -> None:
    make_asset("Lamp")
    make_asset("Chair")
    pages = visit(app)
    page = pages.submit(pages.get("/assets/1/delete").form())
    assert page.tone == "success"
    assert names(pages, "") == ["Chair"]
    page = pages.get("/assets?status=deleted")
    assert [row[:3] for row in page.rows()] == [["Lamp", "AST-00001", "Deleted"]]
    assert "Selected" not in page.main
    file = pages.client.get("/assets/export.csv?status=deleted", buffered=True)
    assert [row["status"] for row in rows_of(file.get_data(as_text=True))] == ["deleted"]
    page = pages.get(page.links("Lamp")[0])
    pages.submit(pages.get(page.links("Restore")[0]).form())
    assert names(pages, "") == ["Chair", "Lamp"]
    assert names(pages, "status=deleted") == []


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))


def read(pages: Pages, query: str = "") -> list[dict[str, str]]:
    response = pages.client.get(f"/assets/export.csv{query}", buffered=True)
    assert response.mimetype == "text/csv"
    text = response.get_data(as_text=True)
    assert text.startswith("\ufeff")
    return rows_of(text)


def test_the_file_contains_the_assets_of_the_list(app: Flask) -> None:
    fill()
    pages = visit(app)
    assert [row["name"] for row in read(pages)] == ["Lamp", "Camera", "Projector", "Toner"]
    (late,) = read(pages, "?show=overdue")
    assert late["assigned_to_email"] == "maria@example.com"
    assert late["status"] == "checked_out"
    assert pages.get("/assets?show=overdue").links("Export CSV") == [
        "/assets/export.csv?show=overdue"
    ]


def test_a_full_page_gives_the_total_number_of_assets(app: Flask) -> None:
    make_asset("Lamp")
    pages = visit(app)
    assert "This page shows" not in pages.get("/assets").main
    for number in range(51):
        make_asset(f"Chair {number}")
    page = pages.get("/assets")
    assert "This page shows 50 of 52 assets. To get all of them, export CSV." in page.main
    page = pages.get("/assets?q=chair")
    assert "This page shows 50 of 51 assets." in page.main
    (path,) = page.links("export CSV")
    assert path == "/assets/export.csv?q=chair"
