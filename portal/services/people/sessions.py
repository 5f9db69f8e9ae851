"""Sessions: a row for each browser in which somebody is signed in.

What ends a session deletes its row, in the transaction of what ends it; a cookie without its row
is worth nothing. Times are by the clock of the web machine, by which cookies end as well.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from threading import Lock
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, case, delete, or_, select, update
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.people import User, UserSession
from portal.services.audit import trail
from portal.services.core.permissions import Actor
from portal.services.core.removal import remove_in_steps
from portal.services.core.unit_of_work import session, writing
from portal.services.people import devices

BY_PASSWORD: Final = "password"  # noqa: S105 - the way in, not one
UNKNOWN_DEVICE: Final = "Unknown browser"
# How long a proof of who one is does for people, keys, tokens and secrets.
CONFIRMED_FOR: Final = timedelta(minutes=15)
# Nobody is idle for longer than a day (`SESSION_IDLE_MINUTES`): who was last seen on the 1st, even
# at its end, is out before the 3rd begins. A day more, for one that was written late.
SEEN_WITHIN: Final = timedelta(days=2)
SEEN_AT_ONCE: Final = 1000
MOST_LISTED: Final = 50

# Whom this process saw today for the first time, until its heartbeat writes it down.
_seen: set[UUID] = set()
_lock: Final = Lock()


class Admission(NamedTuple):
    """Who was let in, and the session that began with it."""

    user: User
    session_id: UUID


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as its owner sees it. `last_seen_on`: a day of the portal's time zone."""

    id: UUID
    device: str
    created_at: datetime
    last_seen_on: date
    is_this: bool


def begin(current: Session, user: User, device: str) -> Admission:
    """Begin a session for whoever was just asked for the password, or has just chosen one behind
    a link that nobody had used. Sessions begin here alone.

    In the transaction that proves it, with the user's row locked: whoever ends all sessions at
    this moment ends this one too.
    """
    now = common_now()
    made = UserSession(
        id=uuid4(),
        user_id=user.id,
        way=BY_PASSWORD,
        device=device,
        created_at=now,
        confirmed_at=now,
        last_seen_on=_today(),
    )
    current.add(made)
    return Admission(user, made.id)


def find(session_id: UUID) -> tuple[User, UserSession] | None:
    """Whose session this is, by one query; None when it ended, or its person may not sign in."""
    wanted = (
        select(User, UserSession)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.id == session_id, UserSession.created_at > _oldest(), User.is_active)
    )
    found = session().execute(wanted).one_or_none()
    if found is None:
        return None
    user, row = found
    if row.last_seen_on < _today():
        with _lock:
            _seen.add(session_id)
    return user, row


def write_seen() -> None:
    """Write the day of those whom this process saw today for the first time: once a day and
    session, for a GET writes nothing. What fails is written the next time."""
    with _lock:
        seen = sorted(_seen)[:SEEN_AT_ONCE]
    if not seen:
        return
    with writing() as current:
        today = _today()
        wanted = select(UserSession).where(
            UserSession.id.in_(seen), UserSession.last_seen_on < today
        )
        # Another process may write the same ones: neither waits.
        for row in current.scalars(wanted.with_for_update(skip_locked=True)):
            row.last_seen_on = today
    with _lock:
        _seen.difference_update(seen)


def open_sessions(actor: Actor, this: UUID) -> list[OpenSession]:
    """Where the person is signed in: `this` browser first, then the newest, `MOST_LISTED` at
    most."""
    wanted = (
        select(UserSession)
        .where(UserSession.user_id == actor.user_id, ~_is_over())
        .order_by(
            case((UserSession.id == this, 0), else_=1),
            UserSession.created_at.desc(),
            UserSession.id,
        )
        .limit(MOST_LISTED)
    )
    return [
        OpenSession(row.id, row.device, row.created_at, row.last_seen_on, row.id == this)
        for row in session().scalars(wanted)
    ]


def end(actor: Actor, session_id: UUID) -> None:
    """Sign out one of the person's own browsers. Whoever kept a copy of its cookie cannot use it
    any more. One that has ended, or is somebody else's, changes nothing."""
    with writing() as current:
        own = (UserSession.id == session_id, UserSession.user_id == actor.user_id)
        ended = delete(UserSession).where(*own).returning(UserSession.device)
        device = current.execute(ended).scalar_one_or_none()
        if device is None:
            return
        user = current.get_one(User, actor.user_id)
        target = ("person", user.public_id, user.name)
        changes = {"device": {"from": device, "to": None}}
        trail.record(current, actor, "person.signed_out", target=target, changes=changes)


def end_all(current: Session, user: User, but: UUID | None = None) -> int:
    """End every session of the user, `but` this one; how many there were.

    In the transaction that makes them end, after the user's row was locked.
    """
    wanted = delete(UserSession).where(UserSession.user_id == user.id, UserSession.id != but)
    return len(current.execute(wanted.returning(UserSession.id)).all())


def cut_off(current: Session, user: User, but: UUID | None = None) -> int:
    """End the user's sessions as `end_all` does, and know none of their browsers any more: for one
    whose password others may have."""
    devices.forget_devices(current, user)
    return end_all(current, user, but)


def confirm(current: Session, actor: Actor, session_id: UUID) -> bool:
    """Note that the person has just proved who they are; False where the session has ended."""
    own = (UserSession.id == session_id, UserSession.user_id == actor.user_id)
    proved = update(UserSession).where(*own).values(confirmed_at=common_now())
    return bool(current.execute(proved.returning(UserSession.id)).all())


def is_confirmed(confirmed_at: datetime) -> bool:
    """Whether a proof from then still does."""
    return common_now() - confirmed_at < CONFIRMED_FOR


def remove_old() -> None:
    """Forget the sessions that ended by time."""
    remove_in_steps(UserSession.id, _is_over())


def _is_over() -> ColumnElement[bool]:
    unseen = UserSession.last_seen_on < _today() - SEEN_WITHIN
    return or_(UserSession.created_at <= _oldest(), unseen)


def _oldest() -> datetime:
    return common_now() - timedelta(days=settings().session_days)


def _today() -> date:
    return common_now().astimezone(settings().timezone).date()
