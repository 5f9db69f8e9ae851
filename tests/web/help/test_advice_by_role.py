"""No page advises people to do something that their role doesn't permit."""

import re
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit
from uuid import UUID

import pytest
from flask import Flask

from portal.engine.next_steps import step_after
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.models.webhooks import Webhook
from portal.services.core.permissions import allows
from portal.services.core.unit_of_work import writing
from portal.web.frame.access import PUBLIC, permission_of
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.html import Node
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

ROLES = pytest.mark.parametrize("role", ["admin", "manager", "support"])
LONG_AGO = timedelta(minutes=9)


def _permission(reason: Reason) -> str:
    step = step_after(reason)
    return step.permission if step else ""


# One reason for each permission that a next step needs, and one that needs none.
REASONS = {_permission(reason): reason for reason in Reason}.values()


def a_team() -> None:
    make_user(name="Ada Admin")
    make_user("support", name="Sue Support")
    make_user("manager", name="Mia Manager")


def addresses(node: Node, page: Page) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of every link and form below this node that stays on the portal."""
    for part in node.walk():
        method, name = {"a": ("GET", "href"), "form": ("POST", "action")}.get(part.tag, ("", ""))
        target = urlsplit(urljoin(page.path, part.get(name))) if method and part.has(name) else None
        if target and not target.netloc:
            yield (
                (part.get("method", "GET").upper() if part.tag == "form" else method),
                target.path,
            )


def offers_only_what_it_may(app: Flask, page: Page, role: str) -> None:
    """Check that this role is permitted to use every link and button of the page."""
    urls = app.url_map.bind("localhost")
    for method, path in addresses(page.root, page):
        endpoint, _ = urls.match(path, method=method)
        permission = permission_of(endpoint)
        assert permission == PUBLIC or allows(role, permission or ""), (method, path)


def advice_on(page: Page, heading: str) -> Node:
    """Return the section of the page with this heading."""
    sections = page.root.find_all("section")
    return next(part for part in sections if any(h.text == heading for h in part.find_all("h2")))


@cache  # most advice leads to the same few pages of the help
def status_of(pages: Pages, path: str) -> int:
    """Return the status of this person's request for `path`."""
    return pages.client.get(path).status_code


def is_fit(pages: Pages, advice: Node, role: str, permission: str | None, name: str) -> None:
    """Check that the advice offers permitted steps, or else people to ask and a note for them."""
    for node in advice.find_all("a"):
        path = urldefrag(node.get("href")).url
        assert status_of(pages, path) == 200, path
    who = "upport or an administrator"  # can retry or test again, before and in the last step
    text = re.sub(rf"S{who}|Ask s{who} \([^)]*\) to (retry|test again)\.", "", advice.text)
    messages = [node.text for node in advice.find_all("pre")]
    if permission is None or allows(role, permission):
        assert "administrator" not in text
        assert messages == []
        return
    assert "Ada Admin" in text
    assert "sk an administrator (" in text
    (message,) = messages
    assert "Copy a note for an administrator" in text
    for line in (f"Webhook: {name}", "What happened: ", "Since: ", "Needed: ", "Link: "):
        assert line in message
    assert "Edit webhook" not in text.replace(message, "")


@ROLES
@pytest.mark.parametrize("is_test", [False, True], ids=["real", "test"])
def test_advice_on_delivery_pages_fits_the_role(app: Flask, role: str, is_test: bool) -> None:
    a_team()
    pages = visit(app, role)
    for reason in REASONS:
        hook = make_webhook(name=f"Sync {reason} {is_test}")
        columns: dict[str, Any] = {"priority": Priority.TEST} if is_test else {}
        made = make_delivery(hook, status="failed", reason=reason, **columns)
        make_attempt(made, reason=reason)
        page = pages.get(f"/deliveries/{made}")
        step = step_after(reason)
        permission = step.permission if step else None
        is_fit(pages, advice_on(page, "Next step"), role, permission, hook.name)
        offers_only_what_it_may(app, page, role)


@ROLES
def test_advice_on_pages_of_failing_webhooks_fits_the_role(app: Flask, role: str) -> None:
    a_team()
    pages = visit(app, role)
    failing = {"failures_in_row": 6, "failing_since": utcnow() - LONG_AGO}
    for reason in REASONS:
        hook = make_webhook(name=f"Sync {reason}", **failing)
        made = make_delivery(hook, status="failed", reason=reason)
        make_attempt(made, reason=reason)
        page = pages.get(f"/settings/webhooks/{hook.public_id}")
        step = step_after(reason)
        (state,) = [node for node in page.root.walk() if node.get("id") == "next-step"]
        is_fit(pages, state, role, step.permission if step else None, hook.name)
        offers_only_what_it_may(app, page, role)


OFF: dict[str, dict[str, Any]] = {
    "by a person": {"off_reason": "person"},
    "gone": {"off_reason": "gone"},
    "by us": {"off_reason": "failing"},
}


def off(columns: dict[str, Any]) -> tuple[Hook, UUID]:
    hook = make_webhook(name="Sync", state="off", off_at=utcnow() - LONG_AGO, **columns)
    return hook, make_delivery(hook, status="on_hold")


@ROLES
@pytest.mark.parametrize("columns", OFF.values(), ids=OFF)
def test_advice_about_a_webhook_that_is_off_fits_the_role(
    app: Flask, role: str, columns: dict[str, Any]
) -> None:
    a_team()
    hook, made = off(columns)
    pages = visit(app, role)
    for path in (f"/settings/webhooks/{hook.public_id}", f"/deliveries/{made}", "/"):
        page = pages.get(path)
        offers_only_what_it_may(app, page, role)
        asks = "sk an administrator (Ada Admin" in page.main
        assert asks is (role != "admin"), path
        if role != "admin":
            assert "until you turn it on" not in page.main
            assert "Turn the webhook on" not in page.main.replace("Needed: Turn", "")
    if role == "support":
        page = pages.post(f"/deliveries/{made}/retry")
        assert "To send it, turn the webhook on." in page.main


@ROLES
def test_advice_about_an_unsent_delivery_fits_the_role(app: Flask, role: str) -> None:
    a_team()
    pages, made = visit(app, role), make_delivery(due_at=utcnow() - LONG_AGO)
    page = pages.get(f"/deliveries/{made}")
    offers_only_what_it_may(app, page, role)
    assert ("Ask an administrator (Ada Admin" in page.main) is (role != "admin")
    assert bool(page.links("View System")) is (role == "admin")


@ROLES
def test_advice_on_held_deliveries_keys_and_http_fits_the_role(app: Flask, role: str) -> None:
    a_team()
    hook = make_webhook(
        "http://erp.example.com/", secret="a new key for us", old_until=utcnow() + LONG_AGO
    )
    with writing() as current:
        webhook = current.get_one(Webhook, hook.id)
        webhook.old_secret_enc = webhook.secret_enc
    make_delivery(hook, status="on_hold")
    page = visit(app, role).get(f"/settings/webhooks/{hook.public_id}")
    offers_only_what_it_may(app, page, role)
    for own, asked in (
        (
            "Give the receiver’s team the new secret key",
            "to give the receiver’s team the new secret key",
        ),
        (" URL. Use https:// if the receiver supports it.", "to use https:// if the receiver"),
        ("Review", "to send or dismiss the deliveries on hold."),
    ):
        words = " ".join(node.text for node in page.root.find_all("p", "a"))
        assert (own in words) is (role == "admin"), own
        assert (asked in words) is (role != "admin"), asked
