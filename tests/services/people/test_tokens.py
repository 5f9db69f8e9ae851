"""Tokens of programs: who creates them, what they permit, and what ends them."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask

from portal.engine.events.body import ActorKind
from portal.lib.clock import utcnow
from portal.lib.redaction import Redactor
from portal.models.people import Role, Token
from portal.services import tasks
from portal.services.core.permissions import SYSTEM, require
from portal.services.core.refusals import NotAllowed, NotFound, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.operations.health import read_facts
from portal.services.people import tokens
from portal.services.people.tokens import Program, program_of
from tests.support.database.rivals import at_once
from tests.support.factories import Person, make_user

pytestmark = pytest.mark.usefixtures("app")


def make(
    name: str = "MDM", role: Role = Role.MANAGER, *, by: Person | None = None, **values: Any
) -> tuple[UUID, str]:
    options = {"read_only": False, "days": 30} | values
    return tokens.create((by or make_user()).actor, name, role, **options)


def opened(token: str) -> Program:
    program = program_of(token)
    assert program is not None
    return program


def change(public_id: UUID, **values: object) -> None:
    with writing() as current:
        current.query(Token).filter_by(public_id=public_id).update(values)


def test_a_token_has_the_permissions_of_its_role_and_is_stored_as_a_hash() -> None:
    public_id, token = make()
    program = opened(token)
    assert (program.actor.kind, program.actor.name) == (ActorKind.API, "MDM")
    assert program.actor.wire_id == session().query(Token).one().id
    assert program.may("assets.edit")
    assert not program.may("webhooks.edit")
    row = tokens.find(public_id)
    assert token not in str({column: getattr(row, column.key) for column in row.__table__.c})
    assert token not in Redactor()(f"HTTP 401 for {token}")


def test_a_read_only_token_changes_nothing() -> None:
    _, token = make(role=Role.ADMIN, read_only=True)
    program = opened(token)
    assert program.may("system.read")
    assert not program.may("assets.edit")
    with writing() as current, pytest.raises(NotAllowed):
        require(current, program.actor, "assets.edit")


@pytest.mark.parametrize("given", ["", "awt_", "awt_" + "a" * 43, "awt_" + "é" * 43, "a" * 50_000])
def test_an_invalid_token_opens_nothing(given: str) -> None:
    make()
    assert program_of(given) is None


def test_expiry_and_revocation_are_read_from_the_row_each_time() -> None:
    by = make_user()
    public_id, token = make(by=by)
    actor = opened(token).actor
    with writing() as current:
        assert require(current, actor, "assets.edit") is None
    change(public_id, ends_at=utcnow() - timedelta(seconds=1))
    assert program_of(token) is None
    with writing() as current, pytest.raises(NotAllowed):
        require(current, actor, "assets.edit")
    tokens.move_end(by.actor, public_id, None)
    assert opened(token).ends_at is None
    assert tokens.revoke(by.actor, public_id) == "MDM"
    assert program_of(token) is None
    with writing() as current, pytest.raises(NotAllowed):
        require(current, actor, "assets.edit")
    with pytest.raises(Refusal, match="was revoked"):
        tokens.move_end(by.actor, public_id, 30)


def test_a_task_that_a_program_started_checks_its_token_again() -> None:
    by = make_user()
    public_id, token = make(by=by)
    with writing() as current:
        task = tasks.start(current, opened(token).actor, "bulk", total=1)
        actor = tasks.actor_of(task)
    with writing() as current:
        require(current, actor, "assets.edit")
    tokens.revoke(by.actor, public_id)
    with writing() as current, pytest.raises(NotAllowed):
        require(current, actor, "assets.edit")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Enter the program’s name"),
        ("mdm", "Another token has or had this name"),
        ("asset REGISTER", "The portal uses this name itself"),
        ("two\nlines", "Use a name of one line"),
        ("x" * 81, "Use a name of one line"),
    ],
)
def test_a_token_name_must_fit_and_is_never_reused(name: str, said: str) -> None:
    by = make_user()
    public_id, _ = make(by=by)
    tokens.revoke(by.actor, public_id)
    with pytest.raises(Refusal, match=said) as refused:
        make(name, by=by)
    assert refused.value.field == "name"
    assert not tokens.listing()


@pytest.mark.both_databases
def test_one_of_two_concurrent_tokens_gets_the_name(app: Flask) -> None:
    by = make_user()
    results = at_once(app, [lambda: make(by=by), lambda: make(by=by)])
    assert sorted(isinstance(result, Refusal) for result in results) == [False, True], results


def test_the_number_of_tokens_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST", 1)
    by = make_user()
    public_id, _ = make(by=by)
    with pytest.raises(Refusal, match="There are already 1"):
        make("Another", by=by)
    tokens.revoke(by.actor, public_id)
    make("Another", by=by)


def test_only_administrators_create_and_revoke_tokens() -> None:
    public_id, _ = make()
    for role in set(Role) - {Role.ADMIN}:
        other = make_user(role).actor
        with pytest.raises(NotAllowed):
            tokens.create(other, "Mine", Role.SUPPORT, read_only=True, days=1)
        with pytest.raises(NotAllowed):
            tokens.revoke(other, public_id)
    with pytest.raises(NotFound):
        tokens.revoke(SYSTEM, make_user().public_id)


def test_the_day_of_the_last_use_is_written_later() -> None:
    public_id, token = make()
    opened(token)
    assert tokens.find(public_id).last_used_on is None
    tokens.last_seen.write()
    session().rollback()
    assert tokens.find(public_id).last_used_on is not None


def test_system_warns_before_a_token_in_use_ends() -> None:
    by, now = make_user(), utcnow()
    used = {"last_used_on": now.date()}
    for name, days, values in (
        ("Soon", 13, used),
        ("Later", 15, used),
        ("Unused", 13, {}),
        ("Idle", 13, {"last_used_on": now.date() - timedelta(days=32)}),
        ("Over", -2, used),
        ("Endless", 0, used | {"ends_at": None}),
    ):
        public_id, _ = make(name, by=by)
        change(public_id, **{"ends_at": now + timedelta(days=days)} | values)
    revoked, _ = make("Revoked", by=by)
    change(revoked, revoked_at=now, ends_at=now, **used)
    assert [name for name, _ in read_facts().ending_tokens] == ["Over", "Soon"]
