"""The layout, forms, and error pages that all pages share, tested in the component gallery."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import create_engine

from portal.database.engine import sqlite_module
from tests.support.pages import Pages
from tests.web.component_gallery import make_gallery
from tests.web.signed_in import visit

NEW = "/settings/webhooks/new"
GOOD = {"name": "Sync", "url": "https://a.example", "events": ["asset.created"], "location_id": "1"}


@pytest.fixture(scope="module")
def gallery() -> Flask:
    return make_gallery()


@pytest.fixture
def pages(gallery: Flask) -> Pages:
    return Pages(gallery)


@pytest.fixture
def client(gallery: Flask) -> Iterator[FlaskClient]:
    with gallery.test_client() as client:
        yield client


def test_gallery_pages_open(pages: Pages) -> None:
    for path in (NEW, "/deliveries", "/deliveries/1", "/settings/webhooks/1/delete"):
        assert pages.get(path).status == 200, path


def test_each_error_has_a_page_with_a_link_to_overview(pages: Pages) -> None:
    for code in (400, 403, 404, 405, 409, 413, 429, 500, 503):
        page = pages.get(f"/broken/{code}")
        assert page.status == code, code
        assert code < 500 or "saved" not in page.text, code
        assert "/" in page.links("Go to Overview"), code


def test_a_refused_method_is_answered_with_the_allowed_methods(client: FlaskClient) -> None:
    answer = client.get("/deliveries/1/retry")
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert client.post("/deliveries").headers["Allow"] == "GET, HEAD, OPTIONS"


def test_a_failed_user_lookup_is_answered_with_a_503_page() -> None:
    gallery = make_gallery()
    nowhere = create_engine("sqlite:////nowhere/at/all/portal.sqlite", module=sqlite_module)
    gallery.login_manager.request_loader(lambda _request: nowhere.connect())  # type: ignore[attr-defined]  # set by flask-login
    page = Pages(gallery).get("/deliveries")
    assert page.status == 503
    assert page.h1 == "The portal isn’t ready"
    assert "saved" not in page.text


def test_navigation_offers_only_pages_that_the_person_can_read(pages: Pages) -> None:
    assert pages.get("/deliveries").links("Settings") == ["/settings/people"]
    page = pages.get("/deliveries?without=people.manage")
    assert page.links("Settings") == ["/settings/api"]
    assert page.links("Webhooks") == ["/settings/webhooks"]
    assert pages.get("/deliveries?without=webhooks.read").links("Webhooks") == []
    assert pages.get("/deliveries?without=deliveries.read").links("Deliveries") == []
    assert pages.get("/deliveries?anonymous").links("Assets") == []


def test_navigation_marks_the_current_page(pages: Pages) -> None:
    assert pages.get(NEW).here == ["Webhooks"]


def test_pages_warn_only_during_a_local_trial(pages: Pages) -> None:
    assert "Webhooks can reach this computer." in pages.get("/deliveries").text
    closed = Pages(make_gallery(opens=False))
    assert "This is a local trial. Don’t use it" in closed.get("/deliveries").text
    real = Pages(make_gallery(local_trial=False))
    assert "This is a local trial" not in real.get("/deliveries").text


def test_an_unknown_time_zone_falls_back_to_that_of_the_portal(app: Flask) -> None:
    for zone in ("Nowhere/Gone", "../Vienna"):
        page = visit(app, time_zone=zone).get("/deliveries")
        assert "All times are Europe/Vienna" in page.text, zone


def test_a_form_sends_its_rows_and_its_flash_is_shown_once(pages: Pages) -> None:
    page = pages.submit(pages.get(NEW).form(NEW), **GOOD, secret_mode="none")
    # This form keeps an empty row. The real one drops it.
    assert page.wrong == ["headers-0-name"]
    page = pages.submit(page.form(NEW), **{"headers-0-name": "X-Key", "headers-0-value": "1"})
    assert page.path == "/deliveries"
    assert page.tone == "success"
    assert pages.get("/deliveries").flashes == []


def test_entered_values_are_kept_and_each_error_is_linked(pages: Pages) -> None:
    page = pages.submit(pages.get(NEW).form(NEW), name="Sync", notes="two\nlines")
    assert page.title == "Error: New webhook · Asset register"
    assert page.form(NEW).fields["name"] == ["Sync"]
    assert page.form(NEW).fields["notes"] == ["two\r\nlines"]
    targets = [link for link in page.links() if link.startswith("#") and link != "#main"]
    assert targets == ["#url", "#events-0", "#headers-0-name", "#location_id"]


def test_hint_and_error_are_tied_to_their_control(pages: Pages) -> None:
    page = pages.submit(pages.get(NEW).form(NEW))
    control = next(node for node in page.root.walk() if node.get("id") == "name")
    assert control.get("aria-describedby") == "name-hint name-error"
    assert control.get("aria-invalid") == "true"


def test_optional_fields_are_marked(pages: Pages) -> None:
    labels = {n.get("for"): n.text for n in pages.get(NEW).root.find_all("label")}
    assert labels["notes"] == "Notes (optional)"
    assert labels["name"] == "Webhook name"


def test_a_row_is_added_without_scripts(pages: Pages) -> None:
    page = pages.submit(pages.get(NEW).form(NEW), "Add header", name="Sync")
    assert {"headers-0-name", "headers-1-name"} <= page.form(NEW).fields.keys()
    assert page.form(NEW).fields["name"] == ["Sync"]


def test_a_port_hidden_by_a_proxy_and_an_expired_page_differ(pages: Pages) -> None:
    there: dict[str, object] = {"base_url": "https://portal.example"}
    pages.get("/deliveries/1", **there)
    referer = {"Referer": "https://portal.example:8443/deliveries/1"}
    page = pages.post("/deliveries/1/retry", headers=referer, **there)
    assert page.status == 400
    assert "the reverse proxy forward the Host header" in page.main
    page = pages.post("/deliveries/1/retry", {"csrf_token": "old"}, **there)
    assert "This page has expired" in page.main


def test_a_form_of_one_button_posts(pages: Pages) -> None:
    pages.get("/deliveries/1")
    assert "Retry queued." in pages.post("/deliveries/1/retry").main


def test_links_between_pages_keep_the_filter(pages: Pages) -> None:
    page = pages.get("/deliveries?status=failed&event=a&event=b")
    assert page.links("Older") == ["/deliveries?status=failed&event=a&event=b&cursor=b"]


def test_a_character_without_encoding_is_sent_as_a_question_mark(app: Flask) -> None:
    with app.test_request_context():
        assert app.make_response("half \ud83d of a pair").get_data() == b"half ? of a pair"
