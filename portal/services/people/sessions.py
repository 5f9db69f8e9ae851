"""Sessions: a row for each browser in which somebody is signed in.

What ends a session deletes its row, in the transaction of what ends it; a cookie without its row
is worth nothing. Times are by the clock of the web machine, by which cookies end as well.
"""

import hmac
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import ColumnElement, case, delete, or_, select, update
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import common_now
from portal.lib.ids import public_id
from portal.models.people import User, UserSession
from portal.services import audit
from portal.services.core import organization
from portal.services.core.permissions import Actor
from portal.services.core.queries import remove_in_steps
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.services.people.last_seen import LastSeen

BY_PASSWORD: Final = "password"  # noqa: S105 - the way in, not one
UNKNOWN_DEVICE: Final = "Unknown browser"
# How long a proof of who one is does for people, keys, tokens and secrets.
CONFIRMED_FOR: Final = timedelta(minutes=15)
# Nobody is idle for longer than a day (`SESSION_IDLE_MINUTES`): who was last seen on the 1st, even
# at its end, is out before the 3rd begins. A day more, for one that was written late.
SEEN_WITHIN: Final = timedelta(days=2)
MOST_LISTED: Final = 50

last_seen: Final = LastSeen(UserSession.id, UserSession.last_seen_on)


class Admission(NamedTuple):
    """A person who was let in, and the session that began with it."""

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
        last_seen_on=today(),
    )
    current.add(made)
    return Admission(user, made.id)


def find(session_id: UUID) -> tuple[User, UserSession] | None:
    """Find a session and its person; None when it ended, or the person may not sign in."""
    wanted = (
        select(User, UserSession, organization.STORED_VERSION)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.id == session_id, UserSession.created_at > _oldest(), User.is_active)
    )
    found = session().execute(wanted).one_or_none()
    if found is None:
        return None
    user, row, version = found
    if not organization.is_in_force(version):
        organization.refresh(session().connection())
    last_seen.note(session_id, row.last_seen_on)
    return user, row


def open_sessions(actor: Actor, this: UUID) -> list[OpenSession]:
    """List where the person is signed in: `this` browser first, then the newest, `MOST_LISTED` at
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
        audit.record_person(current, actor, "person.signed_out", user, device=(device, None))


def end_all(current: Session, user: User, but: UUID | None = None) -> int:
    """End every session of the user, `but` this one; how many there were.

    In the transaction that makes them end, after the user's row was locked.
    """
    wanted = delete(UserSession).where(UserSession.user_id == user.id, UserSession.id != but)
    return len(current.execute(wanted.returning(UserSession.id)).all())


def cut_off(current: Session, user: User, but: UUID | None = None) -> int:
    """End the user's sessions as `end_all` does, and know none of their browsers any more: for one
    whose password others may have."""
    forget_devices(current, user)
    return end_all(current, user, but)


def confirm(current: Session, actor: Actor, session_id: UUID) -> bool:
    """Note that the person has just proved who they are; False where the session has ended."""
    own = (UserSession.id == session_id, UserSession.user_id == actor.user_id)
    proved = update(UserSession).where(*own).values(confirmed_at=common_now())
    return bool(current.execute(proved.returning(UserSession.id)).all())


def is_confirmed(confirmed_at: datetime) -> bool:
    """Return whether a proof from then still does."""
    return common_now() - confirmed_at < CONFIRMED_FOR


def remove_old() -> None:
    """Forget the sessions that ended by time."""
    remove_in_steps(UserSession.id, _is_over())


def _is_over() -> ColumnElement[bool]:
    unseen = UserSession.last_seen_on < today() - SEEN_WITHIN
    return or_(UserSession.created_at <= _oldest(), unseen)


def _oldest() -> datetime:
    return common_now() - timedelta(days=settings().session_days)


LASTS: Final = timedelta(days=180)
MOST: Final = 5
ENTRY: Final = re.compile(r"([0-9a-f]{32})\.([0-9a-f]{32})\.[0-9a-f]{64}")
BETWEEN: Final = "-"
LONGEST: Final = MOST * (32 + 1 + 32 + 1 + 64) + MOST - 1


def recognized(cookie: str, user: User) -> UUID | None:
    """The device of the entry for this user; None where no entry is ours, or none is good still.

    Whatever else stands in the cookie is passed over: anybody may write one.
    """
    for entry in _entries(cookie):
        owner, device, _ = entry.split(".")
        if owner != user.public_id.hex:
            continue
        found = UUID(hex=device)
        if hmac.compare_digest(entry, _entry(user, found)) and not _is_old(found):
            return found
    return None


def with_new(cookie: str, user: User) -> str:
    """The cookie with a new device for this user. Those of others stay, the latest four of them.

    New at every sign-in: who has a copy of the old one uses up the attempts of that one alone.
    """
    others = [entry for entry in _entries(cookie) if not entry.startswith(user.public_id.hex)]
    return BETWEEN.join([_entry(user, public_id()), *others[: MOST - 1]])


def forget_devices(current: Session, user: User) -> None:
    """No browser is known as this user's any more. In the transaction of what it belongs to."""
    moved = update(User).where(User.id == user.id)
    current.execute(moved.values(devices_version=User.devices_version + 1))


def _entries(cookie: str) -> list[str]:
    if len(cookie) > LONGEST:
        return []
    return [part for part in cookie.split(BETWEEN) if ENTRY.fullmatch(part)]


def _entry(user: User, device: UUID) -> str:
    text = f"{user.public_id.hex}.{device.hex}"
    signed = f"{text}.{user.devices_version}".encode()
    mac = hmac.digest(_key(settings().secret_key), signed, "sha256")
    return f"{text}.{mac.hex()}"


def _is_old(device: UUID) -> bool:
    """Its id is of version 7: it begins with the milliseconds since 1970 when it was made."""
    made_at = datetime.fromtimestamp((device.int >> 80) / 1000, UTC)
    return common_now() - made_at > LASTS


@lru_cache(maxsize=8)
def _key(secret_key: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"device cookie").derive(secret_key.encode())
