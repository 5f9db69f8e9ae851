"""A lost password: an administrator makes a link, and the person chooses a new one there."""

from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.people import Role
from portal.services.core.unit_of_work import session
from portal.services.people import password_resets
from portal.services.people.sign_in import WrongPassword, sign_in
from tests.support.factories import Person, make_user
from tests.support.pages import Pages
from tests.web.people.test_people_pages import link_on

NEW = "another long pass phrase"


def enter(app: Flask, person: Person) -> Pages:
    pages = Pages(app)
    pages.sign_in(person.email, person.password)
    return pages


def link_for(by: Person, whom: Person) -> str:
    password_resets.offer(by.actor, whom.public_id)
    offer = password_resets.offered(by.actor, whom.public_id)
    assert offer
    assert offer.address
    return offer.address.partition("token=")[2]


def test_a_new_password_signs_the_person_out_everywhere_else(app: Flask) -> None:
    cleo = make_user(Role.SUPPORT, name="Cleo")
    elsewhere = enter(app, cleo)
    ana = enter(app, make_user(name="Ana"))
    page = ana.get(f"/settings/people/{cleo.public_id}/new-password")
    page = ana.submit(page.form(f"/settings/people/{cleo.public_id}/new-password"))
    here = Pages(app)
    door = here.get(link_on(page))
    assert cleo.email in door.main
    assert elsewhere.get("/deliveries").status == 200, "looking at the link changes nothing"
    assert here.submit(door.form(), password=NEW).path == "/"
    assert here.get("/deliveries").status == 200
    assert elsewhere.get("/deliveries", follow=False).status == 302
    assert here.get(link_on(page)).status == 410
    assert sign_in(cleo.email, NEW, None).user.id == cleo.id
    with pytest.raises(WrongPassword):
        sign_in(cleo.email, cleo.password, None)


def test_a_new_password_sent_twice_is_saved_once(app: Flask) -> None:
    cleo, here = make_user(), Pages(app)
    form = here.get(f"/new-password?token={link_for(make_user(), cleo)}").form()
    # A browser that sends the form twice has the same cookie both times.
    kept = here.client.get_cookie("session")
    assert kept
    assert here.submit(form, password=NEW).path == "/"
    for password in (NEW, "one more pass phrase"):
        again = Pages(app)
        again.client.set_cookie("session", kept.value)
        assert again.submit(form, password=password).path == "/sign-in"
        assert again.get("/account").h1 == "Sign in"
    changed = select(AuditEntry).where(AuditEntry.action == "person.password_changed")
    assert len(session().scalars(changed).all()) == 1


def test_the_last_administrator_gets_a_link_from_the_command_line(app: Flask) -> None:
    ana = make_user()
    answer = app.test_cli_runner().invoke(args=["new-password", ana.email.upper()])
    assert answer.exit_code == 0, answer.output
    parts = urlsplit(answer.stdout.strip())
    here = Pages(app)
    door = here.get(f"{parts.path}?{parts.query}")
    assert here.submit(door.form(), password=NEW).path == "/"
    nobody = app.test_cli_runner().invoke(args=["new-password", "nobody@example.com"])
    assert nobody.exit_code == 1
