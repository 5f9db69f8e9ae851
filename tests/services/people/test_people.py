"""Roles, disabling, invitations and one-time links."""

from collections.abc import Callable
from functools import partial
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.models.audit import AuditEntry
from portal.models.people import Link, LinkKind, Role, User
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts, invitations, one_time_links, password_resets
from portal.services.people.accounts import Contacts, Details, who_may
from portal.services.people.invitations import NewPerson
from tests.support.database.rivals import at_once
from tests.support.factories import PASSWORD, Person, make_user, make_webhook


def audited() -> list[tuple[str, str]]:
    rows = session().execute(select(AuditEntry.actor_name, AuditEntry.action).order_by("id"))
    return [(name, action) for name, action in rows]


def admins() -> int:
    query = select(User.id).where(User.role == Role.ADMIN, User.is_active)
    return len(session().execute(query).all())


def token_in(address: str | None) -> str:
    assert address is not None
    return address.partition("token=")[2]


def refused_at_once(app: Flask, *verbs: Callable[[], object]) -> list[str]:
    """Run the verbs concurrently, and return each refusal or an empty text."""
    results = at_once(app, verbs)
    return [result.sentence if isinstance(result, Refusal) else "" for result in results]


def test_a_role_change_on_a_page_from_before_a_rename_is_stale(
    app: Flask,
) -> None:
    ana, ben = make_user(), make_user(Role.SUPPORT, name="Ben")
    assert accounts.change_details(ben.actor, Details("Benedikt", None))
    assert not accounts.change_details(ben.actor, Details("Benedikt", None))
    with pytest.raises(Stale, match="Someone else changed Benedikt after"):
        accounts.change_role(ana.actor, ben.public_id, Role.MANAGER, 1)
    accounts.change_role(ana.actor, ben.public_id, Role.MANAGER, 2)


def test_the_only_administrator_cannot_be_disabled_or_demoted(app: Flask) -> None:
    ana = make_user(name="Ana")
    make_user(name="Ben", is_active=False)
    with pytest.raises(Refusal, match="Ana is the only administrator"):
        accounts.disable(ana.actor, ana.public_id)
    with pytest.raises(Refusal, match="Ana is the only administrator"):
        accounts.change_role(SYSTEM, ana.public_id, Role.SUPPORT, 1)
    assert admins() == 1


def test_a_user_cannot_disable_themselves(app: Flask) -> None:
    ana, _ben = make_user(), make_user()
    with pytest.raises(Refusal, match="Ask another administrator"):
        accounts.disable(ana.actor, ana.public_id)


def test_two_administrators_who_demote_each_other_at_once_leave_one(app: Flask) -> None:
    ana, ben = make_user(), make_user()
    refusals = refused_at_once(
        app,
        lambda: accounts.change_role(ana.actor, ben.public_id, Role.SUPPORT, 1),
        lambda: accounts.change_role(ben.actor, ana.public_id, Role.SUPPORT, 1),
    )
    assert sorted(refusals)[0] == ""
    assert "can’t do this with your role" in sorted(refusals)[1]
    assert admins() == 1


def test_a_disabled_user_can_be_enabled_again(app: Flask) -> None:
    ana, ben = make_user(name="Ana"), make_user(Role.MANAGER)
    for _ in range(2):
        accounts.disable(ana.actor, ben.public_id)
    assert not accounts.person(ben.public_id).is_active
    with pytest.raises(NotAllowed):
        invitations.invite(ben.actor, "cleo@example.com", Role.SUPPORT)
    for _ in range(2):
        accounts.enable(ana.actor, ben.public_id)
    assert accounts.person(ben.public_id).is_active
    assert audited() == [("Ana", "person.disabled"), ("Ana", "person.enabled")]
    assert accounts.person(ben.public_id).version == 3


def test_only_administrators_manage_people(app: Flask) -> None:
    ben, cleo = make_user(Role.MANAGER).actor, make_user(Role.SUPPORT)
    verbs: list[Callable[[], object]] = [
        partial(accounts.change_role, ben, cleo.public_id, Role.ADMIN, 1),
        partial(invitations.invite, ben, "dan@example.com", Role.ADMIN),
        partial(invitations.invitation_link, ben, "dan@example.com", Role.ADMIN),
        partial(password_resets.offer_by_email, ben, cleo.email),
    ]
    of_one = accounts.disable, accounts.enable, password_resets.offer, password_resets.hide
    verbs += [partial(verb, ben, cleo.public_id) for verb in of_one]
    invited = invitations.invite(make_user().actor, "eva@example.com", Role.SUPPORT)
    of_an_invitation = invitations.hide, invitations.renew, invitations.cancel
    verbs += [partial(verb, ben, invited) for verb in of_an_invitation]
    for verb in verbs:
        with pytest.raises(NotAllowed):
            verb()
    with pytest.raises(NotFound):
        accounts.disable(make_user().actor, uuid4())


def test_an_invitation_accepted_twice_makes_one_account(app: Flask) -> None:
    ana, once = make_user(), uuid4()
    public_id = invitations.invite(ana.actor, "cleo@example.com", Role.SUPPORT)
    token = token_in(invitations.invitation(ana.actor, public_id).address)
    values = NewPerson(name="Cleo", email="cleo@example.com", password=PASSWORD)
    joined = at_once(app, [lambda: invitations.accept(token, once, values)] * 2)
    assert [user is None for user in joined].count(True) == 1, "one of them makes the account"
    assert len(accounts.listing()) == 2
    assert invitations.accept(token, once, values) is None


def test_the_database_does_not_store_the_token(app: Flask) -> None:
    ana = make_user()
    public_id = invitations.invite(ana.actor, "cleo@example.com", Role.SUPPORT)
    token = token_in(invitations.invitation(ana.actor, public_id).address)
    row = session().execute(select(Link.__table__)).one()
    assert token not in str(row)
    assert row.token_hash == one_time_links.digest(token)


def test_existing_and_invited_users_are_not_invited_again(app: Flask) -> None:
    ana = make_user(email="ana@example.com")
    with pytest.raises(Refusal, match="already has an account"):
        invitations.invite(ana.actor, "ANA@example.com", Role.SUPPORT)
    invitations.invite(ana.actor, "cleo@example.com", Role.SUPPORT)
    with pytest.raises(Refusal, match="already invited"):
        invitations.invite(ana.actor, "cleo@example.com", Role.ADMIN)


def test_one_of_two_setup_links_used_at_once_wins(app: Flask) -> None:
    tokens = [token_in(one_time_links.setup_link()), token_in(one_time_links.setup_link())]
    ana = NewPerson(name="Ana", email="ana@example.com", password=PASSWORD)
    ben = NewPerson(name="Ben", email="ben@example.com", password=PASSWORD)
    refusals = refused_at_once(
        app,
        lambda: invitations.set_up(tokens[0], uuid4(), ana),
        lambda: invitations.set_up(tokens[1], uuid4(), ben),
    )
    assert sorted(refusals) == ["", "This link no longer works."]
    assert admins() == len(accounts.listing()) == 1


def test_no_setup_link_works_once_a_user_exists(app: Flask) -> None:
    token = token_in(one_time_links.setup_link())
    make_user(Role.SUPPORT)
    assert one_time_links.setup_link() is None
    with pytest.raises(one_time_links.DeadLink):
        one_time_links.read(LinkKind.SETUP, token)
    values = NewPerson(name="Eve", email="eve@example.com", password=PASSWORD)
    with pytest.raises(one_time_links.DeadLink):
        invitations.set_up(token, uuid4(), values)


def test_contacts_are_the_owner_then_non_administrators_by_seniority(
    app: Flask,
) -> None:
    assert who_may("assets.edit") == Contacts((), False)
    make_user("support", name="Sam")
    admin = make_user(name="Ada")
    make_user("manager", name="Max", is_active=False)
    first, second = make_user("manager", name="Mia"), make_user("manager", name="Moe")
    hook = make_webhook(owner_id=admin.id)
    for person in (second, first, admin):
        sign_in_again(person)
    assert who_may("assets.edit") == Contacts(("Mia", "Moe"), True)
    assert who_may("assets.edit", hook.public_id) == Contacts(("Ada", "Mia"), True)
    assert who_may("assets.edit", make_webhook().public_id) == Contacts(("Mia", "Moe"), True)
    assert who_may("people.manage") == Contacts(("Ada",), False)
    make_user(name="Ann")
    assert who_may("people.manage") == Contacts(("Ada", "Ann"), False)
    assert who_may("nothing.known") == Contacts((), False)


def sign_in_again(person: Person) -> None:
    """Rewrite the person's row, which moves it behind other rows in the table."""
    with writing() as current:
        moved = update(User).where(User.id == person.id)
        current.execute(moved.values(devices_version=User.devices_version + 1))
