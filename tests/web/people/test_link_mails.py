"""Emailing an invitation or a link for a new password instead of copying it."""

from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobs.mails import send_mails
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.mails import Mail
from portal.models.people import Link, Role, User
from portal.services.audit import TrailFilter, find_page
from portal.services.core.unit_of_work import session, writing
from portal.services.people import invitations, password_resets
from tests.support.factories import Person, make_user
from tests.support.mail_server import MailServer, set_up
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in

PEOPLE = "/settings/people"


def words(server: MailServer) -> list[str]:
    (message,) = server.messages
    return [str(message["To"]), str(message["Subject"]), " ".join(message.get_content().split())]


def link_in(server: MailServer) -> str:
    return next(word for word in words(server)[-1].split() if "token=" in word)


def press(pages: Pages, path: str) -> Page:
    return pages.submit(pages.get(path).form(f"{path}/send"))


def invite(by: Person) -> str:
    public_id = invitations.invite(by.actor, "cleo@example.com", Role.SUPPORT)
    return f"{PEOPLE}/invitations/{public_id}"


def test_an_invitation_is_emailed_with_a_link_that_works(app: Flask, server: MailServer) -> None:
    ana = make_user(name="Ana Roth")
    page = press(signed_in(app, ana), invite(ana))
    assert "We’re sending the link to cleo@example.com." in page.text
    kept = [str(value) for value in vars(session().scalars(select(Mail)).one()).values()]
    assert not any("token" in value for value in kept)
    send_mails()
    host = settings().base_url.partition("//")[2]
    to, subject, text = words(server)
    assert (to, subject) == ("cleo@example.com", f"You’re invited to the asset register at {host}")
    assert text.startswith(f"Ana Roth invited you to the asset register at {host} as Support.")
    link = link_in(server).removeprefix(settings().base_url)
    assert "cleo@example.com" in Pages(app).get(link).main
    actions = [entry.action for entry in find_page(TrailFilter(), None).rows]
    assert "person.invitation_emailed" in actions


def test_an_invitation_counts_as_emailed_until_its_link_is_renewed(
    app: Flask, server: MailServer
) -> None:
    ana = make_user()
    pages, path = signed_in(app, ana), invite(ana)
    assert "by email or share yourself" in pages.get(f"{PEOPLE}/invite").main

    def facts(page: Page) -> tuple[bool, bool]:
        (button,) = page.form(f"{path}/send").node.find_all("button")
        return (
            "this link by email" in page.main or "We emailed this link" in page.main,
            "btn-primary" in button.get("class"),
        )

    assert facts(pages.get(path)) == (False, True)
    press(pages, path)
    assert facts(pages.get(path)) == (True, False)
    page = pages.submit(pages.get(path).form(f"{path}/renew"))
    assert facts(page) == (False, True)


def test_a_new_password_link_is_emailed_in_the_persons_time_zone(
    app: Flask, server: MailServer
) -> None:
    ana, ben = make_user(), make_user(email="ben@example.com", time_zone="Asia/Tokyo")
    password_resets.offer(ana.actor, ben.public_id)
    press(signed_in(app, ana), f"{PEOPLE}/{ben.public_id}/new-password")
    send_mails()
    to, subject, text = words(server)
    assert (to, subject) == ("ben@example.com", "Choose a new password for the asset register")
    assert "(Asia/Tokyo)" in text
    assert Pages(app).get(link_in(server).removeprefix(settings().base_url)).status == 200


def test_a_link_that_ends_before_its_email_is_not_sent(app: Flask, server: MailServer) -> None:
    ana, ben, cora, dora = (make_user() for _ in range(4))
    for person, columns in ((ana, {"used_at": utcnow()}), (cora, {"token_hash": "another key’s"})):
        password_resets.offer(ben.actor, person.public_id)
        password_resets.send(ben.actor, person.public_id)
        with writing() as current:
            link = update(Link).where(Link.email == person.email)
            current.execute(link.values(columns))
    path = invite(dora)
    invitations.send(dora.actor, UUID(path.rpartition("/")[2]))
    with writing() as current:  # invitations by a disabled person are invalid
        current.execute(update(User).where(User.id == dora.id).values(is_active=False))
    send_mails()
    assert (server.messages, session().scalars(select(Mail)).all()) == ([], [])
    pages = signed_in(app, ben)
    assert "Send by email" not in pages.get(path).main


@pytest.mark.parametrize("is_trial", [False, True])
def test_a_page_calls_its_link_private_except_in_a_trial(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_trial: bool
) -> None:
    set_up(app, monkeypatch, local_trial=is_trial)
    ana, ben = make_user(), make_user()
    password_resets.offer(ana.actor, ben.public_id)
    pages = signed_in(app, ana)
    for path in (invite(ana), f"{PEOPLE}/{ben.public_id}/new-password"):
        assert ("No one else can see it" in pages.get(path).main) is not is_trial


def test_without_a_mail_server_a_link_can_only_be_copied(app: Flask) -> None:
    ana = make_user()
    pages, path = signed_in(app, ana), invite(ana)
    page = pages.get(path)
    assert "Send by email" not in page.main
    token = page.forms[-1].hidden
    answer = pages.client.post(f"{path}/send", data=token, follow_redirects=True)
    assert "Email isn’t set up. Copy the link instead." in answer.text
