"""Signing in and out: the password is checked, tries are counted, copies of a cookie die."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, update

from portal.lib.emails import tidy_email
from portal.models.people import EndedSession, User
from portal.services import passwords, throttle
from portal.services.joining import find_user
from portal.services.refusals import Refusal
from portal.services.unit import database_time, insert_or_ignore, session, writing

# How long a session lives without a request; its cookie says the same.
IDLE: Final = timedelta(hours=12)


class WrongPassword(Refusal):
    """It does not say which of the two is wrong, nor whether there is such an account."""

    status = 400

    def __init__(self) -> None:
        super().__init__(
            "The e-mail address or the password is not right. Check both, then try again."
        )


def sign_in(email: str, password: str, address: str | None) -> User:
    """The user whose password this is. `address`: where the request comes from.

    Raises `WrongPassword`, or `throttle.Throttled` while tries have to wait.
    """
    account = throttle.for_email(tidy_email(email))
    origin = throttle.for_address(address)
    throttle.count([account, origin])
    user = find_user(session(), email)
    stored = user.password_hash if user and user.is_active else None
    session().rollback()  # the database does not wait while we hash
    if user is None or not passwords.matches(password, stored):
        raise WrongPassword
    throttle.forgive(account, origin)
    if stored and passwords.is_outdated(stored):
        _store_again(user.id, password, stored)
    return user


def end_session(session_id: UUID) -> None:
    """Whoever kept a copy of this session's cookie cannot use it any more."""
    with writing() as current:
        now = database_time(current)
        current.execute(delete(EndedSession).where(EndedSession.ended_at < now - IDLE))
        make = insert_or_ignore(current.connection())(EndedSession)
        row = make.values(session_id=session_id, ended_at=now)
        current.execute(row.on_conflict_do_nothing())


def _store_again(user_id: int, password: str, stored: str) -> None:
    password_hash = passwords.hashed(password)
    with writing() as current:
        same = update(User).where(User.id == user_id, User.password_hash == stored)
        current.execute(same.values(password_hash=password_hash))
