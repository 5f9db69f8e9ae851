"""Every sign-in costs the same work, so that its time does not reveal who has an account."""

import importlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from argon2 import PasswordHasher
from flask import Flask

from portal.models.people import Role
from portal.services.people import invitations, passwords
from portal.services.people.invitations import NewPerson
from portal.services.people.one_time_links import DeadLink
from portal.services.people.sign_in import WrongPassword, sign_in
from tests.support.factories import PASSWORD, make_user

pytestmark = pytest.mark.usefixtures("usual_hashing")
HERE = "192.0.2.7"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Record each call of Argon2 as (method, verified hash)."""
    calls: list[tuple[str, str]] = []

    def counted(name: str) -> Callable[..., Any]:
        real = getattr(PasswordHasher, name)

        def call(hasher: PasswordHasher, given: str, *others: str) -> Any:
            calls.append((name, given if others else ""))
            return real(hasher, given, *others)

        return call

    for name in ("hash", "verify"):
        monkeypatch.setattr(PasswordHasher, name, counted(name))
    return calls


def test_every_sign_in_computes_one_hash_of_the_usual_cost(
    app: Flask, asked: list[tuple[str, str]]
) -> None:
    usual = passwords.hashed("a long pass phrase")
    ana = make_user(password_hash=usual)
    ben = make_user(password_hash=usual, is_active=False)
    for email, password in (
        (ana.email, "wrong"),
        (ben.email, "wrong"),
        (ben.email, ben.password),
        ("nobody@example.com", "wrong"),
        ("nobody@example.com", "x" * 2000),
        ("no address", "wrong"),
    ):
        asked.clear()
        with pytest.raises(WrongPassword):
            sign_in(email, password, HERE)
        assert [verb for verb, _ in asked] == ["verify"], email
        assert not passwords.is_outdated(asked[0][1]), email


def test_a_used_link_tries_no_password(app: Flask, asked: list[tuple[str, str]]) -> None:
    ana, once = make_user(), uuid4()
    address = invitations.invitation_link(ana.actor, "cleo@example.com", Role.SUPPORT)
    token = address.partition("token=")[2]
    values = NewPerson(name="Cleo", email="cleo@example.com", password=PASSWORD)
    assert invitations.accept(token, once, values) is not None
    asked.clear()
    assert invitations.accept(token, once, values) is None
    with pytest.raises(DeadLink):
        invitations.accept(token, uuid4(), values)
    assert asked == []


def test_a_new_process_has_a_dummy_hash_ready(
    asked: list[tuple[str, str]],
) -> None:
    module = importlib.reload(passwords)
    assert not module.is_outdated(module.NOBODYS_HASH)
    assert not module.matches("nobody's password", None)
    assert [verb for verb, _ in asked] == ["verify"]
