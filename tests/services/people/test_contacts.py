"""Whom people are told to ask: two at most, those first who are nearest to the matter."""

from flask import Flask
from sqlalchemy import update

from portal.models.people import User
from portal.services.core.unit_of_work import writing
from portal.services.people.accounts import Contacts, who_may
from tests.support.factories import Person, make_user, make_webhook


def test_the_owner_is_named_first_then_who_does_less_than_everything_and_is_here_longest(
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
    """Their row is written anew, behind those of others."""
    with writing() as current:
        moved = update(User).where(User.id == person.id)
        current.execute(moved.values(devices_version=User.devices_version + 1))
