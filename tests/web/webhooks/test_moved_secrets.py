"""The webhook form asks again for secrets that were stored for another URL."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.webhooks import queries as webhook_queries
from tests.support.factories import Hook, make_webhook
from tests.support.pages import Pages
from tests.web.people.test_confirmation import QUESTION, answer, wait

TEST = "/settings/webhooks/test"
ELSEWHERE = "https://elsewhere.example.com/hook"
VALUE = "Bearer abcdefghijkl"
AGAIN = "Enter this value again. We send the saved value only to the previous URL"
KEY = (
    "Select “Create one” or “Use my own”. "
    "We use the saved secret key only for the previous host and port"
)


@pytest.fixture
def hook(app: Flask) -> Hook:
    return make_webhook(
        "https://erp.example.com/hook", secret="a key of theirs", headers=[("X-Key", VALUE)]
    )


def headers(hook: Hook) -> tuple[tuple[str, str], ...]:
    session().rollback()
    return webhook_queries.stored_values(hook.public_id).headers


def count() -> int:
    session().rollback()
    return len(session().scalars(select(Webhook.id)).all())


@pytest.mark.parametrize("name", ["X-Key", "X-Renamed"])
@pytest.mark.parametrize("by_test", [False, True])
def test_a_new_host_asks_for_key_and_header_value_again(
    pages: Pages, hook: Hook, by_test: bool, name: str
) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    to = f"{TEST}?webhook={hook.public_id}" if by_test else path
    sent = {**pages.get(path).form(path).fields, "url": ELSEWHERE, "headers-0-name": name}
    page = pages.post(to, sent)
    assert page.status == 400
    assert sorted(page.errors) == [AGAIN, KEY]
    assert VALUE[-4:] not in page.main
    (box,) = (each for each in page.root.find_all("input") if each.get("name") == "headers-0-value")
    described = [
        each.text for each in page.root.walk() if each.get("id") == box.get("aria-describedby")
    ]
    attributes = [box.get(each) for each in ("class", "value", "autocomplete", "aria-invalid")]
    assert (described, attributes) == ([f"Error: {AGAIN}"], ["form-control", "", "off", "true"])
    fields = page.form(path).fields
    assert fields["headers-0-kept"] == [""]
    page = pages.post(to, {**fields, "secret_mode": "none"})
    assert page.errors == [AGAIN] if name == "X-Key" else page.status == 400
    assert count() == 1
    page = pages.post(to, {**page.form(path).fields, "headers-0-value": "typed anew"})
    assert page.status == 200
    assert (count() == 2) if by_test else (page.h1 == "Remove the secret key?")


def test_a_reentered_value_survives_an_error_and_the_key_question(pages: Pages, hook: Hook) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    moved = {"url": ELSEWHERE, "secret_mode": "generate", "headers-0-value": "typed anew"}
    page = pages.submit(pages.get(path).form(path), **moved, name="")
    assert page.status == 400
    page = pages.submit(page.form(path), name="Moved")
    page = pages.submit(page.form(path))
    assert webhook_queries.address(hook.public_id) == ELSEWHERE
    assert headers(hook) == (("X-Key", "typed anew"),)


def test_a_tested_form_does_not_carry_its_values_to_another_host(pages: Pages, hook: Hook) -> None:
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


@pytest.mark.parametrize("by_test", [False, True])
@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://erp.example.com/other"},
        {"url": "https://erp.example.com/hook?to=other"},
        {"url_is_secret": []},
    ],
    ids=["path", "query", "untick"],
)
def test_a_new_path_or_an_unhidden_url_asks_for_the_password(
    pages: Pages, hook: Hook, change: dict[str, Any], by_test: bool
) -> None:
    """Someone at an unlocked browser must not redirect stored values or reveal the URL."""
    with writing() as current:
        current.execute(update(Webhook).values(url_is_secret=True))
    path = f"/settings/webhooks/{hook.public_id}/edit"
    to = f"{TEST}?webhook={hook.public_id}" if by_test else path
    sent = {**pages.get(path).form(path).fields, "name": "Renamed", **change}
    wait(minutes=16)
    assert pages.post(to, sent).h1 == QUESTION
    assert count() == 1
    assert answer(pages).h1 == ("Test before saving" if by_test else "Renamed")
    assert count() == 1 + by_test
    assert headers(hook) == (("X-Key", VALUE),)


def test_a_test_at_the_stored_url_asks_for_nothing(pages: Pages, hook: Hook) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    wait(minutes=16)
    page = pages.post(f"{TEST}?webhook={hook.public_id}", pages.get(path).form(path).fields)
    assert page.h1 == "Test before saving"


def test_reusing_a_value_in_another_webhook_asks_for_the_password(pages: Pages, hook: Hook) -> None:
    path = f"/settings/webhooks/{hook.public_id}/edit"
    (kept,) = pages.get(path).form(path).fields["headers-0-kept"]
    taken = {"url": "https://erp.example.com/other", "headers-0-name": "X-Key"}
    other = make_webhook("https://erp.example.com/other", name="Other")
    for to in (f"{TEST}?webhook={other.public_id}", TEST):
        wait(minutes=16)
        sent = {**taken, "name": f"At {to}", "events": ["asset.lost"], "secret_mode": "none"}
        assert pages.post(to, {**sent, "headers-0-kept": kept}).h1 == QUESTION
