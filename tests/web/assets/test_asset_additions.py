"""Choices added inside a form without losing entered values, and forms for a similar asset."""

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.models.assets import Asset, Category, Location
from portal.models.assignments import Assignment, Staff
from portal.models.audit import AuditEntry
from portal.services.assets import staff as staff_list
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session
from tests.support.factories import make_asset, make_category, make_location, make_staff
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

ADD = {"category": "Add category", "location": "Add location", "person": "Add person"}


def how_many(model: type) -> int:
    session().rollback()
    count: int = session().scalar(select(func.count()).select_from(model)) or 0
    return count


def chosen(page: Page, name: str) -> str:
    (select_,) = [node for node in page.root.find_all("select") if node.get("name") == name]
    return next((o.text for o in select_.find_all("option") if o.has("selected")), "")


@pytest.mark.both_databases
def test_a_category_and_a_location_are_added_in_the_asset_form(app: Flask) -> None:
    pages = visit(app)
    page = pages.get("/assets/new")
    typed = {"name": "ThinkPad", "notes": "two\nlines", "purchase_cost": "1.249,50"}
    page = pages.submit(page.form(), ADD["category"], **typed, **{"new_category-name": "Laptops"})
    assert (page.status, page.path, chosen(page, "category_id")) == (200, "/assets/new", "Laptops")
    assert {"/categories", "/locations"} <= {*page.links("Categories"), *page.links("Locations")}
    page = pages.submit(page.form(), ADD["location"], **{"new_location-name": " Room 204 "})
    assert [chosen(page, name) for name in ("category_id", "location_id")] == [
        "Laptops",
        "Room 204",
    ]
    sent = page.form().fields
    assert (sent["name"], sent["purchase_cost"]) == (["ThinkPad"], ["1.249,50"])
    assert sent["notes"] == ["two\r\nlines"]
    assert sent["new_category-name"] == [""]
    assert how_many(Asset) == 0
    page = pages.submit(page.form(), "Save asset")
    assert page.h1 == "ThinkPad"
    assert "Laptops" in page.main
    assert "Room 204" in page.main
    actions = session().scalars(select(AuditEntry.action)).all()
    assert {"category.created", "location.created"} <= set(actions)


def test_a_name_entered_but_not_added_is_added_with_the_asset(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/assets/new").form()
    faulty = {"new_category-name": "c" * 121, "new_location-name": "Attic"}
    page = pages.submit(form, "Save asset", name="Desk", **faulty)
    assert (page.status, chosen(page, "location_id"), how_many(Asset)) == (400, "Attic", 0)
    page = pages.submit(form, "Save asset", name="Desk", **{"new_category-name": "Desks"})
    assert page.path == "/assets/1"
    assert "Desks" in page.main


def test_an_existing_name_is_selected_and_not_added_twice(app: Flask) -> None:
    make_category("Laptops")
    pages = visit(app)
    form = pages.get("/assets/new").form()
    for _ in range(2):
        page = pages.submit(form, ADD["category"], **{"new_category-name": "LAPTOPS"})
        assert chosen(page, "category_id") == "Laptops"
        assert [node.text.lower() for node in page.root.find_all("option")].count("laptops") == 1
    assert how_many(Category) == 1


def test_an_invalid_name_is_shown_at_its_field_and_nothing_is_saved(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/assets/new").form()
    for name in ("", "c" * 121, "\u200b \u2060"):
        page = pages.submit(form, ADD["category"], name="Desk", **{"new_category-name": name})
        assert (page.status, page.wrong) == (400, ["new_category-name"])
        assert page.form().fields["name"] == ["Desk"]
    assert (how_many(Category), how_many(Asset)) == (0, 0)


def test_a_category_is_added_while_an_asset_is_edited(app: Flask) -> None:
    asset_id = make_asset("Lamp")
    pages = visit(app)
    form = pages.get(f"/assets/{asset_id}/edit").form()
    page = pages.submit(form, ADD["category"], name="Lamp 2", **{"new_category-name": "Lamps"})
    assert chosen(page, "category_id") == "Lamps"
    page = pages.submit(page.form(), "Save asset")
    assert "Name: Lamp → Lamp 2" in page.main
    assert "Category: Lamps" in page.main


def test_a_person_is_added_while_an_asset_is_checked_out(app: Flask) -> None:
    asset_id = make_asset("Lamp")
    pages = visit(app)
    form = pages.get(f"/assets/{asset_id}/check-out").form()
    person = {"new_person-name": "Jonas Brandt", "new_person-email": "jonas@example.com"}
    page = pages.submit(form, ADD["person"], purpose="Trade fair", **person)
    assert chosen(page, "staff_id") == "Jonas Brandt (jonas@example.com)"
    assert page.form().fields["purpose"] == ["Trade fair"]
    assert how_many(Assignment) == 0
    page = pages.submit(page.form(), "Check out")
    assert page.path == f"/assets/{asset_id}"
    assert "Jonas Brandt" in page.main


def test_a_person_who_cannot_be_added_is_refused_at_the_field(app: Flask) -> None:
    make_staff("Maria Lopez", email="maria@example.com")
    left = make_staff("Ben Novak", email="ben@example.com")
    row = session().get_one(Staff, left)
    staff_list.deactivate(SYSTEM, row.public_id)
    pages = visit(app)
    form = pages.get(f"/assets/{make_asset()}/allocate").form()
    for name, email, field in (
        ("", "jonas@example.com", "name"),
        ("Jonas", "jonas", "email"),
        ("Jonas", "maria@example.com", "email"),
        ("Ben Novak", "ben@example.com", "name"),
    ):
        person = {"new_person-name": name, "new_person-email": email}
        page = pages.submit(form, ADD["person"], **person)
        assert (page.status, page.wrong) == (400, [f"new_person-{field}"]), email
    assert how_many(Staff) == 2


def test_a_form_offers_only_additions_to_its_own_choices(app: Flask) -> None:
    asset_id = make_asset()
    make_location("A")
    make_location("B")
    pages = visit(app)
    for slug, parts in (("transfer", ["location"]), ("allocate", ["person"]), ("report-lost", [])):
        buttons = pages.get(f"/assets/{asset_id}/{slug}").form().buttons
        assert [kind for kind, words in ADD.items() if words in buttons] == parts


def test_additions_to_choices_that_a_form_lacks_are_ignored(app: Flask) -> None:
    asset_id, slug, typed = make_asset(), "report-lost", {"description": "Left in a train"}
    pages = visit(app)
    person = {"new_person-name": "Jonas", "new_person-email": "jonas@example.com"}
    form = pages.get(f"/assets/{asset_id}/{slug}").form()
    parts = {**person, "new_location-name": "Attic"}
    page = pages.submit(form, **typed, **parts)
    assert (page.status, page.errors) == (200, [])
    assert page.path.startswith(f"/assets/{asset_id}")
    assert slug not in page.path
    assert (how_many(Staff), how_many(Location)) == (0, 0)


def test_several_assets_can_be_allocated_to_a_new_person(app: Flask) -> None:
    ids = [make_asset(), make_asset()]
    pages = visit(app)
    query = "&".join(f"ids={asset_id}" for asset_id in ids)
    form = pages.get(f"/assets/bulk?action=allocate&{query}").form()
    person = {"new_person-name": "Jonas", "new_person-email": "jonas@example.com"}
    page = pages.submit(form, ADD["person"], **person)
    assert chosen(page, "staff_id") == "Jonas (jonas@example.com)"
    assert page.form().fields["ids"] == [str(asset_id) for asset_id in ids]
    assert pages.submit(page.form(), "Allocate 2 assets").path.startswith("/tasks/")


def test_save_and_add_another_keeps_the_common_values(app: Flask) -> None:
    make_category("Laptops")
    pages = visit(app)
    values = {"name": "ThinkPad", "category_id": "1", "serial_number": "S1", "asset_tag": "L-1"}
    form = pages.get("/assets/new").form()
    page = pages.submit(form, "Save and add another", **values)
    assert page.h1 == "Add asset"
    assert page.tone == "success"
    sent = page.form().fields
    assert [sent[name] for name in ("name", "category_id", "serial_number", "asset_tag")] == [
        ["ThinkPad"],
        ["1"],
        [""],
        [""],
    ]
    assert page.links("Start with a blank form") == ["/assets/new"]
    page = pages.submit(page.form(), "Save asset")
    assert page.path == "/assets/2"


def test_an_asset_is_copied_from_its_page(app: Flask) -> None:
    stock = make_asset(
        "Toner",
        kind="stock",
        quantity=12,
        min_quantity=4,
        unit="box",
        notes="Room 2",
        condition="poor",
    )
    pages = visit(app)
    (copy,) = pages.get(f"/assets/{stock}").links("Copy asset")
    sent = pages.get(copy).form().fields
    names = ("kind", "min_quantity", "unit", "notes", "quantity", "condition")
    assert [sent[name] for name in names] == [
        *(["stock"], ["4"], ["box"], [""], [""]),
        ["good"],  # a new asset is not worn yet
    ]
    assert not visit(app, "support").get(f"/assets/{stock}").links("Copy asset")


def test_enter_saves_the_form(app: Flask) -> None:
    make_staff()
    pages: Pages = visit(app)
    page = pages.get(f"/assets/{make_asset()}/check-out")
    first = next(node for node in page.form().node.find_all("button"))
    assert first.get("aria-hidden") == "true"  # Enter presses this button, which saves
    assert first.get("name") == ""
