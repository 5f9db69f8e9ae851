"""Links of somebody whose standing changed are deleted: none sleeps until it is restored."""

from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from portal.models.audit import AuditEntry
from portal.models.people import Link, LinkKind, Role, User
from portal.services.core.unit_of_work import session
from portal.services.people import accounts, invitations, one_time_links, password_resets
from portal.services.people.one_time_links import DeadLink
from tests.support.database.rivals import at_once
from tests.support.factories import Person, make_user

NEW = "another long phrase"


def invited(by: Person, email: str = "eve@example.com") -> str:
    return invitations.invitation_link(by.actor, email, Role.ADMIN).partition("token=")[2]


def offered(by: Person, of: Person) -> str:
    password_resets.offer(by.actor, of.public_id)
    offer = password_resets.offered(by.actor, of.public_id)
    assert offer is not None
    assert offer.address is not None
    return offer.address.partition("token=")[2]


def works(kind: LinkKind, token: str) -> bool:
    session().rollback()
    try:
        one_time_links.read(kind, token)
    except DeadLink:
        return False
    return True


def version_of(person: Person) -> int:
    session().rollback()
    return session().get_one(User, person.id).version


def change_role(by: Person, of: Person, role: Role) -> None:
    accounts.change_role(by.actor, of.public_id, role, version_of(of))


@pytest.mark.parametrize("end", ["disabled", "demoted"])
def test_links_of_a_former_administrator_stay_dead_when_he_comes_back(app: Flask, end: str) -> None:
    ana, bea, cleo = make_user(name="Ana"), make_user(name="Bea"), make_user(Role.SUPPORT)
    by_bea = (LinkKind.INVITE, invited(bea)), (LinkKind.RESET, offered(bea, cleo))
    for_bea = (LinkKind.RESET, offered(ana, bea))
    by_ana = (LinkKind.INVITE, invited(ana, "dan@example.com"))
    if end == "disabled":
        accounts.disable(ana.actor, bea.public_id)
        accounts.enable(ana.actor, bea.public_id)
    else:
        change_role(ana, bea, Role.SUPPORT)
        change_role(ana, bea, Role.ADMIN)
    assert [works(*each) for each in (*by_bea, for_bea, by_ana)] == [False, False, False, True]
    assert [link.email for link in session().scalars(select(Link))] == ["dan@example.com"]


def test_each_invitation_that_ends_with_its_maker_is_on_record(app: Flask) -> None:
    ana, bea = make_user(name="Ana"), make_user(name="Bea")
    offered(bea, make_user(Role.SUPPORT))
    invited(bea)
    accounts.disable(ana.actor, bea.public_id)
    wanted = select(AuditEntry.actor_name, AuditEntry.action, AuditEntry.target_name)
    told = [tuple(row) for row in session().execute(wanted.order_by(AuditEntry.id))]
    assert told[-2:] == [
        ("Ana", "person.disabled", "Bea"),
        ("Ana", "person.invitation_cancelled", "eve@example.com"),
    ]


def test_a_new_password_by_a_link_ends_what_its_owner_had_made(app: Flask) -> None:
    ana, bea, cleo = make_user(), make_user(), make_user(Role.SUPPORT)
    made = (LinkKind.INVITE, invited(bea)), (LinkKind.RESET, offered(bea, cleo))
    password_resets.use(offered(ana, bea), uuid4(), NEW)
    assert [works(*each) for each in made] == [False, False]


def test_whoever_finds_the_old_password_needs_no_link_and_keeps_all_other_links(app: Flask) -> None:
    ana, cleo = make_user(), make_user(Role.SUPPORT)
    invitation = invited(ana, "bea@example.com")
    bea = make_user(email="bea@example.com")
    used = offered(ana, bea)
    password_resets.use(used, uuid4(), NEW)
    unused, of_another = offered(ana, bea), offered(ana, cleo)
    accounts.change_password(bea.actor, NEW, f"{NEW} more")
    assert not works(LinkKind.RESET, unused)
    assert works(LinkKind.RESET, of_another)
    assert works(LinkKind.INVITE, invitation)
    kept = session().scalars(select(Link).order_by(Link.id)).all()
    assert [(link.email, link.used_at is None) for link in kept] == [
        (bea.email, True),
        (bea.email, False),
        (cleo.email, True),
    ]


def test_disabled_and_using_a_link_at_once_neither_waits_for_ever(app: Flask) -> None:
    ana, bea = make_user(), make_user()
    token = offered(ana, bea)
    at_once(
        app,
        [
            lambda: accounts.disable(ana.actor, bea.public_id),
            lambda: password_resets.use(token, uuid4(), NEW),
        ],
    )
    session().rollback()
    assert not session().get_one(User, bea.id).is_active
    assert not works(LinkKind.RESET, token)
