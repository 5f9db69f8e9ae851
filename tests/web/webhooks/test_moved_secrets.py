"""The form of a webhook asks again for what was stored for another address."""

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session
from portal.services.webhooks import queries as webhook_queries
from tests.support.factories import Hook, make_webhook
from tests.support.pages import Pages
from tests.web.signed_in import visit

TEST = "/settings/webhooks/test"
ELSEWHERE = "https://elsewhere.example.com/hook"
VALUE = "Bearer abcdefghijkl"
AGAIN = "Enter this value again: the stored one goes to its earlier address alone"
KEY = "Choose a key for the new address: the stored one signs for its earlier address alone"


@pytest.fixture
def pages(app: Flask) -> Pages:
    return visit(app)


@pytest.fixture
def hook(app: Flask) -> Hook:
    return make_webhook(
        "https://erp.example.com/hook", secret="a key of theirs", headers=[("X-Key", VALUE)]
    )


def headers(hook: Hook) -> tuple[tuple[str, str], ...]:
    session().rollback()
    return webhook_queries.header_values(hook.public_id)


def count() -> int:
    session().rollback()
    return len(session().scalars(select(Webhook.id)).all())


@pytest.mark.parametrize("name", ["X-Key", "X-Renamed"])
@pytest.mark.parametrize("by_test", [False, True])
def test_another_host_asks_for_key_and_value_at_their_fields(
    pages: Pages, hook: Hook, by_test: bool, name: str
) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    to = f"{TEST}?webhook={hook.public_id}" if by_test else path
    sent = {**pages.get(path).form(path).fields, "url": ELSEWHERE, "headers-0-name": name}
    page = pages.post(to, sent)
    assert page.status == 400
    assert sorted(page.errors) == [KEY, AGAIN]
    assert VALUE[-4:] not in page.main
    (box,) = (each for each in page.root.find_all("input") if each.get("name") == "headers-0-value")
    said = [each.text for each in page.root.walk() if each.get("id") == box.get("aria-describedby")]
    attributes = [box.get(each) for each in ("class", "value", "autocomplete", "aria-invalid")]
    assert (said, attributes) == ([f"Error: {AGAIN}"], ["form-control", "", "off", "true"])
    again = page.form(path).fields
    assert again["headers-0-kept"] == [""]
    page = pages.post(to, {**again, "secret_mode": "none"})
    assert page.errors == [AGAIN] if name == "X-Key" else page.status == 400
    assert count() == 1
    page = pages.post(to, {**page.form(path).fields, "headers-0-value": "typed anew"})
    assert page.status == 200
    assert (count() == 2) if by_test else (page.h1 == "Remove the secret key?")


def test_what_was_typed_anew_survives_a_mistake_and_the_question_about_the_key(
    pages: Pages, hook: Hook
) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    moved = {"url": ELSEWHERE, "secret_mode": "generate", "headers-0-value": "typed anew"}
    page = pages.submit(pages.get(path).form(path), **moved, name="")
    assert page.status == 400
    page = pages.submit(page.form(path), name="Moved")
    page = pages.submit(page.form(path))
    assert webhook_queries.address(hook.public_id) == ELSEWHERE
    assert headers(hook) == (("X-Key", "typed anew"),)


def test_a_tested_form_does_not_take_its_values_to_a_third_place(pages: Pages, hook: Hook) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    page = pages.post(f"{TEST}?webhook={hook.public_id}", pages.get(path).form(path).fields)
    assert page.h1 != "Edit"
    draft = page.path.rpartition("/")[2]
    form = pages.get(f"{path}?draft={draft}").form(path)
    page = pages.submit(form, url=ELSEWHERE, secret_mode="none")
    assert page.errors == [AGAIN]
    page = pages.submit(pages.get(f"{path}?draft={draft}").form(path), name="Same place")
    assert page.h1 == "Same place"
    assert headers(hook) == (("X-Key", VALUE),)


def test_the_history_says_where_a_form_was_tested(pages: Pages, hook: Hook) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    pages.post(f"{TEST}?webhook={hook.public_id}", pages.get(path).form(path).fields)
    page = pages.get(f"/settings/webhooks/{hook.public_id}/history")
    assert "tested the form of this webhook before saving" in page.main
    assert "https://erp.example.com/hook" in page.main
