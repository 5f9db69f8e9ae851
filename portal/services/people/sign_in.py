"""Signing in: the password is checked, and tries are counted."""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import update

from portal.engine.events.body import ActorKind, Origin
from portal.lib.emails import tidy_email
from portal.models.people import User
from portal.services.audit import trail
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.people import passwords, sessions, sign_in_throttle
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission
from portal.services.people.sign_in_throttle import Key
from portal.services.people.signup import find_user

SLOWED: Final = "person.sign_in_slowed_down"
NOBODY: Final = Actor(ActorKind.SYSTEM, None, "Somebody not signed in", Origin.UI)


class WrongPassword(Refusal):
    """It does not say which of the two is wrong, nor whether there is such an account."""

    status = 400

    def __init__(self) -> None:
        super().__init__(
            "The e-mail address or the password is not right. Check both, then try again."
        )


def sign_in(
    email: str, password: str, address: str | None, device: str = UNKNOWN_DEVICE
) -> Admission:
    """Let in the user whose password this is. `address`: where the request comes from; `device`:
    the browser in words.

    Raises `WrongPassword`, or `sign_in_throttle.Throttled` while tries have to wait.
    """
    account = sign_in_throttle.for_email(tidy_email(email))
    origin = sign_in_throttle.for_address(address)
    _count(account, origin, email)
    user = find_user(session(), email)
    stored = user.password_hash if user and user.is_active else None
    user_id = user.id if user else 0
    session().rollback()  # the database does not wait while we hash
    is_right = passwords.matches(password, stored)  # first, so that nobody is refused sooner
    if stored is None or not is_right:
        raise WrongPassword
    admission = _let_in(user_id, stored, account, origin, device)
    if passwords.is_outdated(stored):
        _store_again(user_id, password, stored)
    return admission


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


def _let_in(user_id: int, stored: str, account: Key, origin: Key, device: str) -> Admission:
    """Begin the session, unless the person was disabled or the password changed meanwhile."""
    with writing() as current:
        user = current.get_one(User, user_id, with_for_update={"read": True})
        if not user.is_active or user.password_hash != stored:
            raise WrongPassword
        wrong = sign_in_throttle.forgive(account, origin)
        actor = Actor(ActorKind.USER, user.id, user.name, Origin.UI)
        changes = _from(origin) | (
            {"wrong_tries_before": {"from": None, "to": wrong}} if wrong else {}
        )
        trail.record(current, actor, "person.signed_in", target=_person(user), changes=changes)
        return sessions.begin(current, user, device)


def _from(origin: Key) -> dict[str, Any]:
    return {"network_address": {"from": None, "to": origin.name.partition(":")[2]}}


def _person(user: User) -> tuple[str, UUID, str]:
    return ("person", user.public_id, user.name)


def _store_again(user_id: int, password: str, stored: str) -> None:
    password_hash = passwords.hashed(password)
    with writing() as current:
        same = update(User).where(User.id == user_id, User.password_hash == stored)
        current.execute(same.values(password_hash=password_hash))
