"""Signing in and out: the password is checked, tries are counted, copies of a cookie die."""

from datetime import timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import delete, update

from portal.engine.events.body import ActorKind, Origin
from portal.lib.emails import tidy_email
from portal.models.people import EndedSession, User
from portal.services.audit import trail
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, insert_or_ignore, session, writing
from portal.services.people import passwords, sign_in_throttle
from portal.services.people.sign_in_throttle import Key
from portal.services.people.signup import find_user

# How long a session lives without a request; its cookie says the same.
IDLE: Final = timedelta(hours=12)
SLOWED: Final = "person.sign_in_slowed_down"
NOBODY: Final = Actor(ActorKind.SYSTEM, None, "Somebody not signed in", Origin.UI)


class WrongPassword(Refusal):
    """It does not say which of the two is wrong, nor whether there is such an account."""

    status = 400

    def __init__(self) -> None:
        super().__init__(
            "The e-mail address or the password is not right. Check both, then try again."
        )


def sign_in(email: str, password: str, address: str | None) -> User:
    """The user whose password this is. `address`: where the request comes from.

    Raises `WrongPassword`, or `sign_in_throttle.Throttled` while tries have to wait.
    """
    account = sign_in_throttle.for_email(tidy_email(email))
    origin = sign_in_throttle.for_address(address)
    _count(account, origin, email)
    user = find_user(session(), email)
    stored = user.password_hash if user and user.is_active else None
    session().rollback()  # the database does not wait while we hash
    is_right = passwords.matches(password, stored)  # first, so that nobody is refused sooner
    if user is None or not is_right:
        raise WrongPassword
    _let_in(user, account, origin)
    if stored and passwords.is_outdated(stored):
        _store_again(user.id, password, stored)
    return user


def begin_session() -> UUID:
    """The id of a new session. Sessions begin here alone: for whoever was just asked for the
    password, or has just chosen one behind a link that nobody had used."""
    return uuid4()


def end_session(actor: Actor, session_id: UUID) -> None:
    """Whoever kept a copy of this session's cookie cannot use it any more."""
    with writing() as current:
        user = current.get_one(User, actor.user_id)
        trail.record(current, actor, "person.signed_out", target=_person(user))
        now = database_time(current)
        current.execute(delete(EndedSession).where(EndedSession.ended_at < now - IDLE))
        make = insert_or_ignore(current.connection())(EndedSession)
        row = make.values(session_id=session_id, ended_at=now)
        current.execute(row.on_conflict_do_nothing())


def _count(account: Key, origin: Key, email: str) -> None:
    """Count the try; where many wrong ones begin to cost a pause, the audit trail says so.

    Once for each series of tries, and never what was typed where there is no such account.
    """
    with writing() as current:
        reached = sign_in_throttle.count([account, origin])
        tries = {"tries": {"from": None, "to": account.limit}, **_from(origin)}
        user = find_user(current, email) if account in reached else None
        if user is not None:
            trail.record(current, NOBODY, SLOWED, target=_person(user), changes=tries)
        if origin in reached:
            place = origin.name.partition(":")[2]
            trail.record(
                current, NOBODY, "address.sign_in_slowed_down", target=("address", place, place)
            )


def _let_in(user: User, account: Key, origin: Key) -> None:
    with writing() as current:
        wrong = sign_in_throttle.forgive(account, origin)
        actor = Actor(ActorKind.USER, user.id, user.name, Origin.UI)
        changes = _from(origin) | (
            {"wrong_tries_before": {"from": None, "to": wrong}} if wrong else {}
        )
        trail.record(current, actor, "person.signed_in", target=_person(user), changes=changes)


def _from(origin: Key) -> dict[str, Any]:
    return {"network_address": {"from": None, "to": origin.name.partition(":")[2]}}


def _person(user: User) -> tuple[str, UUID, str]:
    return ("person", user.public_id, user.name)


def _store_again(user_id: int, password: str, stored: str) -> None:
    password_hash = passwords.hashed(password)
    with writing() as current:
        same = update(User).where(User.id == user_id, User.password_hash == stored)
        current.execute(same.values(password_hash=password_hash))
