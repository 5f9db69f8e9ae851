"""Taking a failing webhook, which shows everyone the person who is looking into it."""

import pytest
from flask import Flask

from portal.models.people import Role
from portal.services.webhooks import takes
from tests.support.deliveries import change, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.home.test_home import troubled
from tests.web.signed_in import signed_in, visit


@pytest.fixture
def hook(app: Flask) -> Hook:
    failing = make_webhook(name="Finance")
    make_delivery(failing, status="failed", reason="server", code=500)
    return failing


def taken(pages: Pages) -> str:
    return troubled(pages.get("/"))[0][4]


def take(pages: Pages, hook: Hook) -> None:
    pages.submit(pages.get("/").form(f"/settings/webhooks/{hook.public_id}/take"))


@pytest.mark.parametrize("role", [Role.SUPPORT, Role.ADMIN])
def test_a_take_is_one_step_and_visible_to_all_until_released(
    app: Flask, hook: Hook, role: Role
) -> None:
    sam, manager = visit(app, role, name="Sam"), visit(app, Role.MANAGER)
    assert taken(sam) == "Take “Finance”"
    page = sam.submit(sam.get("/").form(f"/settings/webhooks/{hook.public_id}/take"))
    assert page.path == "/"
    assert page.tone == "success"
    for path in ("/", "/deliveries", f"/settings/webhooks/{hook.public_id}"):
        shown = manager.get(path)
        assert "Sam, " in shown.main
        assert not shown.links("Take over")
    page = sam.submit(sam.get("/").form(f"/settings/webhooks/{hook.public_id}/release"))
    assert page.tone == "success"
    assert "Taken by" not in manager.get("/").main
    history = sam.get(f"/settings/webhooks/{hook.public_id}/history").main
    assert history.index("Sam released this webhook") < history.index("Sam took this webhook")


def test_taking_over_from_another_person_asks_first(app: Flask, hook: Hook) -> None:
    sam, eve = visit(app, "support", name="Sam"), visit(app, "support", name="Eve")
    late = eve.get("/")
    take(sam, hook)
    page = eve.submit(late.form(f"/settings/webhooks/{hook.public_id}/take"))
    assert page.status == 400
    assert page.h1 == "Take over Finance?"
    assert "Sam, " in page.main
    assert "Sam" in taken(eve)
    refused = eve.post(f"/settings/webhooks/{hook.public_id}/release", {"back": "/"})
    assert refused.tone == "warning"
    eve.submit(page.form(), "Take over")
    assert "Eve" in taken(sam)
    page = sam.get(f"/settings/webhooks/{hook.public_id}/take?back=/")
    assert page.h1 == "Take over Finance?"
    page = eve.get(f"/settings/webhooks/{hook.public_id}/take?back=/")
    assert page.path == "/", "the person who has it isn't asked"


def test_a_take_ends_once_nothing_fails_and_none_can_start_then(app: Flask) -> None:
    hook = make_webhook(name="Finance")
    failed = make_delivery(hook, status="failed", reason="server", code=500)
    person = make_user("support", name="Sam")
    sam = signed_in(app, person)
    take(sam, hook)
    takes.end()
    assert "Sam" in taken(sam)
    change(failed, status="delivered", failing_since=None)
    page = sam.get(f"/settings/webhooks/{hook.public_id}/take?back=/")
    assert page.path == "/"
    assert page.flashes == [("info", "This webhook isn’t failing now.")]
    takes.end()
    takes.end()
    make_delivery(hook, status="failed", reason="server", code=500)
    assert taken(sam) == "Take “Finance”"
    history = sam.get(f"/settings/webhooks/{hook.public_id}/history").main
    assert history.count("We released this webhook because nothing is failing") == 1
