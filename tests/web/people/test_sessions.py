"""Sessions as seen in a browser: where a person is signed in, and how each session ends."""

from datetime import timedelta
from uuid import uuid4

import time_machine
from flask import Flask
from sqlalchemy import event, select, update

from portal.app import create_app
from portal.config.settings import load_settings
from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.people import Role, User, UserSession
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts, invitations
from tests.conftest import ENVIRONMENT
from tests.support.factories import PASSWORD, make_user
from tests.support.pages import Pages
from tests.web.people.test_auth import cookie, is_in, with_cookie
from tests.web.signed_in import signed_in, visit

HOUR = timedelta(hours=1)


def rows() -> list[UserSession]:
    session().rollback()
    return list(session().scalars(select(UserSession)))


def test_a_session_ends_after_12_hours_without_a_request(app: Flask) -> None:
    copy = cookie(visit(app))
    for hours, still in ((11.9, True), (12.1, False)):
        with time_machine.travel(utcnow() + hours * HOUR):
            assert is_in(with_cookie(app, copy)) is still


def test_a_cookie_from_a_clock_a_minute_ahead_is_valid(app: Flask) -> None:
    for ahead, still in ((59, True), (62, False), (11 * 3600, False)):
        with time_machine.travel(utcnow() + timedelta(seconds=ahead)):
            copy = cookie(visit(app))
        assert is_in(with_cookie(app, copy)) is still, ahead


def test_sessions_end_as_the_settings_say(app: Flask) -> None:
    shared = app.extensions["settings"]
    places = {"DATABASE_URL": shared.database_url, "INSTANCE_DIR": str(shared.instance_dir)}
    environment = {"SESSION_IDLE_MINUTES": "30", "SESSION_DAYS": "2"}
    other = create_app(load_settings({**ENVIRONMENT, **places, **environment}))
    browser, begun = visit(other), utcnow()
    copy = cookie(browser)
    with time_machine.travel(begun + timedelta(minutes=31)):
        assert not is_in(with_cookie(other, copy))
    with writing() as current:
        current.execute(update(UserSession).values(created_at=begun - timedelta(hours=49)))
    assert not is_in(with_cookie(other, copy))
    with other.app_context():
        db.engine.dispose()


def test_a_cookie_without_a_session_row_is_refused(
    app: Flask,
) -> None:
    ana = make_user()
    for kept in (f"{ana.public_id}:1:{uuid4()}", str(uuid4()), str(ana.public_id), "", "1"):
        pages = Pages(app)
        with pages.client.session_transaction() as stored:
            stored["_user_id"] = kept
            stored["_fresh"] = True
        assert not is_in(pages)


def test_a_disabled_person_is_signed_out_at_the_next_request(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    browser = signed_in(app, ben)
    assert is_in(browser)
    accounts.disable(ana.actor, ben.public_id)
    assert not is_in(browser)
    accounts.enable(ana.actor, ben.public_id)
    assert not is_in(browser)
    # A session row that was left behind does not let a disabled person in.
    browser = signed_in(app, ben)
    with writing() as current:
        current.execute(update(User).where(User.id == ben.id).values(is_active=False))
    assert not is_in(browser)


def test_the_account_lists_the_persons_sessions_and_can_end_one(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    here = signed_in(app, ana, "Firefox on Linux")
    phone = signed_in(app, ana, "Safari on iPhone")
    signed_in(app, ben, "Opera on Windows")
    page = here.get("/account")
    assert [row[0] for row in page.rows()] == [
        "Firefox on Linux (this browser)",
        "Safari on iPhone",
    ]
    assert page.rows()[1][2] == "Today"
    (form,) = [form for form in page.forms if form.action.endswith("/end")]
    page = here.submit(form)
    assert len(page.rows()) == 1
    assert not is_in(phone)
    assert is_in(here)
    assert len(rows()) == 2, "somebody else's stays"


def test_joining_in_the_browser_of_another_person_ends_their_session(app: Flask) -> None:
    ana = make_user()
    browser = signed_in(app, ana)
    copy = cookie(browser)
    link = invitations.invitation_link(ana.actor, "cleo@example.com", Role.SUPPORT)
    form = browser.get(f"/invitation?token={link.partition('token=')[2]}").form()
    assert browser.submit(form, name="Cleo", password=PASSWORD).path == "/"
    assert not is_in(with_cookie(app, copy))
    (row,) = rows()
    assert row.user_id != ana.id


def test_a_new_password_also_ends_the_earlier_session_of_this_browser(app: Flask) -> None:
    ana = make_user()
    here = signed_in(app, ana)
    copy = cookie(here)
    form = here.get("/account").form("/account/password")
    here.submit(form, current_password=ana.password, password="another long phrase")
    assert is_in(here)
    assert not is_in(with_cookie(app, copy))
    assert len(rows()) == 1


def test_a_request_reads_user_and_session_in_one_query_without_writes(
    app: Flask,
) -> None:
    browser, asked = visit(app, "support"), list[str]()
    with writing() as current:
        current.execute(update(UserSession).values(last_seen_on=utcnow() - timedelta(days=1)))

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(" ".join(statement.split()))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        assert browser.get("/help").status == 200
    finally:
        event.remove(db.engine, "before_cursor_execute", note)
    queries = [
        statement for statement in asked if "sessions" in statement or "FROM users" in statement
    ]
    assert len(queries) == 1, queries
    assert [
        statement for statement in asked if statement.startswith(("INSERT", "UPDATE", "DELETE"))
    ] == []


def test_on_https_the_session_cookie_is_bound_to_this_host(app: Flask) -> None:
    shared = app.extensions["settings"]
    places = {"DATABASE_URL": shared.database_url, "INSTANCE_DIR": str(shared.instance_dir)}
    address = "https://assets.example.com"
    other = create_app(load_settings({**ENVIRONMENT, **places, "BASE_URL": address}))
    answer = other.test_client().get("/sign-in", base_url=address)
    (sent,) = answer.headers.getlist("Set-Cookie")
    assert sent.startswith("__Host-session=")
    parts = {part.strip().lower() for part in sent.split(";")[1:]}
    assert {"secure", "httponly", "path=/", "samesite=lax"} <= parts
    assert not any(part.startswith("domain") for part in parts)
    (plain,) = app.test_client().get("/sign-in").headers.getlist("Set-Cookie")
    assert plain.startswith("session=")
    with other.app_context():
        db.engine.dispose()
