"""Keep a row for each browser in which a user is signed in.

A session ends when its row is deleted, in the transaction of the cause. A cookie without a row is
worthless. Times are by the web machine's clock, by which cookies end as well.
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

BY_PASSWORD: Final = "password"  # noqa: S105 - a way to sign in, not a password
UNKNOWN_DEVICE: Final = "Unknown browser"
# Time for which a confirmed identity is enough for people, keys, tokens, and secrets.
CONFIRMED_FOR: Final = timedelta(minutes=15)
# A session is idle for at most a day (`SESSION_IDLE_MINUTES`). One last seen at the end of the 1st
# is over before the 3rd begins. One more day covers a day that was written late.
SEEN_WITHIN: Final = timedelta(days=2)
MOST_LISTED: Final = 50

last_seen: Final = LastSeen(UserSession.id, UserSession.last_seen_on)


class Admission(NamedTuple):
    """A person who was let in, and their new session."""

    user: User
    session_id: UUID


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session as its owner sees it. `last_seen_on` is a day in the portal's time zone."""

    id: UUID
    device: str
    created_at: datetime
    last_seen_on: date
    is_this: bool


def begin(current: Session, user: User, device: str) -> Admission:
    """Begin a session for a person who just entered their password, or chose one by an unused link.

    Sessions begin only here. Call it in the transaction of that proof, with the user's row locked,
    so that ending all sessions at this moment ends this one too.
    """
    now = common_now()
    row = UserSession(
        id=uuid4(),
        user_id=user.id,
        way=BY_PASSWORD,
        device=device,
        created_at=now,
        confirmed_at=now,
        last_seen_on=today(),
    )
    current.add(row)
    return Admission(user, row.id)


def find(session_id: UUID) -> tuple[User, UserSession] | None:
    """Find a session and its user. Return None if it has ended or the user can't sign in."""
    query = (
        select(User, UserSession, organization.STORED_VERSION)
        .join(UserSession, UserSession.user_id == User.id)
        .where(UserSession.id == session_id, UserSession.created_at > _oldest(), User.is_active)
    )
    match = session().execute(query).one_or_none()
    if match is None:
        return None
    user, row, version = match
    if not organization.is_in_force(version):
        organization.refresh(session().connection())
    last_seen.note(session_id, row.last_seen_on)
    return user, row


def open_sessions(actor: Actor, this: UUID) -> list[OpenSession]:
    """List the person's sessions, `this` browser first, then the newest, at most `MOST_LISTED`."""
    query = (
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
        for row in session().scalars(query)
    ]


def end(actor: Actor, session_id: UUID) -> None:
    """Sign out one of the person's own browsers, so that copies of its cookie stop working.

    Does nothing for a session that has ended or is another person's.
    """
    with writing() as current:
        own = (UserSession.id == session_id, UserSession.user_id == actor.user_id)
        ended = delete(UserSession).where(*own).returning(UserSession.device)
        device = current.execute(ended).scalar_one_or_none()
        if device is None:
            return
        user = current.get_one(User, actor.user_id)
        audit.record_person(current, actor, "person.signed_out", user, device=(device, None))


def end_all(current: Session, user: User, but: UUID | None = None) -> int:
    """End every session of the user, `but` this one, and return their number.

    Call it in the transaction of the cause, after the user's row was locked.
    """
    statement = delete(UserSession).where(UserSession.user_id == user.id, UserSession.id != but)
    return len(current.execute(statement.returning(UserSession.id)).all())


def cut_off(current: Session, user: User, but: UUID | None = None) -> int:
    """End the user's sessions as `end_all` does, and forget their browsers.

    For a user whose password others might have.
    """
    forget_devices(current, user)
    return end_all(current, user, but)


def confirm(current: Session, actor: Actor, session_id: UUID) -> bool:
    """Note that the person just proved their identity. Return False if the session has ended."""
    own = (UserSession.id == session_id, UserSession.user_id == actor.user_id)
    proved = update(UserSession).where(*own).values(confirmed_at=common_now())
    return bool(current.execute(proved.returning(UserSession.id)).all())


def is_confirmed(confirmed_at: datetime) -> bool:
    """Return whether a proof of identity from then is still enough."""
    return common_now() - confirmed_at < CONFIRMED_FOR


def remove_old() -> None:
    """Delete expired sessions."""
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
    """Return the device of this user's entry, or None if no entry is genuine and still valid.

    Everything else in the cookie is ignored, because anyone can write one.
    """
    for entry in _entries(cookie):
        owner, device, _ = entry.split(".")
        if owner != user.public_id.hex:
            continue
        device_id = UUID(hex=device)
        if hmac.compare_digest(entry, _entry(user, device_id)) and not _is_old(device_id):
            return device_id
    return None


def with_new(cookie: str, user: User) -> str:
    """Return the cookie with a new device for this user. Keeps the latest four of other users.

    The device is new at every sign-in, so a copy of the old one only uses up that one's attempts.
    """
    others = [entry for entry in _entries(cookie) if not entry.startswith(user.public_id.hex)]
    return BETWEEN.join([_entry(user, public_id()), *others[: MOST - 1]])


def forget_devices(current: Session, user: User) -> None:
    """Forget all known browsers of this user, in the caller's transaction."""
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
    """Return whether a device is too old. Its UUID v7 begins with milliseconds since 1970."""
    made_at = datetime.fromtimestamp((device.int >> 80) / 1000, UTC)
    return common_now() - made_at > LASTS


@lru_cache(maxsize=8)
def _key(secret_key: str) -> bytes:
    return HKDF(SHA256(), length=32, salt=None, info=b"device cookie").derive(secret_key.encode())
