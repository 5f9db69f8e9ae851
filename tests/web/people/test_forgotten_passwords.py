"""*Forgot your password?* emails a link to account holders without revealing who has an account."""

import sys
from collections import Counter
from datetime import timedelta
from types import FrameType
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobs.mails import send_mails
from portal.extensions import db, settings
from portal.models.audit import ErasedKind
from portal.models.mails import Mail
from portal.models.people import Link, SignInThrottle, User
from portal.services.audit import TrailFilter, find_page
from portal.services.core.unit_of_work import session, writing
from portal.services.erasure import erase
from portal.services.mail import mailbox
from portal.services.people import forgotten_passwords, one_time_links, password_resets
from portal.services.people.sign_in import sign_in
from portal.services.people.sign_in_throttle import Throttled
from tests.support.database.rivals import meanwhile
from tests.support.database.statements import asked
from tests.support.factories import Person, make_user
from tests.support.mail_server import MailServer, set_up
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in

FORGOT = "/forgot-password"
NEW = "another long pass phrase"
NOBODY = "nobody@example.com"
HERE = "192.0.2.7"


def ask(app: Flask, email: str) -> Page:
    pages = Pages(app)
    return pages.submit(pages.get(FORGOT).form(), email=email)


def links_in(server: MailServer) -> list[str]:
    """Return the paths of the sent links."""
    words = " ".join(message.get_content() for message in server.messages).split()
    parts = [urlsplit(word) for word in words if "token=" in word]
    return [f"{part.path}?{part.query}" for part in parts]


def sent_link(server: MailServer, app: Flask, person: Person) -> str:
    ask(app, person.email)
    send_mails()
    return links_in(server)[-1]


def rows() -> list[Mail]:
    session().rollback()
    return list(session().scalars(select(Mail)))


def let_time_pass(by: timedelta) -> None:
    """Make links and throttle counts older. A token depends on the end of its link."""
    with writing() as current:
        for link in current.scalars(select(Link)):
            link.expires_at -= by
            link.token_hash = one_time_links.digest(one_time_links.token_of(link))
        for row in current.scalars(select(SignInThrottle)):
            row.first_failed_at -= by
            row.last_failed_at -= by
            if row.blocked_until:
                row.blocked_until -= by


def test_a_forgotten_password_is_replaced_through_a_one_time_link(
    app: Flask, server: MailServer
) -> None:
    ana = make_user(email="ana@example.com", time_zone="Asia/Tokyo")
    elsewhere, here = signed_in(app, ana), Pages(app)
    assert here.get("/sign-in").links("Forgot your password?") == [FORGOT]
    page = ask(app, " ANA@Example.com")
    assert "If there is an account with this address, a link is on its way." in page.text
    assert [(mail.address, mail.link_id) for mail in rows()] == [("ana@example.com", None)]
    send_mails()
    (message,) = server.messages
    assert (str(message["To"]), "(Asia/Tokyo)" in message.get_content()) == (ana.email, True)
    (link,) = links_in(server)
    assert here.submit(here.get(link).form(), password=NEW).path == "/"
    assert elsewhere.get("/account").h1 == "Sign in"
    assert sign_in(ana.email, NEW, None).user.id == ana.id
    dead = Pages(app).get(link)
    assert (dead.status, dead.links("Get a new link")) == (410, [FORGOT])
    assert "person.new_password_requested" in [
        entry.action for entry in find_page(TrailFilter(), None).rows
    ]


def test_a_link_works_for_an_hour(app: Flask, server: MailServer) -> None:
    link = sent_link(server, app, make_user())
    for minutes, status in ((59, 200), (1, 410)):
        let_time_pass(timedelta(minutes=minutes))
        link = one_time_links.address_of(session().scalars(select(Link)).one())
        assert Pages(app).get(link.removeprefix(settings().base_url)).status == status


def test_addresses_without_sign_in_get_the_same_page_but_no_email(
    app: Flask, server: MailServer
) -> None:
    disabled, erased, bare = make_user(is_active=False), make_user(), make_user(password_hash="")
    version = session().scalars(select(User.version).where(User.id == erased.id)).one()
    erase.erase(make_user().actor, ErasedKind.USER, erased.public_id, version, erased.email)
    known = ask(app, make_user().email).main
    send_mails()
    for email in (NOBODY, disabled.email, erased.email, bare.email):
        assert ask(app, email).main == known
        send_mails()
    assert len(server.messages) == 1
    assert rows() == []
    assert len(session().scalars(select(Link)).all()) == 1


def test_a_repeated_request_sends_the_same_link_and_ends_no_other(
    app: Flask, server: MailServer
) -> None:
    ana, ben = make_user(), make_user()
    password_resets.offer(ana.actor, ben.public_id)
    made = session().scalars(select(Link)).one()
    address, token_hash = one_time_links.address_of(made), made.token_hash
    first = sent_link(server, app, ben)
    assert sent_link(server, app, ben) == first
    assert f"{settings().base_url}{first}" != address
    hashes = session().scalars(select(Link.token_hash)).all()
    assert (len(hashes), token_hash in hashes) == (2, True)
    # Administrators see and send the link that they made.
    offer = password_resets.offered(ana.actor, ben.public_id)
    assert offer is not None
    assert offer.address == address
    password_resets.send(ana.actor, ben.public_id)
    send_mails()
    assert links_in(server)[-1] == address.removeprefix(settings().base_url)
    password_resets.offer_by_email(ana.actor, ben.email)
    assert Pages(app).get(first).status == 410


def test_a_link_made_with_another_secret_key_is_not_sent_again(
    app: Flask, server: MailServer
) -> None:
    ana = make_user()
    sent_link(server, app, ana)
    with writing() as current:
        current.execute(update(Link).values(token_hash="another key’s"))
    assert Pages(app).get(sent_link(server, app, ana)).status == 200


@pytest.mark.both_databases
def test_only_one_of_two_concurrent_jobs_makes_the_link(app: Flask, server: MailServer) -> None:
    ana = make_user()
    for _ in range(2):
        forgotten_passwords.ask(ana.email, HERE)
    first, second = (mail.id for mail in rows())

    def look(mail_id: int) -> None:
        current = session()
        forgotten_passwords.look(current, current.get_one(Mail, mail_id), ZoneInfo("UTC"))

    meanwhile(app, lambda: look(second), lambda _: look(first))
    assert len(session().scalars(select(Link)).all()) == 1


@pytest.mark.parametrize("is_known", [True, False])
def test_the_4th_request_for_one_address_within_an_hour_is_refused(
    app: Flask, server: MailServer, *, is_known: bool
) -> None:
    email = make_user().email if is_known else NOBODY
    for spelling in (email, email.upper(), f" {email}"):
        assert ask(app, spelling).status == 200
    page = ask(app, email)
    assert (page.status, page.h1) == (429, "Forgot your password?")
    assert 3500 < int(page.response.headers["Retry-After"]) <= 3600
    assert len(rows()) == 3
    assert ask(app, "other@example.com").status == 200
    let_time_pass(timedelta(minutes=61))
    assert ask(app, email).status == 200


def test_the_21st_request_from_one_network_within_an_hour_is_refused(server: MailServer) -> None:
    for number in range(20):
        forgotten_passwords.ask(f"person{number}@example.com", HERE)
    with pytest.raises(Throttled):
        forgotten_passwords.ask(NOBODY, HERE)
    forgotten_passwords.ask(NOBODY, "198.51.100.9")


def test_known_and_unknown_addresses_cost_the_same_calls_and_statements(
    app: Flask, server: MailServer
) -> None:
    known = make_user().email
    unknown = f"x{known[1:]}"

    def work(email: str) -> tuple[Counter[str], Counter[str]]:
        calls = Counter[str]()

        def note(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and "/portal/" in frame.f_code.co_filename:
                calls[frame.f_code.co_qualname] += 1

        pages = Pages(app)
        form = pages.get(FORGOT).form()
        with asked(db.engine) as statements:
            sys.setprofile(note)
            try:
                pages.submit(form, email=email)
            finally:
                sys.setprofile(None)
        return calls, Counter(statements)  # the order of two rows depends on their hashes

    work("first@example.com")
    done = work(known)
    assert done[0]["ask"] > 0
    assert any("INSERT INTO mails" in statement for statement in done[1])
    assert work(unknown) == done


@pytest.mark.parametrize("email", ["", "ana", "a@example.com\r\nBcc: e@example.com"])
def test_an_invalid_address_is_refused_at_its_field(
    app: Flask, server: MailServer, email: str
) -> None:
    page = ask(app, email)
    assert (page.status, page.wrong, rows()) == (400, ["email"], [])


def test_an_erasure_deletes_requests_and_their_counts(app: Flask, server: MailServer) -> None:
    ana, ben = make_user(), make_user()
    for _ in range(3):
        forgotten_passwords.ask(ben.email, HERE)
    version = session().scalars(select(User.version).where(User.id == ben.id)).one()
    erase.erase(ana.actor, ErasedKind.USER, ben.public_id, version, ben.email)
    assert rows() == []
    forgotten_passwords.ask(ben.email, HERE)


def test_without_a_mail_server_sign_in_names_the_command_for_a_link(
    app: Flask,
) -> None:
    make_user()
    pages = Pages(app)
    page = pages.get("/sign-in")
    assert f"{settings().command_name} new-password YOUR-EMAIL" in page.text
    assert page.links("Forgot your password?") == []
    token = page.form().hidden
    assert pages.client.post(FORGOT, data={**token, "email": NOBODY}).status_code == 404
    assert [pages.get(path).status for path in (FORGOT, f"{FORGOT}/sent")] == [404, 404]


def test_a_local_trial_prints_the_link_and_shows_its_email(
    app: Flask, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    set_up(app, monkeypatch, local_trial=True)
    ana = make_user()
    assert "The link is in the terminal" in ask(app, ana.email).text
    send_mails()
    address = one_time_links.address_of(session().scalars(select(Link)).one())
    assert f"{ana.email} can choose a new password: {address}" in capfd.readouterr().out
    assert [address in mail.text for mail in mailbox.newest()] == [True]
