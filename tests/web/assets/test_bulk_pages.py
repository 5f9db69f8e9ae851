"""Bulk actions as people use them: select in the list, review, confirm once, and follow."""

from datetime import date
from decimal import Decimal

import pytest
from flask import Flask

from jobs import tasks as job
from portal.lib.paging import PAGE_SIZE
from portal.models.assets import Asset
from portal.models.planning import Maintenance
from portal.services.actions import assignments, bulk
from portal.services.assets import queries
from portal.services.core.permissions import SYSTEM
from portal.services.task_kinds import KINDS
from portal.web.assets import bulk_views
from tests.services.core.keyset_walk import every
from tests.support.factories import make_asset, make_location, make_staff
from tests.web.signed_in import visit


def test_a_person_allocates_several_assets_to_one_person(app: Flask) -> None:
    maria = make_staff("Maria Lopez")
    for name in ("Lamp", "Chair", "Desk", "Shelf"):
        make_asset(name)
    assignments.allocate(SYSTEM, 2, staff_id=make_staff("Ben Fox"))
    pages = visit(app)
    form = pages.get("/assets").form("/assets/bulk")
    page = pages.submit(form, "Allocate", ids=["1", "2", "3"])
    assert page.h1 == "Allocate 2 assets"
    assert "AST-00002 is allocated to Ben Fox." in page.main
    form = page.form("/assets/bulk")
    assert form.buttons[-1] == "Allocate 2 assets"
    assert pages.submit(form).wrong == ["staff_id"]
    progress = pages.submit(form, staff_id=str(maria))
    assert progress.h1 == "Allocate 2 assets"
    assert pages.submit(form, staff_id=str(maria)).path == progress.path
    assignments.allocate(SYSTEM, 3, staff_id=make_staff("Ida Berg"))
    job.work(KINDS)
    page = pages.get(progress.path)
    assert "1 changed, 1 not changed." in page.main
    assert "tag-success" not in page.html
    page = pages.get(page.links("View all results")[0])
    assert page.h1 == "Allocate 2 assets"
    assert [row[:2] for row in page.rows()] == [
        ["Desk AST-00003", "Not done"],
        ["Lamp AST-00001", "Done"],
    ]


def test_each_bulk_action_has_its_form(app: Flask) -> None:
    make_asset("Lamp")
    pages = visit(app)
    for action, title in (
        ("transfer", "Move 1 asset"),
        ("schedule_maintenance", "Schedule maintenance for 1 asset"),
        ("delete", "Delete 1 asset"),
    ):
        page = pages.get(f"/assets/bulk?action={action}&ids=1")
        assert page.h1 == title
    page = pages.get("/assets/bulk?action=check_in&ids=1")
    assert page.h1 == "Check in isn’t possible now"
    assert page.forms[-1].action != "/assets/bulk"


def test_a_person_edits_location_and_supplier_of_two_assets(app: Flask) -> None:
    for name in ("Lamp", "Desk"):
        make_asset(name, model="T14")
    hamburg, pages = make_location("Hamburg"), visit(app)
    form = pages.get("/assets").form("/assets/bulk")
    page = pages.submit(form, "Edit", ids=["1", "2"])
    form = page.form("/assets/bulk")
    page = pages.submit(form, warranty_expires="soon", supplier="x" * 121)
    assert page.wrong == ["warranty_expires"]
    page = pages.submit(form)
    assert (page.status, page.errors) == (400, ["Change at least 1 field"])
    page = pages.submit(form, supplier="Bechtle", location_id=str(hamburg))
    job.work(KINDS)
    assert "2 changed." in pages.get(page.path).main
    values = [(asset.location_id, asset.supplier, asset.model) for asset in every(Asset)]
    assert values == [(hamburg, "Bechtle", "T14")] * 2


def test_a_new_category_is_added_in_the_bulk_form(app: Flask) -> None:
    make_asset("Lamp")
    pages = visit(app)
    form = pages.get("/assets/bulk?action=edit&ids=1").form("/assets/bulk")
    page = pages.submit(form, **{"new_category-name": "Lamps"})
    job.work(KINDS)
    assert page.path.startswith("/tasks/")
    (lamp,) = every(Asset)
    assert lamp.category is not None
    assert lamp.category.name == "Lamps"


def test_only_the_first_assets_are_listed(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_views, "MOST_LISTED", 1)
    for name in ("Lamp", "Desk", "Shelf"):
        make_asset(name)
    page = visit(app).get("/assets/bulk?action=delete&ids=1&ids=2&ids=3")
    assert "2 more" in page.main
    assert page.form("/assets/bulk").fields["ids"] == ["1", "2", "3"]


def test_more_assets_can_be_selected_than_the_list_counts(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "COUNTED_BESIDE", PAGE_SIZE)
    for number in range(PAGE_SIZE + 2):
        make_asset(f"Lamp {number}")
    pages = visit(app)
    form = pages.get("/assets?q=lamp").form("/assets/bulk")
    assert f"All {PAGE_SIZE}+ that match" in form.node.text
    assert pages.submit(form, "Delete", all="1").h1 == f"Delete {PAGE_SIZE + 2} assets"


def test_bulk_maintenance_is_planned_with_the_entered_values(app: Flask) -> None:
    make_asset("Lamp")
    make_asset("Chair")
    pages = visit(app)
    form = pages.get("/assets/bulk?action=schedule_maintenance&ids=1&ids=2").form("/assets/bulk")
    pages.submit(form, title="Clean it", due_on="03.05.2099", estimated_cost="40,50")
    job.work(KINDS)
    values = [(work.due_on, work.estimated_cost) for work in every(Maintenance)]
    assert values == [(date(2099, 5, 3), Decimal("40.50"))] * 2


def test_all_matching_assets_of_all_pages_are_selected(app: Flask) -> None:
    for number in range(PAGE_SIZE + 1):
        make_asset(f"Lamp {number}")
    make_asset("Chair")
    pages = visit(app)
    assert "that match" not in pages.get("/assets?q=chair").main  # there is only one page
    form = pages.get("/assets?q=lamp").form("/assets/bulk")
    assert f"All {PAGE_SIZE + 1} that match" in form.node.text
    page = pages.submit(form, "Delete", all="1")
    assert page.h1 == f"Delete {PAGE_SIZE + 1} assets"
    assert "Chair" not in page.main
    assert pages.submit(page.form("/assets/bulk")).h1 == f"Delete {PAGE_SIZE + 1} assets"


def test_a_selection_over_the_limit_leads_back_to_the_list(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        make_asset(f"Lamp {number}")
    monkeypatch.setattr(bulk, "MOST_ASSETS", 2)
    page = visit(app).get("/assets/bulk?action=delete&all=1&q=lamp&nonsense=1")
    assert (page.path, len(page.rows())) == ("/assets?q=lamp", 3)


def test_an_invalid_url_leads_back_to_the_list(app: Flask) -> None:
    make_asset("Lamp")
    pages = visit(app)
    for query in ("", "?action=liquidate&ids=1", "?action=delete", "?action=delete&ids=x&ids=0"):
        page = pages.get(f"/assets/bulk{query}")
        assert page.path == "/assets"
    assert pages.get("/assets/bulk?action=delete&ids=99999999999").path == "/assets"
    far = {"action": "delete", "ids": "9" * 5000}
    assert pages.get("/assets/bulk", query_string=far).path == "/assets"
    for chosen, status in (("ids=1", 200), ("all=1", 400)):  # filters apply only to all=1
        page = pages.get(f"/assets/bulk?action=delete&{chosen}&status=odd")
        assert (page.status, page.h1) == (status, {200: "Delete 1 asset", 400: "Assets"}[status])


def test_assets_returned_damaged_in_bulk_are_reported_broken(app: Flask) -> None:
    pages, ids = visit(app), [make_asset(f"Lamp {number}") for number in range(2)]
    for asset_id in ids:
        assignments.allocate(SYSTEM, asset_id, staff_id=make_staff())
    form = pages.get("/assets").form("/assets/bulk")
    page = pages.submit(form, "Revoke", ids=[str(asset_id) for asset_id in ids])
    form = page.form("/assets/bulk")
    assert form.fields["condition_in"] == [""]  # no change
    page = pages.submit(form, condition_in="damaged")
    assert (page.status, page.wrong) == (400, ["description"])
    pages.submit(page.form("/assets/bulk"), description="They fell")
    job.work(KINDS)
    assert {(asset.status, asset.condition) for asset in every(Asset)} == {("broken", "damaged")}


def test_a_bulk_move_names_its_destination(app: Flask) -> None:
    make_asset("Lamp")
    hamburg, pages = make_location("Hamburg"), visit(app)
    form = pages.get("/assets/bulk?action=transfer&ids=1").form("/assets/bulk")
    page = pages.submit(form, location_id=str(hamburg))
    assert page.h1 == "Move 1 asset to Hamburg"
    job.work(KINDS)
    results = pages.get(pages.get(page.path).links("View all results")[0])
    assert results.h1 == "Move 1 asset to Hamburg"
