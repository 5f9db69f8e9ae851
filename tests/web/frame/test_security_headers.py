"""The exact security and cache headers of every response."""

from collections.abc import Iterator
from io import BytesIO

from flask import Flask
from werkzeug.datastructures import FileStorage
from werkzeug.routing import BuildError
from werkzeug.test import TestResponse, encode_multipart

from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import make_asset, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.frame.test_permissions import one_method, samples_for

EVERYWHERE = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
PAGE = {**EVERYWHERE, "Cache-Control": "no-store"}
FOR_EVER = {**EVERYWHERE, "Cache-Control": "public, max-age=31536000, immutable"}
ASKED_AGAIN = {**EVERYWHERE, "Cache-Control": "no-cache"}
MEGABYTES_16 = 16 * 1024 * 1024


def said(answer: TestResponse) -> dict[str, str]:
    """Return these headers of a response, with all values of a repeated one."""
    return {name: " | ".join(answer.headers.getlist(name)) for name in PAGE}


def addresses(app: Flask, **known: object) -> Iterator[tuple[str, str, str]]:
    """Yield (endpoint, method, path) of every route, with `known` as its URL variables."""
    address = app.url_map.bind("localhost")
    for rule in app.url_map.iter_rules():
        if rule.endpoint.endswith("static"):
            continue
        values = {**samples_for(rule), **known}
        for method in sorted(rule.methods or set()):
            try:
                path = address.build(rule.endpoint, values, one_method(rule), append_unknown=False)
            except BuildError:
                continue
            yield rule.endpoint, method, path


def test_every_route_and_method_sends_the_headers(app: Flask) -> None:
    for is_signed_in in (True, False):
        pages, wrong = Pages(app), []
        person = make_user("admin")
        if is_signed_in:
            pages.sign_in(person.email, person.password)
        for endpoint, method, path in addresses(app):
            answer = pages.client.open(path, method=method, buffered=True)
            if said(answer) != PAGE:
                wrong.append((endpoint, method, answer.status, said(answer)))
        assert wrong == [], is_signed_in


def test_every_page_with_content_sends_the_headers(app: Flask) -> None:
    """Open existing things, because views that find something can set their own headers."""
    pages, person = Pages(app), make_user("admin")
    pages.sign_in(person.email, person.password)
    asset_id, hook = make_asset(), make_webhook()
    delivery = make_delivery(hook, asset_id=asset_id, status="failed")
    make_attempt(delivery, reason="server", code=500)
    known = {
        (path, endpoint)
        for public_id in (delivery, hook.public_id, person.public_id)
        for endpoint, method, path in addresses(app, asset_id=asset_id, public_id=public_id)
        if method == "GET"
    }
    shown = set()
    for path, endpoint in sorted(known):
        answer = pages.client.get(path, buffered=True)
        if answer.status_code == 200:
            assert said(answer) == PAGE, endpoint
            shown.add(endpoint)
    assert {"deliveries.show", "deliveries.body", "deliveries.live", "deliveries.export"} <= shown
    assert {"assets.show", "exporting.export", "webhooks.show", "people.show"} <= shown
    assert {"delivery_help.bundle", "audit.export", "importing.example"} <= shown
    assert len(shown) > 60


def test_errors_send_the_headers(app: Flask) -> None:
    client = Pages(app).client
    assert said(client.get("/no/such/page")) == PAGE
    assert said(client.post("/deliveries")) == PAGE
    assert client.post("/sign-in", data={}).status_code == 400
    assert said(client.post("/sign-in", data={})) == PAGE


def test_only_files_with_their_version_in_the_url_are_cached_for_long(app: Flask) -> None:
    pages = Pages(app)
    linked = [link.get("href") for link in pages.get("/sign-in").root.find_all("link")]
    sheets = [href for href in linked if "/static/" in href and ".css" in href]
    assert len(sheets) > 3
    for href in sheets:
        assert said(pages.client.get(href, buffered=True)) == FOR_EVER, href
    assert said(pages.client.get("/static/js/live.js", buffered=True)) == ASKED_AGAIN
    assert said(pages.client.get("/static/nothing.css?v=1", buffered=True)) == ASKED_AGAIN


def test_a_file_that_is_too_large_is_refused_with_a_reason(app: Flask) -> None:
    pages, person = Pages(app), make_user("admin")
    pages.sign_in(person.email, person.password)
    fields = pages.get("/assets/import").form("/assets/import").fields

    def send(length: int) -> TestResponse:
        file = FileStorage(BytesIO(b"x" * length), "assets.csv")
        boundary, body = encode_multipart({**fields, "file": file})
        kind = f"multipart/form-data; boundary={boundary}"
        return pages.client.post("/assets/import", data=body, content_type=kind, buffered=True)

    refused = send(MEGABYTES_16)  # plus the size of the form around it
    assert (refused.status_code, said(refused)) == (413, PAGE)
    assert "It’s larger than the portal accepts. Nothing was saved." in refused.text
    assert send(MEGABYTES_16 - 4096).status_code == 400
