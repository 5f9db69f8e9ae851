"""Taking a failing webhook, which shows everyone the person who is looking into it."""

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.mails import Mail
from portal.models.people import Role, User
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import outgoing
from portal.services.mail_kinds import KINDS
from portal.services.webhooks import takes
from tests.support.deliveries import change, make_delivery
from tests.support.factories import Hook, Person, make_user, make_webhook
from tests.support.mail_server import MailServer, set_up
from tests.support.pages import Page, Pages
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


def hand_over(pages: Pages, hook: Hook) -> Page:
    return pages.get(f"/settings/webhooks/{hook.public_id}/hand-over?back=/")


def give(pages: Pages, page: Page, person: Person) -> Page:
    return pages.submit(page.form(), to=str(person.public_id))


def mailed() -> list[tuple[str, int | None]]:
    return [(mail.kind, mail.user_id) for mail in session().scalars(select(Mail))]


def test_a_colleague_gets_a_taken_webhook_and_an_email(
    app: Flask, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoe, sam = make_user("support", name="Zoe"), visit(app, "support", name="Sam")
    make_user("manager", name="Max"), make_user("support", name="Old", is_active=False)
    take(sam, hook)
    with MailServer() as server:
        set_up(app, monkeypatch, smtp_url=server.url)
        page = sam.follow("Hand over Finance")
        offered = [node.text for node in page.root.find_all("option")]
        assert offered == ["Choose…", "Zoe"], "only others who can retry deliveries"
        assert sam.submit(page.form()).wrong == ["to"]
        page = give(sam, page, zoe)
        assert page.flashes == [("success", "Zoe has “Finance” now. We’ll email Zoe.")]
        assert "Zoe, " in taken(sam)
        assert mailed() == [(takes.MAIL, zoe.id)]
        outgoing.send_due(KINDS)
        (message,) = server.messages
    assert message["Subject"] == "Sam handed over Finance to you"
    assert "Cause: Server error (500)." in message.get_content()
    history = sam.get(f"/settings/webhooks/{hook.public_id}/history").main
    assert "Sam handed over this webhook" in history
    assert "Taken by: Sam → Zoe" in history


def test_without_a_mail_server_the_page_asks_to_tell_the_colleague(app: Flask, hook: Hook) -> None:
    zoe, sam = make_user("support", name="Zoe"), visit(app, "support", name="Sam")
    take(sam, hook)
    page = give(sam, hand_over(sam, hook), zoe)
    assert page.flashes == [("success", "Zoe has “Finance” now. Email isn’t set up, so tell Zoe.")]
    assert mailed() == []


def test_of_two_hand_overs_the_second_is_refused(app: Flask, hook: Hook) -> None:
    zoe, max_ = make_user("support", name="Zoe"), make_user("support", name="Max")
    sam = visit(app, "support", name="Sam")
    take(sam, hook)
    both = hand_over(sam, hook), hand_over(sam, hook)
    give(sam, both[0], zoe)
    page = give(sam, both[1], max_)
    assert page.status == 400
    assert "Zoe has taken this webhook." in page.main
    assert "Zoe" in taken(sam)


def test_a_colleague_disabled_in_the_meantime_gets_no_webhook(app: Flask, hook: Hook) -> None:
    zoe, sam = make_user("support", name="Zoe"), visit(app, "support", name="Sam")
    make_user("support", name="Max")
    take(sam, hook)
    page = hand_over(sam, hook)
    with writing() as current:
        current.execute(update(User).where(User.id == zoe.id).values(is_active=False))
    page = give(sam, page, zoe)
    assert page.wrong == ["to"]
    refused = "Choose someone else. Zoe can no longer sign in or retry deliveries"
    assert refused in page.main
    assert "Sam" in taken(sam)


def test_a_webhook_that_no_one_has_taken_is_not_handed_over(app: Flask, hook: Hook) -> None:
    zoe, sam = make_user("support", name="Zoe"), visit(app, "support", name="Sam")
    assert hand_over(sam, hook).flashes == [("info", takes.IS_FREE)]
    take(sam, hook)
    page = hand_over(sam, hook)
    sam.submit(sam.get("/").form(f"/settings/webhooks/{hook.public_id}/release"))
    assert give(sam, page, zoe).flashes == [("info", takes.IS_FREE)]
    assert taken(sam) == "Take “Finance”"


@pytest.mark.parametrize("then", ["released", "recovered"])
def test_an_email_about_a_hand_over_that_is_over_is_not_sent(
    app: Flask, monkeypatch: pytest.MonkeyPatch, then: str
) -> None:
    hook = make_webhook(name="Finance")
    failed = make_delivery(hook, status="failed", reason="server", code=500)
    zoe, sam = make_user("support", name="Zoe"), visit(app, "support", name="Sam")
    take(sam, hook)
    with MailServer() as server:
        set_up(app, monkeypatch, smtp_url=server.url)
        give(sam, hand_over(sam, hook), zoe)
        if then == "released":
            takes.release(zoe.actor, hook.public_id)
        else:
            change(failed, status="delivered", failing_since=None)
        outgoing.send_due(KINDS)
        assert server.messages == []
    assert mailed() == []
