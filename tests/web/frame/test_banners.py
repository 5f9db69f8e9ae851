"""A webhook in trouble is seen on every page by its owner and by administrators, until it is well
again or they hide it."""

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.webhooks import OffReason, Webhook, WebhookState
from portal.services.core.unit_of_work import writing
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import visit

WORDS = "“Sync to ERP” needs attention"
OFF = "“Sync to ERP” was turned off by us"


def failing(**columns: Any) -> Hook:
    since = columns.pop("failing_since", utcnow() - timedelta(minutes=10))
    return make_webhook(name="Sync to ERP", failures_in_row=6, failing_since=since, **columns)


def change(hook: Hook, **columns: Any) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def banner(page: Page) -> str:
    found = [node for node in page.root.find_all("aside") if node.get("class") == "trouble"]
    return " ".join(node.text for node in found)


def hide(pages: Pages, page: Page) -> Page:
    return pages.submit(page.form("/banners/hide"))


@pytest.mark.parametrize("path", ["/assets", "/settings/system", "/nowhere"])
def test_an_administrator_sees_it_on_every_page(app: Flask, path: str) -> None:
    hook = failing()
    page = visit(app).get(path)
    assert WORDS in banner(page)
    assert page.links(WORDS) == [f"/settings/webhooks/{hook.public_id}"]


@pytest.mark.parametrize("path", ["/", "/deliveries"])
def test_where_problems_are_listed_it_stands_among_them_alone(app: Flask, path: str) -> None:
    hook = failing()
    page = visit(app).get(path)
    assert banner(page) == ""
    (problems,) = (node for node in page.root.find_all("ul") if node.get("class") == "problems")
    assert f"/settings/webhooks/{hook.public_id}" in [
        link.get("href") for link in problems.find_all("a")
    ]


def test_its_owner_sees_it_and_nobody_else_who_is_no_administrator(app: Flask) -> None:
    person, owner, other = make_user("support"), Pages(app), visit(app, "support")
    make_webhook(name="Another", failures_in_row=6, failing_since=utcnow() - timedelta(minutes=10))
    failing(owner_id=person.id)
    owner.sign_in(person.email, person.password)
    page = owner.get("/assets")
    assert WORDS in banner(page)
    assert "Another" not in banner(page)
    assert banner(other.get("/assets")) == ""


def test_it_goes_when_the_webhook_recovers_and_says_when_we_turned_it_off(app: Flask) -> None:
    hook, pages = failing(), visit(app)
    off = {"state": WebhookState.OFF, "off_reason": OffReason.FAILING, "off_at": utcnow()}
    change(hook, **off)
    assert OFF in banner(pages.get("/assets"))
    change(hook, off_reason=OffReason.PERSON)
    assert banner(pages.get("/assets")) == ""
    change(hook, state=WebhookState.ACTIVE, failures_in_row=0, failing_since=None)
    assert banner(pages.get("/assets")) == ""


def test_hidden_it_stays_away_until_there_is_new_trouble(app: Flask) -> None:
    hook, pages = failing(), visit(app)
    page = hide(pages, pages.get("/assets?q=drill"))
    assert page.path == "/assets?q=drill"
    assert banner(page) == ""
    assert banner(pages.get("/assets")) == ""
    assert WORDS in banner(visit(app).get("/assets"))
    change(hook, failing_since=utcnow() - timedelta(minutes=5))
    assert WORDS in banner(pages.get("/assets"))


def test_the_page_of_the_webhook_itself_does_not_repeat_it(app: Flask) -> None:
    hook = failing()
    assert banner(visit(app).get(f"/settings/webhooks/{hook.public_id}")) == ""


def test_several_are_counted_on_one_line_that_leads_to_them_all(app: Flask) -> None:
    since = utcnow() - timedelta(minutes=10)
    for number in range(3):
        make_webhook(name=f"Receiver {number}", failures_in_row=5, failing_since=since)
    page = visit(app).get("/assets")
    assert banner(page) == "3 webhooks need attention Hide for now warnings about webhooks"
    assert page.links("3 webhooks need attention") == ["/settings/webhooks"]


def test_the_number_is_that_of_the_list_whatever_page_is_open_or_was_hidden(app: Flask) -> None:
    since = utcnow() - timedelta(minutes=10)
    names = ("First", "Second")
    first, second = (make_webhook(name=n, failures_in_row=5, failing_since=since) for n in names)
    make_webhook(name="Once", failures_in_row=1, failing_since=utcnow(), throttled=True)
    make_webhook(name="Gone", state=WebhookState.OFF, off_reason=OffReason.GONE)
    pages, words = visit(app), "4 webhooks need attention"
    rows = [row[1] for row in pages.get("/settings/webhooks").rows()]
    assert rows == ["Off", "Paused", "Failing", "Failing"]
    for path in ("/assets", f"/settings/webhooks/{first.public_id}"):
        assert banner(pages.get(path)).startswith(words)
    assert banner(hide(pages, pages.get("/assets"))) == ""
    change(second, failing_since=since + timedelta(minutes=1))
    assert banner(pages.get("/assets")).startswith(words)


def test_of_those_hidden_one_after_the_other_the_latest_twenty_stay_away(app: Flask) -> None:
    since = utcnow() - timedelta(minutes=10)
    names = [f"Receiver {n:02}" for n in range(20)]  # they stand there by them
    first, *_ = [make_webhook(name=n, failures_in_row=5, failing_since=since) for n in names]
    pages = visit(app)
    assert banner(hide(pages, pages.get("/assets"))) == ""
    change(
        make_webhook(name="Sync"), failures_in_row=5, failing_since=utcnow() - timedelta(minutes=9)
    )
    assert banner(hide(pages, pages.get("/assets"))).startswith("21 webhooks need attention")
    change(first, failures_in_row=0, failing_since=None)
    assert banner(pages.get("/assets")) == ""


def test_one_failure_alone_is_no_trouble_yet(app: Flask) -> None:
    make_webhook(failures_in_row=1, failing_since=utcnow())
    assert banner(visit(app).get("/assets")) == ""


def test_what_is_sent_by_hand_hides_nothing_and_leads_nowhere_else(app: Flask) -> None:
    failing()
    pages = visit(app)
    pages.get("/assets")
    marks, others = (" ".join(f"made/up/{n}" for n in some) for some in (range(20), range(20, 40)))
    page = pages.post("/banners/hide", {"marks": marks, "back": "https://evil.example.com/"})
    assert page.path == "/"
    assert WORDS in banner(pages.get("/assets"))
    hide(pages, pages.get("/assets"))
    pages.post("/banners/hide", {"marks": others})  # nor does it push out what was hidden
    assert banner(pages.get("/assets")) == ""
