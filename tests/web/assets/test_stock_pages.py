"""Stock as people keep it: added, received, issued, counted, and its history."""

from flask import Flask

from tests.support.factories import make_asset
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit


def move(pages: Pages, action: str, **values: str) -> Page:
    path = f"/assets/1/{action}"
    return pages.submit(pages.get(path).form(path), **values)


def test_a_person_adds_issues_receives_and_adjusts_stock(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/assets/new").form("/assets/new")
    page = pages.submit(form, name="Toner", kind="stock", quantity="", min_quantity="few")
    assert page.wrong == ["quantity", "min_quantity"]
    page = pages.submit(page.form(), quantity="10", min_quantity="4", unit="boxes")
    assert page.path == "/assets/1"
    assert "Quantity 10" in page.main
    page = move(pages, "issue", quantity="3", note="For room 204")
    assert page.path == "/assets/1/stock"
    assert "Quantity: 10 → 7" in pages.get("/assets/1/timeline").main
    move(pages, "receive", quantity="20")
    move(pages, "adjust", quantity="25", kind="loss")
    page = pages.get("/assets/1/stock")
    assert "25 boxes in stock." in page.main
    assert "The low-stock threshold is 4." in page.main
    assert [(row[0], row[2], row[3]) for row in page.rows()] == [
        ("Lost or damaged", "\u22122", "25"),
        ("Received", "+20", "27"),
        ("Issued", "\u22123", "7"),
        ("Received", "+10", "10"),
    ]


def test_the_form_of_stock_has_its_threshold_but_no_quantity(app: Flask) -> None:
    make_asset("Toner", kind="stock", quantity=2, min_quantity=5)
    pages = visit(app)
    form = pages.get("/assets/1/edit").form()
    assert form.fields["min_quantity"] == ["5"]
    assert not {"quantity", "kind"} & set(form.fields)
    page = pages.submit(form, min_quantity="6")
    assert "Low-stock threshold: 5 → 6" in page.main
    assert pages.submit(pages.get("/assets/1/edit").form()).tone == "info"
