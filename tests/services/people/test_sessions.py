"""Sessions and known browsers: start, end, expiry and confirmation."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.extensions import settings
from portal.lib.clock import frozen, utcnow
from portal.models.audit import AuditEntry
from portal.models.people import Role, User, UserSession
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.operations import retention
from portal.services.people import accounts, password_resets, sessions, sign_in_throttle
from portal.services.people.sign_in import WrongPassword, sign_in
from portal.services.people.sign_in_throttle import Throttled
from tests.services.people.test_people_sign_in import HERE, fail, failed_everywhere, let_time_pass
from tests.support.database.rivals import at_once
from tests.support.factories import PASSWORD, Person, make_user

NEW = "another long phrase"


MINUTE = timedelta(minutes=1)


def begin(person: Person, device: str = "Firefox on Linux") -> UUID:
    with writing() as current:
        return sessions.begin(current, current.get_one(User, person.id), device).session_id


def rows() -> dict[UUID, UserSession]:
    session().rollback()
    return {row.id: row for row in session().scalars(select(UserSession))}


def change(session_id: UUID, **values: object) -> None:
    with writing() as current:
        statement = update(UserSession).where(UserSession.id == session_id)
        current.execute(statement.values(**values))


def told(action: str) -> list[AuditEntry]:
    session().rollback()
    query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
    return list(session().scalars(query))


def reset_token(by: Person, of: Person) -> str:
    password_resets.offer(by.actor, of.public_id)
    offer = password_resets.offered(by.actor, of.public_id)
    assert offer is not None
    assert offer.address is not None
    return offer.address.partition("token=")[2]


def test_signing_in_stores_a_session_with_time_way_and_device(app: Flask) -> None:
    ana = make_user()
    admission = sign_in(ana.email, ana.password, None, device="Edge on Windows")
    row = rows()[admission.session_id]
    assert (row.user_id, row.way, row.device) == (ana.id, "password", "Edge on Windows")
    assert utcnow() - row.created_at < MINUTE
    assert row.confirmed_at == row.created_at
    assert row.last_seen_on == utcnow().astimezone(settings().timezone).date()
    assert sessions.find(uuid4()) is None


def test_concurrent_sign_outs_end_a_session_with_one_audit_entry(app: Flask) -> None:
    ana, ben = make_user(name="Ana"), make_user()
    here, elsewhere, bens = begin(ana), begin(ana), begin(ben)
    at_once(app, [lambda: sessions.end(ana.actor, here)] * 3)
    assert set(rows()) == {elsewhere, bens}
    (entry,) = told("person.signed_out")
    assert (entry.actor_name, entry.target_name) == ("Ana", "Ana")
    assert entry.changes == {"device": {"from": "Firefox on Linux", "to": None}}


def test_a_user_cannot_end_the_session_of_another(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    bens = begin(ben)
    sessions.end(ana.actor, bens)
    accounts.sign_out_elsewhere(ana.actor, uuid4())
    assert set(rows()) == {bens}
    assert told("person.signed_out") == []


def disable(ana: Person, ben: Person) -> None:
    accounts.disable(ana.actor, ben.public_id)


def demote(ana: Person, ben: Person) -> None:
    accounts.change_role(ana.actor, ben.public_id, Role.SUPPORT, 1)


def reset(ana: Person, ben: Person) -> None:
    password_resets.use(reset_token(ana, ben), uuid4(), NEW)


def change_password(_ana: Person, ben: Person) -> None:
    accounts.change_password(ben.actor, ben.password, NEW)


@pytest.mark.parametrize("end", [disable, demote, reset, change_password])
def test_a_change_of_role_or_password_ends_open_sessions(
    app: Flask, end: Callable[[Person, Person], None]
) -> None:
    ana, ben = make_user(), make_user()
    anas, old = begin(ana), {begin(ben), begin(ben)}
    end(ana, ben)
    left = set(rows())
    assert anas in left
    assert not left & old
    # A person who has just chosen a password gets a new session.
    assert len(left) == (2 if end in {reset, change_password} else 1)


def test_a_refused_change_ends_no_session(app: Flask) -> None:
    ana, ben = make_user(), make_user(Role.SUPPORT)
    kept = {begin(ana), begin(ben)}
    with pytest.raises(Refusal):
        accounts.disable(ana.actor, ana.public_id)
    with pytest.raises(NotAllowed):
        accounts.disable(ben.actor, ana.public_id)
    with pytest.raises(Refusal):
        accounts.change_password(ben.actor, "wrong", NEW)
    with pytest.raises(Refusal, match="other than your email address"):
        accounts.change_password(ben.actor, PASSWORD, ben.email)
    accounts.change_role(ana.actor, ben.public_id, Role.SUPPORT, 1)
    assert set(rows()) == kept


def test_signing_out_elsewhere_keeps_this_session_and_audits_the_number(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    this, bens = begin(ana), begin(ben)
    for _ in range(3):
        begin(ana)
    assert accounts.sign_out_elsewhere(ana.actor, this)[1] == 3
    assert set(rows()) == {this, bens}
    (entry,) = told("person.signed_out_elsewhere")
    assert entry.changes == {"sessions": {"from": 3, "to": 0}}


def test_a_session_ends_after_two_weeks_even_if_it_is_used(app: Flask) -> None:
    ana, limit = make_user(), timedelta(days=settings().session_days)
    assert limit == timedelta(days=14)
    young, old = begin(ana), begin(ana)
    change(young, created_at=utcnow() - limit + MINUTE)
    change(old, created_at=utcnow() - limit - MINUTE)
    assert sessions.find(young) is not None
    assert sessions.find(old) is None
    assert [row.id for row in sessions.open_sessions(ana.actor, young)] == [young]


@pytest.mark.both_databases
def test_this_browser_is_listed_first_and_then_the_newest_up_to_a_limit(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana, now = make_user(), utcnow()
    this, *others = (begin(ana) for _ in range(4))
    begin(make_user())
    for each, hours in zip((this, *others), (9, 3, 1, 2), strict=True):
        change(each, created_at=now - timedelta(hours=hours))
    expected = [(this, True), *((others[number], False) for number in (1, 2, 0))]
    listed = sessions.open_sessions(ana.actor, this)
    assert [(each.id, each.is_this) for each in listed] == expected
    monkeypatch.setattr(sessions, "MOST_LISTED", 2)
    listed = sessions.open_sessions(ana.actor, this)
    assert [(each.id, each.is_this) for each in listed] == expected[:2]


def test_the_nightly_cleanup_removes_only_expired_sessions(app: Flask) -> None:
    ana, now = make_user(), utcnow()
    today = now.astimezone(settings().timezone).date()
    busy, resting, old, left = (begin(ana) for _ in range(4))
    change(busy, created_at=now - timedelta(days=13))
    change(resting, last_seen_on=today - timedelta(days=2))
    change(old, created_at=now - timedelta(days=15))
    change(left, last_seen_on=today - timedelta(days=3))
    retention.prune()
    assert set(rows()) == {busy, resting}


@pytest.mark.both_databases
def test_the_day_of_a_visit_is_written_by_the_heartbeat_once(app: Flask) -> None:
    ana = make_user()
    seen, too, unseen = (begin(ana) for _ in range(3))
    today = rows()[seen].last_seen_on
    yesterday = today - timedelta(days=1)
    for session_id in (seen, too, unseen):
        change(session_id, last_seen_on=yesterday)
    for session_id in (seen, too):
        assert sessions.find(session_id) is not None
        assert rows()[session_id].last_seen_on == yesterday, "who reads a page writes nothing"
    sessions.last_seen.write()
    assert {key: row.last_seen_on for key, row in rows().items()} == {
        seen: today,
        too: today,
        unseen: yesterday,
    }
    change(seen, last_seen_on=yesterday)
    sessions.last_seen.write()
    assert rows()[seen].last_seen_on == yesterday, "nothing was left to write"


def test_a_visit_written_late_brings_no_session_back(app: Flask) -> None:
    ana = make_user()
    this = begin(ana)
    change(this, last_seen_on=rows()[this].last_seen_on - timedelta(days=1))
    assert sessions.find(this) is not None
    at_once(app, [lambda: sessions.end(ana.actor, this), sessions.last_seen.write])
    sessions.last_seen.write()
    assert rows() == {}


def test_a_confirmation_counts_only_for_its_own_open_session(app: Flask) -> None:
    ana = make_user()
    here, elsewhere = begin(ana), begin(ana)
    long_ago = utcnow() - timedelta(minutes=16)
    for session_id in (here, elsewhere):
        change(session_id, confirmed_at=long_ago)
    accounts.confirm(ana.actor, here, ana.password)
    assert sessions.is_confirmed(rows()[here].confirmed_at)
    assert rows()[elsewhere].confirmed_at == long_ago
    sessions.end(ana.actor, here)
    with pytest.raises(NotAllowed, match="were signed out"):
        accounts.confirm(ana.actor, here, ana.password)
    assert set(rows()) == {elsewhere}
    assert len(told("person.identity_confirmed")) == 1


def test_a_confirmation_counts_for_less_than_15_minutes() -> None:
    now = datetime(2026, 5, 4, 12, 15, tzinfo=UTC)
    with frozen(now):
        assert sessions.is_confirmed(now - timedelta(minutes=14, seconds=59))
        assert not sessions.is_confirmed(now - timedelta(minutes=15))


ELSEWHERE, STRANGER = "198.51.100.9", "203.0.113.66"


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


def test_the_cookie_holds_the_last_five_people_once_each(app: Flask) -> None:
    people = [make_user() for _ in range(6)]
    cookie = ""
    for person in [*people, people[-1], people[2]]:
        cookie = sessions.with_new(cookie, row(person))
    assert len(entries(cookie)) == 5
    assert len(cookie) < 1000
    assert [is_known(cookie, person) for person in people] == [False, *[True] * 5]


def test_a_tampered_cookie_is_ignored(app: Flask) -> None:
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


def test_a_browser_is_unknown_after_180_days(app: Flask) -> None:
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


def test_a_new_password_or_sign_out_forgets_the_browsers_of_one_person(app: Flask) -> None:
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


def test_a_copied_cookie_allows_five_tries_and_then_each_costs_a_pause(app: Flask) -> None:
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
    # The owner has since signed in with the original, which gave it a new device id.
    newer = sessions.with_new(copied, row(ana))
    assert sign_in(ana.email, ana.password, HERE, newer).user.id == ana.id


def test_other_failures_do_not_use_up_the_tries_of_a_known_browser(app: Flask) -> None:
    ana = make_user()
    cookie = sessions.with_new("", row(ana))
    failed_everywhere(ana.email, 99)
    fail(ana.email, 1, STRANGER)
    for address in (HERE, STRANGER):
        guess(ana, cookie, 4, address)
        assert sign_in(ana.email, ana.password, address, cookie).user.id == ana.id
    with pytest.raises(Throttled):
        sign_in(ana.email, ana.password, HERE)


def test_tries_from_a_known_browser_neither_count_for_nor_free_other_keys(app: Flask) -> None:
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


def test_the_audit_trail_marks_sign_ins_from_a_new_browser(app: Flask) -> None:
    ana = make_user()
    cookie = sessions.with_new("", row(ana))
    sign_in(ana.email, ana.password, HERE)
    sign_in(ana.email, ana.password, HERE, "of.no.use")
    guess(ana, cookie, 2, HERE)
    sign_in(ana.email, ana.password, HERE, cookie)
    entries = session().scalars(select(AuditEntry.changes).order_by(AuditEntry.id)).all()
    assert [{name: change["to"] for name, change in changes.items()} for changes in entries] == [
        {"network_address": HERE, "new_browser": True},
        {"network_address": HERE, "new_browser": True},
        {"network_address": HERE, "wrong_tries_before": 2},
    ]
