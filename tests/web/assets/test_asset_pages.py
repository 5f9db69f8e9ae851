"""The register's pages as people use them. `Pages` checks each page that it opens."""

import json
import re
from datetime import date
from decimal import Decimal
from typing import Any

from flask import Flask
from sqlalchemy import select

from portal.models.deliveries import Event
from portal.services.actions import incidents, lifecycle
from portal.services.actions.incidents import DisposalValues
from portal.services.assets import named_lists
from portal.services.assets.fields import AssetValues
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session
from tests.services.actions.every_action import check_out
from tests.support.factories import (
    make_asset,
    make_category,
    make_location,
    make_user,
    make_webhook,
)
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

EMPTY = "—"


def add(pages: Pages, **values: Any) -> Page:
    return pages.submit(pages.get("/assets/new").form("/assets/new"), **values)


def bodies() -> list[dict[str, Any]]:
    session().rollback()
    return [json.loads(body) for body in session().scalars(select(Event.body).order_by(Event.id))]


def test_a_person_adds_changes_and_deletes_an_asset(app: Flask) -> None:
    make_category("Laptops")
    make_location("Room 204")
    pages = visit(app)
    page = add(pages, name="ThinkPad", category_id="1", location_id="1", purchase_cost="1249,5")
    assert page.path == "/assets/1"
    assert page.h1 == "ThinkPad"
    for words in ("AST-00001", "Available", "It’s at Room 204", "EUR 1,249.50", "Laptops"):
        assert words in page.main
    page = pages.submit(pages.get("/assets/1/edit").form(), name="ThinkPad T14", reservable=None)
    assert "Name: ThinkPad → ThinkPad T14" in page.main
    assert "Allow reservations: Yes → No" in page.main
    page = pages.submit(pages.get("/assets/1/delete").form(), reason="Sold")
    assert page.path == "/assets"
    events = bodies()
    assert [body["event"] for body in events] == ["asset.created", "asset.updated", "asset.deleted"]
    assert events[1]["data"]["changed_fields"] == ["name", "reservable"]
    assert events[2]["data"]["reason"] == "Sold"


def test_an_asset_without_a_kind_is_an_item(app: Flask) -> None:
    pages = visit(app)
    page = pages.submit(pages.get("/assets/new").form("/assets/new"), name="Lamp", kind=None)
    assert page.path == "/assets/1"
    assert "Available" in page.main
    page = pages.submit(pages.get("/assets/new").form("/assets/new"), name="Lamp", kind="")
    assert page.path == "/assets/2"


def test_a_missing_field_counts_as_empty(app: Flask) -> None:
    pages = visit(app)
    form, left_out = pages.get("/assets/new").form("/assets/new"), {"asset_tag": None}
    page = pages.submit(form, **left_out, name=None)
    assert page.status == 400
    assert page.wrong == ["name"]
    assert pages.submit(form, **left_out, name="Lamp", condition=None).path == "/assets/1"


def test_a_form_sent_twice_adds_one_asset(app: Flask) -> None:
    pages = visit(app)
    form = pages.get("/assets/new").form("/assets/new")
    first, second = (pages.submit(form, name="Lamp") for _ in range(2))
    assert first.path == second.path == "/assets/1"
    assert len(bodies()) == 1


def test_a_deletion_sent_twice_succeeds(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    form = pages.get(f"/assets/{asset_id}/delete").form()
    pages.submit(form)
    page = pages.submit(form)
    assert page.status == 200


def test_a_date_that_does_not_exist_has_its_own_error(app: Flask) -> None:
    page = add(visit(app), name="Lamp", purchase_date="2026-02-31", purchase_cost="1.250")
    assert page.wrong == ["purchase_date", "purchase_cost"]
    assert "There is no February 31, 2026" in page.errors[0]


def test_all_errors_are_shown_and_entered_values_kept(app: Flask) -> None:
    make_asset("Lamp", serial_number="S-1")
    pages = visit(app)
    bought = {"purchase_cost": "a lot", "purchase_date": "yesterday", "warranty_months": "24"}
    page = add(pages, asset_tag="no spaces", **bought)
    assert page.status == 400
    assert page.title.startswith("Error: ")
    assert page.wrong == ["name", "asset_tag", "purchase_date", "purchase_cost"]
    assert page.form().fields["purchase_cost"] == ["a lot"]
    blank = dict.fromkeys(("asset_tag", *bought), "")
    page = pages.submit(page.form(), name="X", serial_number="s-1", **blank)
    assert page.wrong == ["serial_number"]
    assert "AST-00001" in page.errors[0]


def test_the_warranty_can_be_entered_in_months(app: Flask) -> None:
    pages = visit(app)
    page = add(pages, name="Lamp", warranty_months="24")
    assert page.wrong == ["purchase_date"]
    page = pages.submit(page.form(), purchase_date="2024-02-29")
    assert "Warranty ends Feb 28" in page.main
    edit = pages.get("/assets/1/edit").form()
    page = pages.submit(edit, warranty_months="12")
    assert page.wrong == ["warranty_months"]
    assert "Feb 28, 2025" in page.errors[0]
    page = add(pages, name="Drill", purchase_date="2026-03-01", warranty_months="36")
    assert "Feb 28, 2029" in page.main


def test_an_untouched_form_changes_nothing(app: Flask) -> None:
    pages = visit(app)
    add(pages, name="Lamp", notes="two\r\nlines", purchase_cost="5", purchase_date="2026-01-02")
    page = pages.submit(pages.get("/assets/1/edit").form())
    assert page.tone == "info"
    assert len(bodies()) == 1


def test_the_form_of_a_disposed_asset_has_only_notes(app: Flask) -> None:
    asset_id = make_asset(
        "Lamp",
        category_id=make_category("Lamps"),
        purchase_cost=Decimal(5),
        purchase_date=date(2026, 1, 2),
        reservable=False,
    )
    incidents.liquidate(make_user().actor, asset_id, DisposalValues(method="scrapped"))
    pages = visit(app)
    page = pages.get(f"/assets/{asset_id}/edit")
    assert [label.text for label in page.root.find_all("label")] == ["Notes (optional)"]
    page = pages.submit(page.form(), notes="Skip 7")
    assert bodies()[-1]["data"]["changed_fields"] == ["notes"]


def test_a_late_edit_shows_both_versions_and_loses_nothing(app: Flask) -> None:
    asset_id, ben = make_asset("Lamp"), make_user(name="Ben Fox")
    pages = visit(app)
    form = pages.get(f"/assets/{asset_id}/edit").form()
    lifecycle.edit_asset(
        ben.actor, asset_id, 1, AssetValues(asset_tag="AST-00001", name="Lamp", model="L2")
    )
    page = pages.submit(form, name="Desk lamp", notes="By the window")
    assert page.status == 409
    assert "Ben Fox changed this at" in page.main
    assert page.rows() == [
        ["Name", "Lamp", "Desk lamp"],
        ["Model", "L2", EMPTY],
        ["Notes", EMPTY, "By the window"],
    ]
    again = pages.submit(page.form(), "Keep editing my version")
    assert again.status == 200
    assert again.form().fields["name"] == ["Desk lamp"]
    assert again.form().fields["notes"] == ["By the window"]
    saved = pages.submit(page.form(), "Save my version")
    assert saved.h1 == "Desk lamp"
    assert bodies()[-1]["data"]["changes"]["model"] == {"from": "L2", "to": None}


def test_a_category_deleted_meanwhile_is_refused_at_its_field(app: Flask) -> None:
    make_category("Laptops")
    pages = visit(app)
    form = pages.get("/assets/new").form("/assets/new")
    public_id = named_lists.choices(named_lists.CATEGORIES)[0][1]
    named_lists.delete(named_lists.CATEGORIES, make_user().actor, public_id)
    page = pages.submit(form, name="Lamp", category_id="1")
    assert page.wrong == ["category_id"]
    assert pages.submit(page.form(), category_id="").path == "/assets/1"


def test_forms_say_how_many_webhooks_they_will_notify(app: Flask) -> None:
    pages, asset_id = visit(app), make_asset()
    make_webhook(events=["asset.created"])
    make_webhook(events=["asset.created", "asset.updated"])
    make_webhook(events=["asset.created"], state="off")
    main = pages.get("/assets/new").main
    assert (
        "This will notify 2 webhooks. 1 other webhook is off, so we’ll put its delivery on hold"
        in main
    )
    make_webhook(events=["asset.created"], conditions='[["status","is",["lost"]]]')
    assert (
        "This will notify up to 3 webhooks, depending on their conditions."
        in pages.get("/assets/new").main
    )
    assert "No webhook is subscribed to this event" in pages.get(f"/assets/{asset_id}/delete").main
    make_webhook(events=["asset.broken"])
    check_out(SYSTEM, lent := make_asset())
    main = pages.get(f"/assets/{lent}/check-in").main
    assert "The damage report will notify 1 webhook" in main
    make_webhook(events=["asset.deleted"], state="off")
    main = pages.get(f"/assets/{asset_id}/delete").main
    assert "1 subscribed webhook is off, so we’ll put its delivery on hold" in main


def test_the_suggested_asset_tag_is_the_next_free_one(app: Flask) -> None:
    pages, hint = visit(app), "use the next number (AST-{:05}"
    assert hint.format(1) in pages.get("/assets/new").main
    make_asset()
    make_asset(asset_tag="ast-00002")
    assert hint.format(3) in pages.get("/assets/new").main
    page = pages.submit(pages.get("/assets/new").form("/assets/new"), name="Lamp")
    assert "AST-00003" in page.main


def test_the_list_is_filtered_by_its_url(app: Flask) -> None:
    laptops, room = make_category("Laptops"), make_location("Room 204")
    make_asset("ThinkPad", category_id=laptops, location_id=room, serial_number="PF1")
    make_asset("Lamp", location_id=room)
    pages = visit(app)
    category = named_lists.choices(named_lists.CATEGORIES)[0][1]
    location = named_lists.choices(named_lists.LOCATIONS)[0][1]
    assert [row[1:3] for row in pages.get("/assets").rows()] == [
        ["Lamp", "AST-00002"],
        ["ThinkPad", "AST-00001"],
    ]
    for query, count in (
        ("q=pf1", 1),
        ("q=AST-0000", 2),
        (f"category={category}", 1),
        (f"location={location}", 2),
        (f"location={location}&q=lamp&status=available", 1),
        ("status=broken", 0),
        ("status=nonsense&category=7", 0),
        ("q=%00%25&location=", 0),
    ):
        assert len(pages.get(f"/assets?{query}").rows()) == count, query
    page = pages.get(f"/assets?category={category}&q=think")
    assert "Search: think" in page.main
    assert "Category: Laptops" in page.main
    page = pages.get("/assets?q=nothing")
    assert page.links("Clear filters") == ["/assets", "/assets"]


def test_entered_html_is_escaped(app: Flask) -> None:
    script = "<script>alert(1)</script>"
    pages = visit(app)
    page = add(pages, name=script, notes=script, manufacturer=script)
    assert page.h1 == script
    assert script not in page.html
    assert script not in pages.get(f"/assets?q={script}").html


def test_the_timeline_shortens_long_values(app: Flask) -> None:
    pages = visit(app)
    add(pages, name="Lamp")
    page = pages.submit(pages.get("/assets/1/edit").form(), notes="N" * 5000)
    assert f"Notes: {'N' * 160}…" in page.main
    assert re.search(r"Changed.*?\d\d:\d\d", page.main, re.S)
