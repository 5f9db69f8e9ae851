"""A text far over its limit is refused with an error. No part of it is cut off or stored."""

import pytest
from flask import Flask

from portal.models.assets import Asset
from portal.services.assets.fields import LENGTHS
from portal.services.core.unit_of_work import session
from tests.support.factories import make_asset
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

# Both would fit once their blanks are removed.
LONG = ["a" + " " * 250_000, "a" + "\u200b" * 100_000]
LOST = "/assets/{}/report-lost"


def report(app: Flask, asset_id: int, text: str) -> Page:
    pages = visit(app)
    pages.get(LOST.format(asset_id))
    return pages.post(LOST.format(asset_id), {"description": text})


@pytest.mark.parametrize("long", LONG)
def test_a_field_far_over_its_limit_is_refused_before_cleanup(app: Flask, long: str) -> None:
    asset_id = make_asset("Lamp")
    pages = visit(app)
    for field, limit in (("name", "120"), ("notes", "10,000"), ("unit", "40")):
        pages.get("/assets/new")
        page = pages.post("/assets/new", {"name": "Desk", "kind": "consumable", field: long})
        assert f"Enter at most {limit} characters" in " ".join(page.errors), field
    sentence = "Enter at most 1000 characters in “What happened”"
    assert sentence in " ".join(report(app, asset_id, long).errors)
    assert session().query(Asset).count() == 1
    pages = Pages(app)
    pages.get("/sign-in")
    assert pages.post("/sign-in", {"email": long, "password": "a" * 20}).errors


def test_up_to_1000_blanks_over_a_limit_are_removed(app: Flask) -> None:
    asset_id = make_asset("Lamp")
    assert report(app, asset_id, "n" + " " * 2_000).errors
    assert not report(app, asset_id, "n" + " " * 1_999).errors


ASSET = {"name": "Desk", "kind": "item"}
URL = "https://erp.example.com/"
WEBHOOK = {"name": "Sync", "url": URL, "events": "asset.created"}
HEADER = {**WEBHOOK, "headers-0-name": "X-Key", "headers-0-value": "key"}
# Forms whose limits belong to a service: path, values that fit, field, and its limit.
LIMITS = [
    *(
        ("/assets/new", {**ASSET, name: "Desk"}, name, limit)
        for name, limit in LENGTHS.items()
        if name != "notes"
    ),
    ("/assets/new", {**ASSET, "new_category-name": "Desks"}, "new_category-name", 120),
    ("/assets/{}/delete", {"reason": "Sold"}, "reason", 200),
    ("/categories/new", {"name": "Desks"}, "name", 120),
    ("/settings/webhooks/new", WEBHOOK, "name", 120),
    ("/settings/webhooks/new", WEBHOOK, "url", 2048),
    ("/settings/webhooks/new", HEADER, "headers-0-name", 64),
    ("/settings/webhooks/new", HEADER, "headers-0-value", 1000),
    ("/settings/people/invite", {"email": "bo@example.com", "role": "support"}, "email", 254),
]


def test_over_1000_blanks_over_the_limit_of_a_service_are_refused(app: Flask) -> None:
    for path, fitting, field, limit in LIMITS:
        pages = visit(app)
        path = path.format(make_asset("Lamp"))
        pages.get(path)
        text = fitting[field]
        page = pages.post(path, {**fitting, field: text + " " * (limit + 1_001 - len(text))})
        sentence = "Enter an email address" if field == "email" else f"at most {limit} "
        assert sentence in " ".join(page.errors), path
        assert sentence not in " ".join(pages.post(path, fitting).errors), path


def test_a_form_of_more_than_1000_fields_is_refused(app: Flask) -> None:
    """Limit the rows, because each one costs half a millisecond."""
    pages = visit(app)
    fields = pages.get("/settings/webhooks/new").form("/settings/webhooks/new").fields
    for rows, status in ((1000 - len(fields), 400), (1001 - len(fields), 413)):
        headers = {f"headers-{number}-name": "X-Key" for number in range(rows)}
        assert pages.post("/settings/webhooks/new", {**fields, **headers}).status == status, rows
