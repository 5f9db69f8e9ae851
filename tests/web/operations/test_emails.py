"""A test email on System, and the emails of a local trial that has no mail server."""

import pytest
from flask import Flask
from sqlalchemy import func, select, update

from jobs.mails import send_mails
from portal.extensions import settings
from portal.models.mails import Mail
from portal.models.people import Role
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import mailbox, sample_mail
from tests.support.factories import make_user
from tests.support.mail_server import MailServer, set_up
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in, visit

SYSTEM = "/settings/system"
EMAILS = "/settings/email"


def press(pages: Pages) -> Page:
    form = pages.get(SYSTEM).form(f"{SYSTEM}/test-email")
    return pages.submit(form)


def test_without_a_mail_server_no_test_email_is_offered(app: Flask) -> None:
    pages = visit(app)
    page = pages.get(SYSTEM)
    assert "no mail server is set up" in page.main
    assert "Send a test email" not in page.main
    assert pages.get(EMAILS).status == 404
    assert "Email" not in [link.text for link in page.root.find_all("a")]


def test_a_test_email_reports_success_or_the_failed_step(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    person = make_user(email="ana@example.com")
    pages = signed_in(app, person)
    with MailServer() as server:
        set_up(app, monkeypatch, smtp_url=server.url)
        server.refused.add("ana@")
        page = press(pages)
        assert "Sending a test email to ana@example.com." in page.main
        assert "data-live-url" in page.html
        send_mails()
        page = pages.get(SYSTEM)
        assert "The mail server refused the recipient: “550 no such mailbox”." in page.main
        assert "data-live-url" not in page.html
        server.refused.clear()
        press(pages)
        assert pages.client.get(f"{SYSTEM}/test-email").get_json()["stop"] is False
        send_mails()
        answer = pages.client.get(f"{SYSTEM}/test-email").json
        assert answer is not None
        assert answer["stop"] is True
        assert "Test email sent to ana@example.com" in answer["html"]
    assert [str(message["To"]) for message in server.messages] == ["ana@example.com"]
    # Other administrators do not see it.
    assert "ana@example.com" not in visit(app).get(SYSTEM).main


def test_a_local_trial_shows_its_newest_50_emails(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(app, monkeypatch, local_trial=True)
    person = make_user(email="ana@example.com")
    pages = signed_in(app, person)
    assert "No emails yet" in pages.get(EMAILS).main
    for _ in range(mailbox.MOST + 1):
        sample_mail.start(person.actor)
        send_mails()
        with writing() as current:  # a new test email would replace this one
            current.execute(update(Mail).values(kind="earlier"))
    page = pages.get(EMAILS)
    assert session().scalar(select(func.count(Mail.id))) == mailbox.MOST
    assert "To ana@example.com" in page.main
    addresses = [link.get("href") for link in page.root.find_all("a")]
    assert f"{settings().base_url}{SYSTEM}" in addresses
    numbers = [mail.id for mail in mailbox.newest()]
    assert numbers == sorted(numbers, reverse=True)
    assert visit(app, Role.SUPPORT).get(EMAILS).status == 403


def test_kept_emails_are_deleted_once_there_is_a_mail_server(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_up(app, monkeypatch, local_trial=True)
    sample_mail.start(make_user().actor)
    send_mails()
    assert len(mailbox.newest()) == 1
    set_up(app, monkeypatch, smtp_url="smtp://127.0.0.1:9")
    assert mailbox.newest() == []
    send_mails()
    assert session().scalar(select(func.count(Mail.id))) == 0
