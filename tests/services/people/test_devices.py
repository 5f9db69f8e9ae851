"""A browser that somebody signed in from is known by its cookie, and nothing else makes it so."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import frozen, utcnow
from portal.models.audit import AuditEntry
from portal.models.people import User
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts, password_resets, sessions, sign_in_throttle
from portal.services.people.sign_in import WrongPassword, sign_in
from portal.services.people.sign_in_throttle import Throttled
from tests.services.people.test_people_sign_in import HERE, fail, failed_everywhere, let_time_pass
from tests.support.factories import Person, make_user

ELSEWHERE, STRANGER = "198.51.100.9", "203.0.113.66"
NEW = "another long phrase"


def row(person: Person) -> User:
    session().rollback()
    return session().get_one(User, person.id)


def is_known(cookie: str, person: Person) -> bool:
    return sessions.recognized(cookie, row(person)) is not None


def entries(cookie: str) -> list[str]:
    return cookie.split("-") if cookie else []


def guess(person: Person, cookie: str, times: int, address: str = STRANGER) -> None:
    for _ in range(times):
        with pytest.raises(WrongPassword):
            sign_in(person.email, "not the pass phrase", address, cookie)


def test_it_is_known_as_the_browser_of_whom_it_was_given_to(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    cookie = sessions.with_new("", row(ana))
    assert is_known(cookie, ana)
    assert not is_known(cookie, ben)
    cookie = sessions.with_new(cookie, row(ben))
    assert is_known(cookie, ana)
    assert is_known(cookie, ben)


def test_it_holds_the_last_five_people_each_once(app: Flask) -> None:
    people = [make_user() for _ in range(6)]
    cookie = ""
    for person in [*people, people[-1], people[2]]:
        cookie = sessions.with_new(cookie, row(person))
    assert len(entries(cookie)) == 5
    assert len(cookie) < 1000
    assert [is_known(cookie, person) for person in people] == [False, *[True] * 5]


def test_what_was_tampered_with_is_passed_over(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    good = sessions.with_new("", row(ana))
    owner, device, mac = good.split(".")
    other_mac = sessions.with_new("", row(ana)).split(".")[2]
    bad = [
        f"{row(ben).public_id.hex}.{device}.{mac}",
        f"{owner}.{uuid4().hex}.{mac}",
        f"{owner}.{device}.{other_mac}",
        f"{owner}.{device}.{mac[:-1]}",
        f"{owner}.{device}.{mac}0",
        f"{owner}.{device}",
        good.upper(),
        good.replace(".", "-"),
        f" {good}",
        "é" * 50,
        "\0",
        "-" * 600,
        "a.b.c",
        "",
    ]
    for cookie in bad:
        assert not is_known(cookie, ana), cookie
        assert not is_known(cookie, ben), cookie
        assert is_known(sessions.with_new(cookie, row(ana)), ana), cookie
    assert is_known("-".join(["a.b.c", "", good]), ana), "nothing else in it does any harm"


def test_after_half_a_year_it_is_a_new_one(app: Flask) -> None:
    ana, now = make_user(), utcnow()
    cookie = sessions.with_new("", row(ana))
    made = sessions.recognized(cookie, row(ana))
    assert made is not None
    made_at = datetime.fromtimestamp((made.int >> 80) / 1000, UTC)
    assert abs(made_at - now) < timedelta(minutes=1)
    end = made_at + timedelta(days=180)
    for at, known in ((end, True), (end + timedelta(microseconds=1), False)):
        with frozen(at):
            assert is_known(cookie, ana) is known


def test_a_new_password_or_forgetting_them_ends_those_of_one_person(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    shared = sessions.with_new(sessions.with_new("", row(ana)), row(ben))
    accounts.change_password(ana.actor, ana.password, NEW)
    assert not is_known(shared, ana)
    assert is_known(sessions.with_new(shared, row(ana)), ana)
    assert is_known(shared, ben)

    token = password_resets.offer_by_email(ana.actor, ben.email).partition("token=")[2]
    assert password_resets.use(token, uuid4(), NEW) is not None
    assert not is_known(shared, ben)

    cookie = sessions.with_new("", row(ben))
    accounts.sign_out_elsewhere(ben.actor, uuid4())
    assert not is_known(cookie, ben)

    cookie = sessions.with_new("", row(ben))
    with writing() as current:
        user = current.get_one(User, ben.id)
        sessions.forget_devices(current, user)
        assert sessions.recognized(cookie, user) is None, "in the transaction already"
    assert not is_known(cookie, ben)


def test_a_copied_cookie_is_good_for_five_tries_and_then_each_costs_a_pause(app: Flask) -> None:
    ana = make_user()
    copied = sessions.with_new("", row(ana))
    guess(ana, copied, 5)
    for address in (STRANGER, ELSEWHERE):
        with pytest.raises(Throttled, match=r"Wait (30|29) seconds"):
            sign_in(ana.email, ana.password, address, copied)
    let_time_pass(seconds=31)
    guess(ana, copied, 1)
    with pytest.raises(Throttled, match=r"Wait (1 minute|59 seconds)"):
        sign_in(ana.email, ana.password, STRANGER, copied)
    # The owner has signed in since with the original, and so has another device.
    newer = sessions.with_new(copied, row(ana))
    assert sign_in(ana.email, ana.password, HERE, newer).user.id == ana.id


def test_nobody_else_uses_up_the_tries_of_a_known_browser(app: Flask) -> None:
    ana = make_user()
    cookie = sessions.with_new("", row(ana))
    failed_everywhere(ana.email, 99)
    fail(ana.email, 1, STRANGER)
    for address in (HERE, STRANGER):
        guess(ana, cookie, 4, address)
        assert sign_in(ana.email, ana.password, address, cookie).user.id == ana.id
    with pytest.raises(Throttled):
        sign_in(ana.email, ana.password, HERE)


def test_tries_from_a_known_browser_count_for_no_other_key_nor_free_one(app: Flask) -> None:
    ana, mallory = make_user(), make_user()
    mallorys = sessions.with_new("", row(mallory))
    for number in range(20):
        fail(f"person{number}@example.com", 1, STRANGER)
    assert sign_in(mallory.email, mallory.password, STRANGER, mallorys).user.id == mallory.id
    with pytest.raises(Throttled):
        sign_in(ana.email, "x", STRANGER)
    anas = sessions.with_new("", row(ana))
    guess(ana, anas, 5, ELSEWHERE)
    fail(ana.email, 4, ELSEWHERE)
    pair = sign_in_throttle.for_pair(ana.email, ELSEWHERE)
    assert sign_in_throttle.forgive(pair) == [3], "four, of which one is taken for this one"


def test_the_audit_trail_says_which_sign_in_was_from_a_new_browser(app: Flask) -> None:
    ana = make_user()
    cookie = sessions.with_new("", row(ana))
    sign_in(ana.email, ana.password, HERE)
    sign_in(ana.email, ana.password, HERE, "of.no.use")
    guess(ana, cookie, 2, HERE)
    sign_in(ana.email, ana.password, HERE, cookie)
    told = session().scalars(select(AuditEntry.changes).order_by(AuditEntry.id)).all()
    assert [{name: change["to"] for name, change in each.items()} for each in told] == [
        {"network_address": HERE, "new_browser": True},
        {"network_address": HERE, "new_browser": True},
        {"network_address": HERE, "wrong_tries_before": 2},
    ]
