"""Passwords, the sign-in throttle, and the audit trail of sign-ins."""

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.audit import AuditEntry
from portal.models.people import SignInThrottle, User
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts, passwords, sign_in_throttle
from portal.services.people.accounts import Details
from portal.services.people.sign_in import WrongPassword, sign_in
from portal.services.people.sign_in_throttle import Throttled
from tests.support.factories import PASSWORD, cheap_hash, make_user
from tests.support.pages import Pages

HERE = "192.0.2.7"


def fail(email: str, times: int, address: str = HERE) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            sign_in(email, "not the pass phrase", address)


def failed_everywhere(email: str, times: int) -> None:
    """Store this many recent failures for the account, each from another network."""
    key = sign_in_throttle.for_account(email)
    sign_in_throttle.count([key])
    with writing() as current:
        counted = update(SignInThrottle).where(SignInThrottle.key == key.digest)
        current.execute(counted.values(failures=times))


def let_time_pass(**length: float) -> None:
    """Age everything that the throttle remembers."""
    with writing() as current:
        for row in current.execute(select(SignInThrottle)).scalars():
            row.first_failed_at -= timedelta(**length)
            row.last_failed_at -= timedelta(**length)
            if row.blocked_until:
                row.blocked_until -= timedelta(**length)


def test_the_right_password_signs_in_with_any_spelling_of_the_address(app: Flask) -> None:
    ana = make_user(email="ana@example.com")
    assert sign_in("  Ana@Example.COM", ana.password, HERE).user.id == ana.id


def test_wrong_password_unknown_address_and_disabled_user_look_the_same(app: Flask) -> None:
    ana, ben = make_user(), make_user(is_active=False)
    sentences = set()
    for email, password in ((ana.email, "wrong"), ("nobody@example.com", "wrong"),
                            (ben.email, ben.password)):  # fmt: skip
        with pytest.raises(WrongPassword) as refusal:
            sign_in(email, password, HERE)
        sentences.add(refusal.value.sentence)
    assert len(sentences) == 1


def test_a_known_or_unknown_account_waits_after_five_failures_of_a_network(
    app: Flask,
) -> None:
    for known in (True, False):
        email = make_user().email if known else "nobody@example.com"
        for spelling in (email, email.upper(), f" {email}", email.title(), email.capitalize()):
            fail(spelling, 1)
        with pytest.raises(Throttled, match=r"Wait (30|29) seconds, then try again") as refusal:
            sign_in(email, PASSWORD, HERE)
        assert refusal.value.status == 429, known
        fail(email, 1, "198.51.100.9")


def test_an_account_waits_everywhere_after_a_hundred_failures_in_an_hour(
    app: Flask,
) -> None:
    for known in (True, False):
        email = make_user().email if known else "nobody@example.com"
        failed_everywhere(email, 98)
        for number in (1, 2):
            fail(email, 1, f"203.0.113.{number}")
        with pytest.raises(Throttled, match=r"Wait (15|14) minutes, then try again"):
            sign_in(email, PASSWORD, HERE)
        let_time_pass(minutes=16)
        fail(email, 1)
        with pytest.raises(Throttled, match=r"Wait (15|14) minutes"):
            sign_in(email, PASSWORD, "198.51.100.9")
        let_time_pass(minutes=45)
        fail(email, 2)


def test_a_success_removes_no_failures_of_other_networks(app: Flask) -> None:
    ana = make_user()
    failed_everywhere(ana.email, 98)
    for _ in range(2):
        for _ in range(3):
            sign_in(ana.email, ana.password, HERE)
        fail(ana.email, 1, "203.0.113.1")
    with pytest.raises(Throttled):
        sign_in(ana.email, ana.password, HERE)


def test_a_network_that_tries_many_accounts_waits(app: Flask) -> None:
    ana = make_user()
    for number in range(20):
        fail(f"person{number}@example.com", 1)
    with pytest.raises(Throttled):
        sign_in(ana.email, ana.password, HERE)
    assert sign_in(ana.email, ana.password, "198.51.100.9").user.id == ana.id


def test_ones_own_sign_in_does_not_reset_the_failures_of_a_network(app: Flask) -> None:
    ana = make_user()
    for number in range(19):
        fail(f"person{number}@example.com", 1)
    sign_in(ana.email, ana.password, HERE)
    fail("one.more@example.com", 1)
    with pytest.raises(Throttled):
        sign_in("another@example.com", "x", HERE)


@pytest.mark.usefixtures("usual_hashing")
def test_an_outdated_hash_is_renewed_only_for_the_user_who_signs_in(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    old = cheap_hash(PASSWORD)
    with writing() as current:
        current.execute(update(User).values(password_hash=old))
    sign_in(ana.email, PASSWORD, HERE)
    new = session().get_one(User, ana.id).password_hash
    assert not passwords.is_outdated(new)
    assert passwords.matches(PASSWORD, new)
    assert session().get_one(User, ben.id).password_hash == old


def test_equivalent_unicode_spellings_are_the_same_password() -> None:
    assert passwords.matches("cafe\u0301 au lait", passwords.hashed("caf\u00e9 au lait"))


def test_a_new_password_needs_the_old_one_and_is_audited(app: Flask) -> None:
    ana = make_user()
    with pytest.raises(Refusal, match="This one is wrong") as refusal:
        accounts.change_password(ana.actor, "wrong", "another long phrase")
    assert refusal.value.field == "current_password"
    accounts.change_password(ana.actor, ana.password, "another long phrase")
    entry = session().execute(select(AuditEntry)).scalar_one()
    assert entry.action == "person.password_changed"
    assert "phrase" not in str(entry.changes)
    assert sign_in(ana.email, "another long phrase", HERE).user.id == ana.id


@pytest.mark.both_databases
def test_guesses_at_the_current_password_are_throttled(app: Flask) -> None:
    ana = make_user()
    for _ in range(5):
        with pytest.raises(Refusal, match="This one is wrong"):
            accounts.change_password(ana.actor, "wrong", "another long phrase")
    with pytest.raises(Throttled):
        accounts.change_password(ana.actor, ana.password, "another long phrase")


def test_changes_of_name_and_time_zone_are_saved_and_audited(app: Flask) -> None:
    ana = make_user(name="Ana")
    assert accounts.change_details(ana.actor, Details("Ana B.", "Asia/Tokyo"))
    assert not accounts.change_details(ana.actor, Details("Ana B.", "Asia/Tokyo"))
    assert accounts.own_details(ana.actor) == Details("Ana B.", "Asia/Tokyo")
    entry = session().execute(select(AuditEntry)).scalar_one()
    assert entry.changes["time_zone"] == {"from": None, "to": "Asia/Tokyo"}
    with pytest.raises(Refusal, match="from the list"):
        accounts.change_details(ana.actor, Details("Ana", "Mars/Olympus"))


def trail() -> list[tuple[str, str, str]]:
    """Return (actor, action, target) of every entry about signing in, oldest first."""
    rows = session().scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    entries = [(row.actor_name, row.action, row.target_name) for row in rows]
    return [entry for entry in entries if "sign" in entry[1]]


def last_changes() -> dict[str, object]:
    row = session().scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert row
    return {name: change["to"] for name, change in row.changes.items()}


def test_signing_in_and_out_is_audited(app: Flask) -> None:
    ana = make_user(name="Ana")
    pages = Pages(app)
    pages.sign_in(ana.email, ana.password)
    assert last_changes() == {"network_address": "127.0.0.1", "new_browser": True}
    pages.submit(pages.get("/account").form("/sign-out"))
    assert trail() == [("Ana", "person.signed_in", "Ana"), ("Ana", "person.signed_out", "Ana")]


def test_a_sign_in_after_wrong_tries_records_their_number(app: Flask) -> None:
    ana = make_user(name="Ana")
    fail(ana.email, 3)
    assert trail() == []
    sign_in(ana.email, ana.password, HERE)
    expected = {"network_address": HERE, "wrong_tries_before": 3, "new_browser": True}
    assert last_changes() == expected


def test_guesses_from_many_networks_are_audited_once(app: Flask) -> None:
    ana = make_user(name="Ana")
    failed_everywhere(ana.email, 99)
    fail(ana.email, 1)
    let_time_pass(minutes=16)
    fail(ana.email, 1)
    assert trail() == [("Someone not signed in", "person.sign_in_slowed_down", "Ana")]
    assert last_changes() == {"tries": 100, "network_address": HERE}


def test_continued_wrong_tries_are_audited_once(app: Flask) -> None:
    ana = make_user(name="Ana")
    fail(ana.email, 5)
    for _ in range(3):
        let_time_pass(minutes=20)
        fail(ana.email, 1)
    assert trail() == [("Someone not signed in", "person.sign_in_slowed_down", "Ana")]
    assert last_changes() == {"tries": 5, "network_address": HERE}


def test_typed_addresses_without_an_account_are_not_stored(app: Flask) -> None:
    for number in range(4):
        fail(f"my-password-{number}", 5)
    assert trail() == [("Someone not signed in", "address.sign_in_slowed_down", HERE)]
