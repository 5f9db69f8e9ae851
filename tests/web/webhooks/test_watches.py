"""Failure emails about a webhook, how people start and stop them, and the webhook's owner."""

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from portal.models.audit import AuditEntry
from portal.models.webhooks import Watch
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from portal.services.people import accounts
from portal.services.webhooks import crud, queries, watches
from portal.services.webhooks.watches import CANT_OWN
from tests.support.deliveries import make_attempt, make_delivery
from tests.support.factories import Hook, Person, make_user, make_webhook
from tests.support.html import parse
from tests.support.mail_server import set_up
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in, visit

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
TITLE = "Failure emails"


@pytest.fixture
def ana(app: Flask, monkeypatch: pytest.MonkeyPatch) -> Person:
    set_up(app, monkeypatch, smtp_url="smtp://127.0.0.1:9")
    return make_user(name="Ana", email="ana@example.com")


def path_of(hook: Hook) -> str:
    return f"/settings/webhooks/{hook.public_id}"


def told() -> set[tuple[int, int]]:
    """Return the row ids of each webhook and user with emails turned on."""
    session().rollback()
    rows = session().execute(select(Watch.webhook_id, Watch.user_id).where(Watch.is_on))
    return {(row.webhook_id, row.user_id) for row in rows}


def link_of(hook: Hook, person: Person) -> str:
    token = watches._token([hook.id], person.id)
    return f"{watches.PAGE}?token={token}"


def card(page: Page) -> str:
    (section,) = [node for node in page.root.find_all("section") if node.get("id") == "email"]
    return section.text


def press(pages: Pages, page: Page, words: str) -> Page:
    """Press the button with exactly this text, in the card if the menu has it too."""
    *_, form = [candidate for candidate in page.forms if candidate.buttons == [words]]
    return pages.submit(form)


def answer_of(answer: TestResponse) -> tuple[int, str]:
    (main,) = parse(answer.text)[0].find_all("main")
    return answer.status_code, main.text


def entries() -> list[tuple[str, str, str, Any]]:
    session().rollback()
    emails = AuditEntry.action.like("person.webhook_emails_%")
    rows = session().scalars(select(AuditEntry).where(emails).order_by(AuditEntry.id))
    return [(row.actor_name, row.action, row.target_name, row.changes) for row in rows]


def test_support_can_start_and_stop_emails_without_seeing_others(ana: Person, app: Flask) -> None:
    hook = make_webhook(name="ERP", owner_id=ana.id)
    sam = make_user("support", name="Sam")
    pages, path = signed_in(app, sam), path_of(hook)
    page = pages.get(path)
    assert "1 person gets one." in card(page)
    assert ana.email not in page.html
    assert "Ana" not in card(page)
    page = press(pages, page, "Email me")
    assert page.tone == "success"
    assert "You get an email when it fails" in card(page)
    assert "1 other person also gets one." in card(page)
    assert told() == {(hook.id, ana.id), (hook.id, sam.id)}
    page = press(pages, page, "Stop emails")
    assert "Get an email when it fails" in card(page)
    assert told() == {(hook.id, ana.id)}
    change = {"webhook": {"from": None, "to": "ERP"}}
    assert entries() == [
        ("Sam", "person.webhook_emails_started", "Sam", change),
        ("Sam", "person.webhook_emails_ended", "Sam", change),
    ]


def test_administrators_see_who_gets_emails(ana: Person, app: Flask) -> None:
    hook = make_webhook(owner_id=ana.id)
    pages, path = signed_in(app, ana), path_of(hook)
    assert "No one else gets one." in card(pages.get(path))
    for name in ("Sam", "Tom", "Uma", "Vic"):
        person = make_user("support", name=name)
        watches.choose(person.actor, hook.public_id, is_on=True)
        words = {
            "Sam": "Sam also gets one.",
            "Tom": "Sam and Tom also get one.",
            "Uma": "Sam, Tom, and Uma also get one.",
            "Vic": "Sam, Tom, and 2 others also get one.",
        }
        assert words[name] in card(pages.get(path))


def test_the_page_says_that_no_one_gets_emails(ana: Person, app: Flask) -> None:
    pages, hook = signed_in(app, ana), make_webhook(owner_id=ana.id)
    page = press(pages, pages.get(path_of(hook)), "Stop emails")
    assert "No one gets an email when it fails. Get an email when it fails," in card(page)


def test_administrators_get_emails_until_a_webhook_has_an_owner(ana: Person, app: Flask) -> None:
    hook = make_webhook(name="ERP", owner_id=make_user(is_active=False).id)
    sam, ben = make_user("support", name="Sam"), make_user(name="Ben")
    watches.choose(ben.actor, hook.public_id, is_on=True)
    pages, path = signed_in(app, ana), path_of(hook)
    stands_in = "No one owns this webhook, so administrators get its emails."
    for _ in range(2):  # first without and then with a stored row
        assert stands_in in card(pages.get(path))
        assert "Ben also gets one." in card(pages.get(path))
        assert pages.get("/account").links("ERP") == [path]
        watches.stand_in()
    edit(pages, hook, owner_id=str(sam.public_id))
    page = pages.get(path)
    assert "Get an email when it fails" in card(page)
    assert "Ben and Sam get one." in card(page)
    assert pages.get("/account").links("ERP") == []
    page = press(pages, page, "Email me")  # now she asked for the emails herself
    assert stands_in not in card(page)
    assert "Ben and Sam also get one." in card(page)
    accounts.disable(ben.actor, sam.public_id)
    assert stands_in not in card(pages.get(path))


def test_the_account_page_lists_and_stops_each_webhooks_emails(ana: Person, app: Flask) -> None:
    first, second = (make_webhook(name=name, owner_id=ana.id) for name in ("ERP", "Door"))
    make_webhook(name="Other's", owner_id=make_user().id)
    crud.delete(ana.actor, make_webhook(name="Gone", owner_id=ana.id).public_id)
    pages = signed_in(app, ana)
    page = pages.get("/account")
    assert page.links("ERP") == [path_of(first)]
    assert page.links("Door") == [path_of(second)]
    assert "Gone" not in page.main
    assert "Other's" not in page.main
    page = pages.submit(page.form(f"{path_of(first)}/emails"))
    assert (page.path, page.tone) == ("/account", "success")
    assert told() >= {(second.id, ana.id)}
    page = pages.submit(page.form(f"{path_of(second)}/emails"))
    assert "You get no emails about webhooks." in page.main


def test_the_account_page_stops_all_emails_at_once(ana: Person, app: Flask) -> None:
    for name in ("ERP", "Door"):
        make_webhook(name=name, owner_id=ana.id)
    make_webhook(name="Desk", owner_id=make_user(is_active=False).id)
    ben = make_user()
    watches.choose(ben.actor, make_webhook(owner_id=ben.id).public_id, is_on=True)
    before, pages = told(), signed_in(app, ana)
    page = pages.submit(pages.get("/account").form("/account/emails/stop"))
    assert "You’ll no longer get emails about 3 webhooks." in page.html
    assert "You get no emails about webhooks." in page.main
    assert told() == {pair for pair in before if pair[1] != ana.id}
    ended = [target for _, action, target, _ in entries() if action.endswith("ended")]
    assert ended == ["Ana"] * 3
    watches.stand_in()
    assert "You get no emails about webhooks." in pages.get("/account").main


def test_an_unsubscribe_link_asks_and_only_a_post_stops_emails(ana: Person, app: Flask) -> None:
    hook, other = (make_webhook(name=name, owner_id=ana.id) for name in ("ERP", "Door"))
    ben = make_user()
    watches.choose(ben.actor, hook.public_id, is_on=True)
    before, link = told(), link_of(hook, ana)
    stranger = Pages(app)
    page = stranger.get(link)
    assert page.h1 == "Stop emails about ERP?"
    assert "a…@example.com will no longer get" in page.main
    assert told() == before
    assert ana.email not in page.html
    assert ana.name not in page.html
    # A mail provider's server posts without a cookie, and twice.
    for _ in range(2):
        answer = app.test_client().post(link, data=ONE_CLICK)
        assert answer.status_code == 200
        assert told() == before - {(hook.id, ana.id)}
    assert (other.id, ana.id) in told()
    change = {"webhook": {"from": None, "to": "ERP"}}
    assert entries()[1:] == [
        ("Someone not signed in", "person.webhook_emails_ended", "Ana", change)
    ]
    for stopped in (stranger.submit(page.form()), stranger.get(link)):
        assert stopped.h1 == "Emails stopped"
        assert stopped.links("ERP") == [path_of(hook)]
        assert "a…@example.com no longer gets" in stopped.main
        assert "Stop emails" not in stopped.main
    assert stranger.get("/account").h1 == "Sign in"


def test_a_link_for_several_webhooks_names_and_stops_the_remaining(ana: Person, app: Flask) -> None:
    hooks = [make_webhook(name=name, owner_id=ana.id) for name in ("ERP", "Door", "Gone", "Desk")]
    *linked, other = hooks
    link = f"{watches.PAGE}?token={watches._token([hook.id for hook in linked], ana.id)}"
    crud.delete(ana.actor, hooks[2].public_id)
    stranger = Pages(app)
    page = stranger.get(link)
    assert page.h1 == "Stop emails about 2 webhooks?"
    assert "ERP Door" in page.main
    assert "Gone" not in page.main
    assert app.test_client().post(link, data=ONE_CLICK).status_code == 200
    assert told() == {(other.id, ana.id)}
    page = stranger.get(link)
    assert page.h1 == "Emails stopped"
    assert [page.links(name) for name in ("ERP", "Door")] == [[path_of(each)] for each in hooks[:2]]


def test_a_link_stops_its_recipients_emails_not_the_visitors(ana: Person, app: Flask) -> None:
    hook = make_webhook(owner_id=ana.id)
    ben = make_user()
    watches.choose(ben.actor, hook.public_id, is_on=True)
    pages = signed_in(app, ben)
    pages.submit(pages.get(link_of(hook, ana)).form(watches.PAGE))
    assert told() == {(hook.id, ben.id)}


def test_every_invalid_link_gets_the_same_response(ana: Person, app: Flask) -> None:
    hook, gone = make_webhook(owner_id=ana.id), make_webhook(owner_id=ana.id)
    eve, sam = make_user("support"), make_user("support")
    for person in (eve, sam):
        watches.choose(person.actor, hook.public_id, is_on=True)
    crud.delete(ana.actor, gone.public_id)
    accounts.disable(ana.actor, eve.public_id)
    before, good = told(), link_of(hook, sam)
    bad = [
        watches.PAGE,
        f"{watches.PAGE}?token=",
        good[:-1],
        f"{good}x",
        good.replace(f"-{sam.id}-", f"-{ana.id}-"),
        good.replace(f"={hook.id}-", f"={gone.id}-"),
        good.replace(f"={hook.id}-", "=999999999-"),
        good.replace(f"={hook.id}-", "=9999999999999999999-"),
        good.replace("-", "\u0661"),
        good.replace(f"={hook.id}-", f"={hook.id}_{gone.id}-"),
        good.replace(f"={hook.id}-", f"={'_'.join(['1'] * 21)}-"),
        f"{watches.PAGE}?token=%00%ff",
        link_of(gone, ana),
        link_of(hook, eve),
    ]
    client = app.test_client()
    answers = {answer_of(client.get(link)) for link in bad}
    answers |= {answer_of(client.post(link, data=ONE_CLICK)) for link in bad}
    ((status, words),) = answers
    assert status == 410
    assert "This link no longer works" in words
    assert told() == before


def test_a_new_secret_key_invalidates_links(
    ana: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = link_of(make_webhook(owner_id=ana.id), ana)
    set_up(app, monkeypatch, secret_key="another key of this installation")
    assert app.test_client().post(link, data=ONE_CLICK).status_code == 410


@pytest.mark.parametrize(
    ("role", "words"),
    [
        ("admin", "Email isn’t set up, so we don’t send any. Set SMTP_URL on the server."),
        ("support", "Email isn’t set up, so we don’t send any. Ask an administrator (Ana)"),
    ],
)
def test_without_a_mail_server_the_choice_is_kept_and_setup_explained(
    app: Flask, role: str, words: str
) -> None:
    person = make_user(role, name="Ana" if role == "admin" else "Sam")
    if role == "support":
        make_user(name="Ana")
    hook = make_webhook(owner_id=make_user("manager").id)
    pages, path = signed_in(app, person), path_of(hook)
    page = press(pages, pages.get(path), "Email me")
    assert words in card(page)
    assert "We keep your choice." in card(page)
    assert (hook.id, person.id) in told()


def test_the_message_after_email_me_promises_only_what_is_true(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    well, fails = make_webhook(name="Well"), make_webhook(name="Fails")
    made = make_delivery(fails, status="failed", reason="server", code=500, tries=10)
    make_attempt(made, reason="server", code=500)
    pages = visit(app, "support")
    page = press(pages, pages.get(path_of(well)), "Email me")
    assert "We keep your choice. Email isn’t set up, so we don’t send any." in page.main
    assert "We’ll email you" not in page.main
    set_up(app, monkeypatch, smtp_url="smtp://127.0.0.1:9")
    pages = visit(app, "support")
    now = "“Fails” is failing now. If you haven’t had an email about that yet, you’ll get one."
    for hook, is_failing in ((well, False), (fails, True)):
        page = press(pages, pages.get(path_of(hook)), "Email me")
        assert f"We’ll email you when “{hook.name}” fails." in page.main
        assert (now in page.main) is is_failing


def test_everyone_reads_why_administrators_get_the_emails(app: Flask) -> None:
    make_user("admin")
    hook = make_webhook(owner_id=None)
    words = "No one owns this webhook, so administrators get its emails."
    for role in ("admin", "manager", "support"):
        pages = visit(app, role)
        assert words in card(pages.get(path_of(hook))), role


def test_the_search_finds_the_help_about_failure_emails(pages: Pages) -> None:
    for words in ("tell me when the ERP stops getting data", "email me when a webhook fails"):
        page = pages.get("/find", query_string={"q": words})
        assert page.links("Get an email when a webhook fails") == ["/help/emails#fails"], words
    assert pages.get("/help/emails").links("View webhooks") == ["/settings/webhooks"]


def edit(pages: Pages, hook: Hook, **values: Any) -> Page:
    path = f"{path_of(hook)}/edit"
    return pages.submit(pages.get(path).form(path), "Save webhook", **values)


def test_the_owner_is_the_maker_or_chosen_person_and_gets_emails(ana: Person, app: Flask) -> None:
    sam = make_user("support", name="Sam")
    pages = signed_in(app, ana)
    form = pages.get("/settings/webhooks/new").form("/settings/webhooks/new")
    assert form.fields["owner_id"] == [str(ana.public_id)]
    new = {"name": "ERP", "url": "https://erp.example.com/hook", "events": ["asset.created"]}
    pages.submit(form, "Save webhook", **new)
    assert {user for _, user in told()} == {ana.id}
    hook = make_webhook(owner_id=ana.id)
    watches.choose(sam.actor, hook.public_id, is_on=False)
    page = edit(pages, hook, owner_id=str(sam.public_id))
    assert page.tone == "success"
    assert (hook.id, sam.id) in told()
    assert (hook.id, ana.id) not in told()
    assert "Sam" in pages.get(f"{path_of(hook)}/history").main
    edit(pages, hook, name="Renamed")
    assert (hook.id, sam.id) in told()


def test_a_chosen_owner_is_kept_through_a_test_before_saving(ana: Person, app: Flask) -> None:
    sam, hook = make_user("support", name="Sam"), make_webhook(owner_id=ana.id)
    pages, path = signed_in(app, ana), f"{path_of(hook)}/edit"
    form = pages.get(path).form(path)
    tested = pages.submit(form, "Send test", owner_id=str(sam.public_id))
    back = pages.get(next(link for link in tested.links() if "/edit?draft=" in link))
    assert back.form(path).fields["owner_id"] == [str(sam.public_id)]
    assert told() == {(hook.id, ana.id)}
    pages.submit(back.form(path), "Save webhook")
    assert told() == {(hook.id, sam.id)}


def test_a_disabled_user_cannot_be_chosen_as_owner(ana: Person, app: Flask) -> None:
    sam = make_user("support", name="Sam")
    hook = make_webhook(owner_id=ana.id)
    pages, path = signed_in(app, ana), f"{path_of(hook)}/edit"
    form = pages.get(path).form(path)
    accounts.disable(ana.actor, sam.public_id)
    page = pages.submit(form, "Save webhook", owner_id=str(sam.public_id))
    assert page.status == 400
    assert (page.wrong, CANT_OWN in page.main) == (["owner_id"], True)
    assert told() == {(hook.id, ana.id)}


def test_a_user_disabled_during_saving_does_not_become_owner(ana: Person) -> None:
    sam = make_user("support")
    hook = make_webhook(owner_id=ana.id)
    accounts.disable(ana.actor, sam.public_id)
    values = replace(queries.stored_values(hook.public_id), owner=sam.public_id)
    with pytest.raises(Refusal, match=CANT_OWN) as refusal:
        crud.edit(ana.actor, hook.public_id, 1, values)
    assert refusal.value.field == "owner_id"
    assert told() == {(hook.id, ana.id)}


def test_a_webhook_with_a_disabled_owner_can_be_edited(ana: Person, app: Flask) -> None:
    hook = make_webhook(name="ERP", owner_id=make_user(name="Gone", is_active=False).id)
    pages = signed_in(app, ana)
    assert "No one who can sign in" in pages.get(path_of(hook)).main
    assert edit(pages, hook, name="ERP 2").tone == "success"
    entry = session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert entry is not None
    assert set(entry.changes) == {"name"}


def test_every_role_can_ask_for_emails(app: Flask) -> None:
    hook = make_webhook()
    for role in ("admin", "manager", "support"):
        assert TITLE in card(visit(app, role).get(path_of(hook)))
