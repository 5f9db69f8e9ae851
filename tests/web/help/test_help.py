"""Help is where the question arises, and uses the words of the pages."""

from datetime import timedelta

import pytest
from flask import Flask

from portal.lib.clock import utcnow
from portal.models.people import Role
from portal.web.frame.status_tags import DELIVERY
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook
from tests.web.signed_in import visit

WHY = "Why did I not get it?"


@pytest.mark.parametrize("role", list(Role))
def test_the_checklist_explains_each_status_and_leads_nowhere_closed(
    app: Flask, role: Role
) -> None:
    pages = visit(app, role)
    page = pages.get("/help/no-message")
    assert page.h1 == WHY
    assert [each.word for each in DELIVERY.values() if each.word not in page.main] == ["Sending"]
    for link in set(page.links()):
        if link.startswith("/"):
            assert pages.get(link).status == 200, link


def test_it_is_linked_from_where_the_question_arises(app: Flask) -> None:
    pages = visit(app, Role.SUPPORT)
    assert pages.get("/deliveries").links(WHY)
    failing = {"failures_in_row": 6, "failing_since": utcnow() - timedelta(minutes=9)}
    hook = make_webhook(name="Helpdesk", **failing)
    made = make_delivery(hook, status="failed", reason="refused")
    new = visit(app).get("/settings/webhooks/new")
    assert new.links("What is a webhook?") == ["/help/webhooks"]
    assert new.links("Try it without a receiver") == ["/inbox"]
    paths = ("/", "/deliveries?q=nothing", f"/deliveries/{made}", "/help/webhooks")
    paths += (f"/settings/webhooks/{hook.public_id}", "/help/delivery-status")
    assert [path for path in paths if not pages.get(path).links(WHY)] == []


def test_it_is_one_step_away_from_every_page(app: Flask) -> None:
    pages = visit(app, Role.SUPPORT)
    for path in ("/", "/assets", "/account", "/nowhere"):
        found = pages.get(path).links("Help")
        assert found.count("/help") == 2, path  # in the header and at the foot


def test_the_glossary_has_the_words_of_the_pages(app: Flask) -> None:
    words = visit(app).get("/help/webhooks").root.find_all("dt")
    assert {"Event", "Webhook", "Delivery", "Attempt", "Held", "Secret key", "Signature"} <= {
        word.text for word in words
    }
