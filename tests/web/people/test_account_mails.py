"""Emails that tell people about changes to their account, in case it wasn't them."""

from datetime import timedelta
from uuid import uuid4

import pytest
from flask import Flask

from jobs.mails import send_mails
from portal.lib.clock import frozen, utcnow
from portal.services.people import accounts, password_resets
from portal.services.people.sign_in import WrongPassword, sign_in
from tests.support.factories import Person, make_user
from tests.support.mail_server import MailServer
from tests.support.pages import Pages

NEW = "another long pass phrase"
CHANGED = "Your password for the asset register was changed"
BROWSER = "New sign-in to the asset register"


@pytest.fixture
def ana() -> Person:
    return make_user(email="ana@example.com", time_zone="Asia/Tokyo")


def told(server: MailServer) -> list[tuple[str, str]]:
    """Send all emails, check their time zone, and return the recipient and subject of each."""
    send_mails()
    assert all("(Asia/Tokyo)" in message.get_content() for message in server.messages)
    return [(str(message["To"]), str(message["Subject"])) for message in server.messages]


def test_a_changed_password_is_reported_by_email(server: MailServer, ana: Person) -> None:
    accounts.change_password(ana.actor, ana.password, NEW)
    assert told(server) == [(ana.email, CHANGED)]


def test_a_password_chosen_through_a_link_is_reported_by_email(
    server: MailServer, ana: Person
) -> None:
    token = password_resets.offer_by_email(make_user().actor, ana.email).partition("token=")[2]
    password_resets.use(token, uuid4(), NEW)
    assert told(server) == [(ana.email, CHANGED)]


def test_a_new_browser_is_reported_once_and_a_wrong_password_never(
    app: Flask, server: MailServer, ana: Person
) -> None:
    with pytest.raises(WrongPassword):
        sign_in(ana.email, "not the pass phrase", None)
    browser = Pages(app)
    for _ in range(2):
        browser.sign_in(ana.email, ana.password)
        browser.sign_out()
    assert told(server) == [(ana.email, BROWSER)]
    assert "from a new browser on " in server.messages[0].get_content()  # it has signed out


def test_the_email_names_the_new_browser(server: MailServer, ana: Person) -> None:
    devices = ("Firefox on Windows", "Unknown browser", "Safari on iPhone")
    for minutes, device in enumerate(devices, start=-5):
        with frozen(utcnow() + timedelta(minutes=minutes)):
            sign_in(ana.email, ana.password, None, device=device)
    told(server)
    texts = [message.get_content() for message in server.messages]
    expected = (
        "browser (Firefox on Windows) on ",
        "new browser on ",
        "browser (Safari on iPhone) on ",
    )
    assert [words in text for words, text in zip(expected, texts, strict=True)] == [True] * 3
