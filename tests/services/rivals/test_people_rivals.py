"""Restrictions of a person count at once, even for actions in progress."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from portal.models.people import Link, Role, User
from portal.services.assets import named_lists
from portal.services.core.permissions import SYSTEM
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.people import accounts, invitations, password_resets
from portal.services.people.accounts import Details
from portal.services.people.one_time_links import DeadLink
from portal.services.people.sign_in import WrongPassword, sign_in
from tests.support.database.rivals import Rival, meanwhile
from tests.support.factories import Person, make_user

pytestmark = pytest.mark.both_databases

NEW = "a pass phrase of its own"


def disabling(person: Person) -> Callable[[Session], None]:
    """Return a function that disables the person."""

    def disable(current: Session) -> None:
        row = current.get_one(User, person.id, with_for_update={"key_share": True})
        row.is_active = False

    return disable


def add_a_place(ben: Person) -> object:
    return named_lists.create(named_lists.LOCATIONS, ben.actor, "Attic")


def change_the_name(ben: Person) -> object:
    return accounts.change_details(ben.actor, Details(name="Benedict", time_zone="Europe/Vienna"))


def come_in(ben: Person) -> object:
    return sign_in(ben.email, ben.password, "192.0.2.7")


@pytest.mark.parametrize(
    ("verb", "refusal"),
    [(add_a_place, NotAllowed), (change_the_name, NotAllowed), (come_in, WrongPassword)],
)
def test_a_concurrently_disabled_user_is_refused(
    app: Flask, verb: Callable[[Person], object], refusal: type[Refusal]
) -> None:
    ben = make_user("manager")
    assert isinstance(meanwhile(app, lambda: verb(ben), disabling(ben)), refusal)


def test_a_link_of_a_concurrently_disabled_user_is_dead(app: Flask) -> None:
    ana, ben = make_user(), make_user("manager")
    token = password_resets.offer_by_email(ana.actor, ben.email).partition("token=")[2]
    answer = meanwhile(app, lambda: password_resets.use(token, uuid4(), NEW), disabling(ben))
    assert isinstance(answer, DeadLink)


def test_an_administrator_who_became_the_only_one_stays(app: Flask) -> None:
    ana, ben = make_user(), make_user(name="Ben")

    def disable_ana(_current: Session) -> None:
        accounts.disable(SYSTEM, ana.public_id)

    answer = meanwhile(app, lambda: accounts.disable(SYSTEM, ben.public_id), disable_ana)
    assert answer.sentence.startswith("Ben is the only administrator who can sign in.")


def test_administrators_are_locked_in_the_order_of_their_ids(
    app: Flask, database_kind: str
) -> None:
    """Prevent a deadlock of two such transactions."""
    if database_kind == "sqlite":
        pytest.skip("there one writes at a time")
    first, second, ben = make_user(), make_user(), make_user("support")
    rival = Rival(app, lambda: accounts.disable(SYSTEM, ben.public_id))
    with writing() as current:
        current.get_one(User, first.id).name = "Now the last in the table"
    with writing() as current:
        current.get(User, first.id, with_for_update={"key_share": True})
        rival.begin()
        current.get(User, second.id, with_for_update={"key_share": True, "nowait": True})
    rival.finish()


def test_links_of_a_disabled_user_are_locked_in_the_order_of_their_ids(
    app: Flask, database_kind: str
) -> None:
    if database_kind == "sqlite":
        pytest.skip("there one writes at a time")
    make_user()
    ben = make_user()
    for name in ("cleo", "dan"):
        invitations.invite(ben.actor, f"{name}@example.com", Role.SUPPORT)
    first, second = session().scalars(select(Link.id).order_by(Link.id))
    rival = Rival(app, lambda: accounts.disable(SYSTEM, ben.public_id))
    with writing() as current:
        current.get_one(Link, first).role = Role.MANAGER  # now the last in the table
    with writing() as current:
        current.get(Link, first, with_for_update=True)
        rival.begin()
        current.get(Link, second, with_for_update={"nowait": True})
    rival.finish()


def test_a_concurrently_canceled_invitation_is_not_renewed(app: Flask) -> None:
    ana = make_user()
    invited = invitations.invite(ana.actor, "cleo@example.com", Role.SUPPORT)

    def take_back(current: Session) -> None:
        current.execute(select(Link.id).with_for_update())
        current.execute(delete(Link))

    answer = meanwhile(app, lambda: invitations.renew(ana.actor, invited), take_back)
    assert isinstance(answer, NotFound)


@pytest.mark.parametrize(
    "change",
    [
        lambda _ben, token: password_resets.use(token, uuid4(), NEW),
        lambda ben, _token: accounts.disable(SYSTEM, ben.public_id),
        lambda ben, _token: accounts.change_role(SYSTEM, ben.public_id, Role.SUPPORT, 1),
        lambda ben, _token: change_the_name(ben),
    ],
    ids=["link", "disable", "role", "name"],
)
def test_changing_a_user_does_not_wait_for_rows_that_refer_to_them(
    app: Flask, database_kind: str, change: Callable[[Person, str], object]
) -> None:
    if database_kind == "sqlite":
        pytest.skip("there one writes at a time")
    make_user()
    ben = make_user()
    token = password_resets.offer_by_email(make_user().actor, ben.email).partition("token=")[2]
    rival = Rival(app, lambda: change(ben, token))
    with writing() as current:
        current.get(User, ben.id, with_for_update={"read": True, "key_share": True})
        rival.pass_by()
    rival.finish()


def test_changing_ones_own_account_does_not_deadlock_with_another_window(app: Flask) -> None:
    """Let another window of the same person share the row and then write to it."""
    ben = make_user("manager")
    details = Details(name="Benedict", time_zone="Europe/Vienna")
    rival = Rival(app, lambda: accounts.change_details(ben.actor, details))
    with writing() as current:
        row = current.get_one(User, ben.id, with_for_update={"read": True})
        rival.come_to_a_lock()
        row.time_zone = "Europe/Berlin"
        current.flush()
    rival.finish()
    assert session().get_one(User, ben.id).name == "Benedict"
