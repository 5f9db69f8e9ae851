"""Asking for the password again, which leads back and keeps entered values."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.models.people import Link, Role, User, UserSession
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.unit_of_work import session, writing
from portal.services.people import invitations, password_resets, sessions
from tests.support.factories import PASSWORD, Person, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.people.test_auth import ELSEWHERE, cookie
from tests.web.signed_in import signed_in

INVITE = "/settings/people/invite"
QUESTION = "Confirm your password"


def wait(**length: float) -> None:
    """Make the last password confirmation of every session this old."""
    with writing() as current:
        proved = utcnow() - timedelta(**length)
        current.execute(update(UserSession).values(confirmed_at=proved))


def told(action: str) -> list[AuditEntry]:
    session().rollback()
    return list(session().scalars(select(AuditEntry).where(AuditEntry.action == action)))


def invited() -> list[str | None]:
    session().rollback()
    return list(session().scalars(select(Link.email).order_by(Link.id)))


def answer(pages: Pages, password: str = PASSWORD) -> Page:
    """Submit the password to the question on the current page."""
    assert pages.page is not None
    assert pages.page.h1 == QUESTION
    return pages.submit(pages.page.form(), own_password=password)


@pytest.fixture
def ana(app: Flask) -> Person:
    return make_user(name="Ana")


@pytest.fixture
def pages(app: Flask, ana: Person) -> Pages:
    return signed_in(app, ana)


def test_password_managers_are_told_the_user_of_a_password(
    app: Flask, pages: Pages, ana: Person
) -> None:
    reset = password_resets.offer_by_email(ana.actor, ana.email)
    invitation = invitations.invitation_link(ana.actor, "cleo@example.com", Role.SUPPORT)
    wait(minutes=16)
    for browser, path, email in (
        (pages, "/account", ana.email),
        (pages, INVITE, ana.email),
        (Pages(app), f"/new-password?token={reset.partition('=')[2]}", ana.email),
        (Pages(app), f"/invitation?token={invitation.partition('=')[2]}", "cleo@example.com"),
    ):
        inputs = browser.get(path).root.find_all("input")
        (field,) = (node for node in inputs if node.get("autocomplete") == "username")
        assert (field.get("value"), field.has("hidden"), field.has("name")) == (email, True, False)


def test_after_16_minutes_a_page_asks_first_and_leads_back(pages: Pages) -> None:
    hook = make_webhook(secret="whsec_c2VjcmV0IGZvciB0aGlzIHRlc3Q=")
    wait(minutes=16)
    path = f"/settings/webhooks/{hook.public_id}/secret?next=/deliveries"
    assert pages.get(path).h1 == QUESTION
    page = answer(pages)
    assert page.path == path
    assert page.h1 != QUESTION
    (entry,) = told("person.identity_confirmed")
    assert (entry.actor_name, entry.target_name, entry.changes) == ("Ana", "Ana", {})


def test_the_question_is_skipped_after_its_answer(pages: Pages) -> None:
    assert pages.get("/confirm?next=/deliveries", follow=False).location == "/deliveries"
    assert pages.get("/confirm", follow=False).location == "/"


def test_the_question_never_leads_to_another_site(pages: Pages) -> None:
    target = ELSEWHERE[1]
    wait(minutes=16)
    page = pages.get("/confirm", query_string={"next": target})
    page = pages.submit(page.form(), own_password=PASSWORD, follow=False)
    assert (page.status, page.response.headers["Location"]) == (302, "/")
    page = pages.get("/confirm", query_string={"next": target}, follow=False)
    assert page.response.headers["Location"] == "/"


def test_a_submitted_form_waits_for_the_password_and_is_kept(pages: Pages) -> None:
    form = pages.get(INVITE).form()
    wait(minutes=16)
    page = pages.submit(form, email="cleo@example.com", role="manager")
    assert (page.h1, page.path) == (QUESTION, INVITE)
    assert "cleo@example.com" not in page.html
    assert invited() == []
    page = answer(pages)
    assert page.h1 == "Invitation for cleo@example.com"
    assert "Manager" in page.main
    assert invited() == ["cleo@example.com"]


def test_a_confirmed_form_sent_twice_takes_effect_once(pages: Pages) -> None:
    form = pages.get(INVITE).form()
    wait(minutes=16)
    form = pages.submit(form, email="cleo@example.com", role="support").form()
    for _ in range(2):
        page = pages.submit(form, own_password=PASSWORD)
        assert page.h1 == "Invitation for cleo@example.com"
    assert invited() == ["cleo@example.com"]
    assert len(told("person.identity_confirmed")) == 1


def test_entered_secrets_and_lists_are_kept_encrypted(pages: Pages) -> None:
    hook = make_webhook(events=["asset.created"])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    form = pages.get(path).form()
    wait(minutes=16)
    typed = {"secret_mode": "own", "secret": "a secret of my own, long enough"}
    events = ["asset.created", "asset.deleted", "asset.updated"]
    page = pages.submit(form, "Save webhook", events=events, name="Changed", **typed)
    assert page.h1 == QUESTION
    for part in (typed["secret"], "Changed"):
        assert part not in page.html
        assert part not in cookie(pages)
    answer(pages)
    session().rollback()
    stored = session().get_one(Webhook, hook.id)
    assert stored.name == "Changed"
    assert sorted(each.event for each in stored.subscriptions) == events
    assert stored.secret_enc is not None
    assert vault.open_secret(hook.id, stored.secret_enc) == typed["secret"]


def test_webhook_names_need_no_confirmation_but_headers_do(
    pages: Pages,
) -> None:
    hook = make_webhook(headers=[("X-Key", "a value that is stored")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    wait(minutes=16)
    page = pages.get(path)
    assert page.h1 != QUESTION
    pages.submit(page.form(), "Save webhook", name="Changed")
    session().rollback()
    assert session().get_one(Webhook, hook.id).name == "Changed"
    form = pages.get(path).form()
    page = pages.submit(form, "Save webhook", **{"headers-0-value": "another value"})
    assert page.h1 == QUESTION
    assert "another value" not in page.html


def test_saving_a_tested_header_value_needs_confirmation(
    pages: Pages,
) -> None:
    """Cover encrypted values, which the test page and the edited form send instead of text."""
    hook = make_webhook(headers=[("X-Key", "a value that is stored")])
    path = f"/settings/webhooks/{hook.public_id}/edit"
    wait(minutes=16)
    sent = {**pages.get(path).form().fields, "headers-0-value": "another value"}
    page = pages.post(f"/settings/webhooks/test?webhook={hook.public_id}", sent)
    assert page.h1 == "Test before saving"
    for form in (page.form(path), pages.follow("Continue editing").form()):
        assert "another value" not in str(form.fields)
        assert pages.submit(form, "Save webhook").h1 == QUESTION
    answer(pages)
    session().rollback()
    sealed = session().get_one(Webhook, hook.id).headers_enc or b""
    assert vault.open_headers(hook.id, sealed) == [("X-Key", "another value")]


def test_a_wrong_password_is_shown_at_its_field_and_the_form_waits(pages: Pages) -> None:
    form = pages.get(INVITE).form()
    wait(minutes=16)
    pages.submit(form, email="cleo@example.com", role="support")
    for wrong, status in (("", 400), ("wrong", 409)):
        page = answer(pages, wrong)
        assert (page.status, page.wrong) == (status, ["own_password"])
        assert "Error: " in page.title
    assert invited() == []
    answer(pages)
    assert invited() == ["cleo@example.com"]
    (entry,) = told("person.identity_confirmed")
    assert entry.changes == {"wrong_tries_before": {"from": None, "to": 1}}


def test_guesses_share_the_limit_of_the_account_page(pages: Pages, ana: Person) -> None:
    wait(minutes=16)
    pages.get(INVITE)
    for _ in range(5):
        answer(pages, "wrong")
    page = answer(pages)
    assert page.status == 429
    assert 25 <= int(page.response.headers["Retry-After"]) <= 30
    form = pages.get("/account").form("/account/password")
    page = pages.submit(form, current_password=PASSWORD, password="another long phrase")
    assert page.status == 429
    (entry,) = told("person.sign_in_slowed_down")
    assert (entry.actor_name, entry.changes) == ("Ana", {"tries": {"from": None, "to": 5}})
    assert pages.get(INVITE).h1 == QUESTION


def test_a_confirmation_in_another_tab_lets_a_form_continue(
    pages: Pages,
) -> None:
    form = pages.get(INVITE).form()
    wait(minutes=16)
    waiting = pages.submit(form, email="cleo@example.com", role="support").form()
    pages.get(INVITE)
    answer(pages)
    pages.submit(waiting, own_password="")
    assert invited() == ["cleo@example.com"]


OF_A_HEADER = {
    "a header": "a value that waits in another form",
    "a header that is a number": "4711",
    "a header that is a list": '["/settings/people/invite", 7]',
}


def test_a_kept_form_is_accepted_only_from_its_page_and_person(
    app: Flask, pages: Pages, ana: Person
) -> None:
    for origin in ("nobody", "somebody else", "another address", *OF_A_HEADER):
        ben = make_user()
        form = pages.get(INVITE).form()
        wait(minutes=16)
        waiting = pages.submit(form, email="cleo@example.com", role="admin").form()
        kept = waiting.fields["kept"][0]
        if origin == "nobody":
            kept = "x" + kept[1:]
        elif origin == "somebody else":
            text = vault.open_typed(ana.id, kept)
            assert text is not None
            kept = vault.seal_typed(ben.id, text)
        elif origin in OF_A_HEADER:
            kept = vault.seal_typed(ana.id, OF_A_HEADER[origin])
        if origin == "another address":
            path = f"/settings/people/{ben.public_id}/role"
            page = pages.post(path, {"own_password": PASSWORD, "kept": kept})
        else:
            page = pages.submit(waiting, own_password=PASSWORD, kept=kept)
        assert page.status == 409, origin
        assert invited() == [], origin
        session().rollback()
        assert session().get_one(User, ben.id).role == Role.ADMIN, origin


def test_a_kept_form_leads_to_sign_in_after_sign_out(app: Flask, pages: Pages) -> None:
    form = pages.get(INVITE).form()
    wait(minutes=16)
    waiting = pages.submit(form, email="cleo@example.com", role="support").form()
    with writing() as current:
        sessions.end_all(current, current.scalars(select(User)).one())
    assert pages.submit(waiting, own_password=PASSWORD).h1 == "Sign in"
    assert invited() == []
