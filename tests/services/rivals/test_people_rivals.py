"""What is taken from a person counts at once, also for what they are in the middle of."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import delete, select

from portal.models.people import Link, Role, User
from portal.services.assets import named_lists
from portal.services.core.refusals import NotAllowed, NotFound
from portal.services.core.unit_of_work import session, writing
from portal.services.people import account, invitations, password_resets
from portal.services.people.account import Details
from portal.services.people.one_time_links import DeadLink
from portal.services.people.sign_in import WrongPassword, sign_in
from tests.support.database.rivals import Rival
from tests.support.factories import Person, make_user

NEW = "a pass phrase of its own"
Verb = Callable[[Person], object]


def add_a_place(ben: Person) -> None:
    with pytest.raises(NotAllowed):
        named_lists.create(named_lists.LOCATIONS, ben.actor, "Attic")


def change_the_name(ben: Person) -> None:
    with pytest.raises(NotAllowed):
        account.change_details(ben.actor, Details(name="Benedict", time_zone="Europe/Vienna"))


def come_in(ben: Person) -> None:
    with pytest.raises(WrongPassword):
        sign_in(ben.email, ben.password, "192.0.2.7")


def beside(app: Flask, verb: Callable[[], object], *, change: Callable[[], None]) -> None:
    """Do `verb` while somebody else is in the middle of `change`."""
    done: list[bool] = []

    def run() -> None:
        verb()
        done.append(True)

    rival = Rival(app, run)
    with writing():
        change()
        rival.begin()
    rival.finish()
    assert done == [True]


def disable(person: Person) -> None:
    """In the test's own transaction."""
    with writing() as current:
        row = current.get_one(User, person.id, with_for_update={"key_share": True})
        row.is_active = False
        current.flush()


@pytest.mark.parametrize("verb", [add_a_place, change_the_name, come_in])
def test_somebody_disabled_meanwhile_gets_no_further(app: Flask, verb: Verb) -> None:
    ben = make_user("manager")
    beside(app, lambda: verb(ben), change=lambda: disable(ben))


def test_a_link_of_somebody_disabled_meanwhile_is_dead(app: Flask) -> None:
    ana, ben = make_user(), make_user("manager")
    token = password_resets.offer_by_email(ana.actor, ben.email).partition("token=")[2]

    def use() -> None:
        with pytest.raises(DeadLink):
            password_resets.use(token, uuid4(), NEW)

    beside(app, use, change=lambda: disable(ben))


def test_an_invitation_taken_back_meanwhile_is_not_renewed(app: Flask) -> None:
    ana = make_user()
    invited = invitations.invite(ana.actor, "cleo@example.com", Role.SUPPORT)

    def take_back() -> None:
        with writing() as current:
            current.execute(select(Link.id).with_for_update())
            current.execute(delete(Link))

    def renew() -> None:
        with pytest.raises(NotFound):
            invitations.renew(ana.actor, invited)

    beside(app, renew, change=take_back)


def test_who_changes_their_account_waits_for_nobody_who_waits_for_them(app: Flask) -> None:
    """The same person does something in another window, which shares the row and then writes."""
    ben = make_user("manager")
    details = Details(name="Benedict", time_zone="Europe/Vienna")
    rival = Rival(app, lambda: account.change_details(ben.actor, details))
    with writing() as current:
        row = current.get_one(User, ben.id, with_for_update={"read": True})
        rival.come_to_a_lock()
        row.time_zone = "Europe/Berlin"
        current.flush()
    rival.finish()
    assert session().get_one(User, ben.id).name == "Benedict"
