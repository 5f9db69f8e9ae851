"""A viewer sees the register, deliveries, and alerts, but no contents, no secrets, and no buttons
beyond the role."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urldefrag, urljoin, urlsplit
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from portal.services.core.permissions import allows
from portal.web.frame.access import PUBLIC, permission_of
from tests.browser.support.sample_register import fill
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_asset, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.frame.test_security_headers import addresses
from tests.web.signed_in import visit

CONTENTS = {
    "request_headers": [["X-Sent", "sent-header-zq11"]],
    "request_body": '{"note":"sent-body-zq11"}',
    "response_headers": [["X-Told", "told-header-zq11"]],
    "response_text": "told-words-zq11 because the disk is full",
    "location": "https://told.example.com/location-zq11",
    "detail": "detail-zq11",
}
BODY = b'{"event":"asset.created","asset_id":7,"data":{"note":"event-zq11"}}'
URL = "https://hooks.slack.com/services/T1/B2/secret-zq11"
SECRET = "whsec_c2VjcmV0LTQ3MTEtc2VjcmV0LTQ3MTEtc2VjcmV0"
# No letters of a random ID in hexadecimal.
HIDDEN = ("zq11", SECRET)


@dataclass(frozen=True, slots=True)
class Log:
    """A failing webhook, with a failed delivery and a successful one."""

    hook: Hook
    failed: UUID
    delivered: UUID
    asset_id: int


@pytest.fixture
def log(app: Flask) -> Log:
    asset_id = make_asset()
    hook = make_webhook(url=URL, secret=SECRET, headers=[("X-Key", "header-zq11")])
    failure = {"reason": "server", "code": 500}
    failed = make_delivery(hook, status="failed", asset_id=asset_id, body=BODY, **failure)
    delivered = make_delivery(hook, status="delivered", asset_id=asset_id, code=200, body=BODY)
    make_attempt(failed, url=URL, **failure, **CONTENTS)
    words = "error: told-words-zq11"
    make_attempt(
        delivered, url=URL, outcome="delivered", code=200, **CONTENTS | {"response_text": words}
    )
    return Log(hook, failed, delivered, asset_id)


def leaks(page: Page) -> list[str]:
    return [secret for secret in HIDDEN if secret in page.html]


def test_no_page_shows_a_viewer_requests_responses_or_secrets(app: Flask, log: Log) -> None:
    pages, support = visit(app, "viewer"), visit(app, "support")
    leaking, told, shown = [], 0, 0
    known = {
        path
        for public_id in (log.failed, log.delivered, log.hook.public_id)
        for _, method, path in addresses(app, asset_id=log.asset_id, public_id=public_id)
        if method == "GET" and path != "/sign-out"
    }
    more = {
        "/deliveries?status=failed&time=failed-day",
        "/deliveries?status=attention",
        "/deliveries?answer=told-words",
        "/deliveries/export-for-excel.csv?time=failed-day",
        f"/deliveries/{log.failed}?show=request",
        "/find?q=told-words",
        "/find?q=told-words-x+because+the+disk+is+full",
    }
    for path in sorted(known | more):
        # A page repeats its query, so no query above contains a hidden word.
        seen = pages.client.get(path, buffered=True)
        leaking += [path for secret in HIDDEN if secret in seen.text]
        shown += seen.status_code == 200
        told += "told-words-zq11" in support.client.get(path, buffered=True).text
    assert leaking == []
    assert shown > 40
    assert told > 10  # because support does see it


def test_a_viewer_cannot_search_in_responses(app: Flask, log: Log) -> None:
    pages = visit(app, "viewer")
    page = pages.get("/deliveries?answer=disk+is+full")
    assert (page.status, page.rows()) == (400, [])
    for path in ("/deliveries/export.csv", "/deliveries/export-for-excel.csv"):
        assert pages.get(f"{path}?answer=disk+is+full").status == 400
    # A delivery's place in such a list does not reveal it, either.
    page = pages.get(f"/deliveries/{log.failed}?answer=disk+is+full")
    assert page.links("Previous") + page.links("Next delivery") == []
    assert str(log.failed) not in pages.get("/find?q=because+the+disk+is+full").html
    assert str(log.failed) in visit(app, "support").get("/find?q=the+disk+is+full").html


def test_a_viewer_is_told_that_contents_are_not_shown(app: Flask, log: Log) -> None:
    page = visit(app, "viewer").get(f"/deliveries/{log.failed}")
    assert "Your role doesn’t show requests and responses." in page.main
    assert "Server error (500)" in page.main
    for words in ("Download diagnostics", "Check signature", "Response", "Retry", "Dismiss"):
        assert page.links(words) == [], words


MOST_ALIKE = 4


def reachable(pages: Pages, start: str, address: MapAdapter) -> Iterator[Page]:
    """Follow links from `start` and yield the pages, at most `MOST_ALIKE` per endpoint."""
    waiting, seen, kinds = [start], {start}, Counter[str]()
    while waiting:
        page = pages.get(waiting.pop(0))
        yield page
        for link in page.links():
            parts = urlsplit(urljoin(page.path, urldefrag(link).url))
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            if parts.netloc or parts.scheme or path in seen:
                continue
            kind = address.match(parts.path, "GET")[0]
            kinds[kind] += 1
            if kinds[kind] <= MOST_ALIKE:
                seen.add(path)
                waiting.append(path)


def pressed(page: Page) -> Iterator[tuple[str, str, str]]:
    """Yield the method, path, and label of each button on a page."""
    for form in page.forms:
        for button in form.node.find_all("button"):
            if button.get("type") != "button":  # handled by a script
                method = (button.get("formmethod") or form.method).upper()
                where = urljoin(page.path, button.get("formaction") or form.action)
                yield method, urlsplit(where).path, button.text


def test_no_link_or_button_of_a_viewer_needs_another_permission(app: Flask, log: Log) -> None:
    fill(make_user())
    viewer = make_user("viewer")
    pages, address, wrong, opened = Pages(app), app.url_map.bind("localhost"), [], 0
    pages.sign_in(viewer.email, viewer.password)
    for page in reachable(pages, "/", address):
        opened += 1
        if page.status in {403, 500}:
            wrong.append(f"{page.path} answers {page.status}")
        for method, path, words in pressed(page):
            try:
                endpoint, _ = address.match(path, method)
            except HTTPException:
                wrong.append(f"{page.path}: {words} goes nowhere, {method} {path}")
                continue
            permission = permission_of(endpoint) or ""
            if permission != PUBLIC and not allows("viewer", permission):
                wrong.append(f"{page.path}: {words} needs {permission}")
    assert wrong == []
    assert opened > 60
