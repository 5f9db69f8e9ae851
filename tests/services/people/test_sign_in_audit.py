"""What the audit trail tells of signing in and out: who, from where, and who was being guessed."""

from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.services.core.unit_of_work import session
from portal.services.people.sign_in import sign_in
from tests.services.people.test_people_sign_in import HERE, fail, failed_everywhere, let_time_pass
from tests.support.factories import make_user
from tests.support.pages import Pages


def trail() -> list[tuple[str, str, str]]:
    """(who, action, to whom) of everything about signing in, the oldest first."""
    rows = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    told = [(row.actor_name, row.action, row.target_name) for row in rows]
    return [each for each in told if "sign" in each[1]]


def last_changes() -> dict[str, object]:
    row = session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert row
    return {name: change["to"] for name, change in row.changes.items()}


def test_signing_in_and_out_is_on_record(app: Flask) -> None:
    ana = make_user(name="Ana")
    pages = Pages(app)
    pages.sign_in(ana.email, ana.password)
    assert last_changes() == {"network_address": "127.0.0.1", "new_browser": True}
    pages.submit(pages.get("/account").form("/sign-out"))
    assert trail() == [("Ana", "person.signed_in", "Ana"), ("Ana", "person.signed_out", "Ana")]


def test_somebody_who_gets_in_after_wrong_tries_stands_out(app: Flask) -> None:
    ana = make_user(name="Ana")
    fail(ana.email, 3)
    assert trail() == []
    sign_in(ana.email, ana.password, HERE)
    told = {"network_address": HERE, "wrong_tries_before": 3, "new_browser": True}
    assert last_changes() == told


def test_an_account_that_is_guessed_at_from_many_networks_is_told_once(app: Flask) -> None:
    ana = make_user(name="Ana")
    failed_everywhere(ana.email, 99)
    fail(ana.email, 1)
    let_time_pass(minutes=16)
    fail(ana.email, 1)
    assert trail() == [("Someone not signed in", "person.sign_in_slowed_down", "Ana")]
    assert last_changes() == {"tries": 100, "network_address": HERE}


def test_many_wrong_tries_are_one_line_however_long_they_go_on(app: Flask) -> None:
    ana = make_user(name="Ana")
    fail(ana.email, 5)
    for _ in range(3):
        let_time_pass(minutes=20)
        fail(ana.email, 1)
    assert trail() == [("Someone not signed in", "person.sign_in_slowed_down", "Ana")]
    assert last_changes() == {"tries": 5, "network_address": HERE}


def test_what_is_typed_where_nobody_has_an_account_is_not_kept(app: Flask) -> None:
    for number in range(4):
        fail(f"my-password-{number}", 5)
    assert trail() == [("Someone not signed in", "address.sign_in_slowed_down", HERE)]
