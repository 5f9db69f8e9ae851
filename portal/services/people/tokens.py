"""Create, move, revoke, and read programs' tokens. The database stores hashes."""

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.lib.typed_text import tidy
from portal.models.people import Role, Token, User
from portal.services import audit
from portal.services.core.permissions import (
    COMMAND_LINE,
    DEMO,
    NOBODY,
    SYSTEM,
    Actor,
    is_live,
    require,
    token_allows,
)
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import database_time, keep_unique, session, writing
from portal.services.people.last_seen import LastSeen

PERMISSION: Final = "api.manage"
MOST: Final = 100
LONGEST_NAME: Final = 80
LONGEST_DAYS: Final = 3650
USUAL_DAYS: Final = 365
# A person who gives up a token can leave the program running for a while.
ENDS_SOON: Final = timedelta(days=14)
IN_USE: Final = timedelta(days=30)

# Secret scanners recognize tokens by this prefix (docs/security.md).
PREFIX: Final = "awt_"
_TOKEN: Final = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")
_OWN: Final = frozenset(each.name.lower() for each in (SYSTEM, COMMAND_LINE, NOBODY, DEMO))

last_seen: Final = LastSeen(Token.id, Token.last_used_on)


@dataclass(frozen=True, slots=True)
class Program:
    """The program behind a token, as of this request."""

    actor: Actor
    role: Role
    read_only: bool
    ends_at: datetime | None

    def may(self, permission: str) -> bool:
        """Return whether the token has `permission`."""
        return token_allows(self.role, permission, read_only=self.read_only)


def create(
    actor: Actor, name: str, role: Role, *, read_only: bool, days: int | None
) -> tuple[UUID, str]:
    """Store a token that ends after `days`, or never. Return its public id and the token.

    No one can read the token again.
    """
    made = PREFIX + secrets.token_urlsafe(32)
    name = _checked(name)
    with writing() as current:
        maker = require(current, actor, PERMISSION)

        def store() -> Token:
            token = Token(
                name=name,
                token_hash=_digest(made),
                role=role,
                read_only=read_only,
                made_by=actor.name,
                made_by_id=maker.id if maker else None,
                ends_at=_end(current, days),
            )
            current.add(token)
            current.flush()
            return token

        token = keep_unique(current, lambda: _refuse_taken(current, name), store)
        values = {"role": role, "read_only": read_only, "ends": _day(token)}
        _record(
            current, actor, "token.created", token, **{key: (None, values[key]) for key in values}
        )
        return token.public_id, made


def listing() -> Sequence[Token]:
    """List the tokens that weren't revoked, by name."""
    query = select(Token).where(Token.revoked_at.is_(None))
    return session().scalars(query.order_by(func.lower(Token.name))).all()


def find(public_id: UUID) -> Token:
    """Return a token, even if it was revoked. Raises `NotFound`."""
    return _find(session(), public_id)


def state_of(token: Token) -> str:
    """Return "active", "ended", or "revoked"."""
    if token.revoked_at is not None:
        return "revoked"
    return "active" if is_live(token, common_now()) else "ended"


def made_by(public_id: UUID) -> Sequence[str]:
    """Return the names of unrevoked tokens that this person made.

    Anyone who copied them can still use them.
    """
    own_tokens = select(Token.name).join(User, User.id == Token.made_by_id)
    query = own_tokens.where(User.public_id == public_id, Token.revoked_at.is_(None))
    return session().scalars(query.order_by(func.lower(Token.name))).all()


def move_end(actor: Actor, public_id: UUID, days: int | None) -> None:
    """Let the token end `days` from now, or never. An ended one works again."""
    with writing() as current:
        require(current, actor, PERMISSION)
        token = _find(current, public_id, lock=True)
        before = _day(token)
        token.ends_at = _end(current, days)
        _record(current, actor, "token.end_moved", token, ends=(before, _day(token)))


def revoke(actor: Actor, public_id: UUID) -> str:
    """Revoke the token right away and return its name. Work that it started stops, too."""
    with writing() as current:
        require(current, actor, PERMISSION)
        token = _find(current, public_id, lock=True)
        token.revoked_at = database_time(current)
        _record(current, actor, "token.revoked", token)
        return token.name


def program_of(given: str) -> Program | None:
    """Return the program with this token, or None if the token doesn't work."""
    if not _TOKEN.fullmatch(given):
        return None
    current = session()
    token = current.scalars(select(Token).where(Token.token_hash == _digest(given))).one_or_none()
    if token is None or not is_live(token, database_time(current)):
        return None
    last_seen.note(token.id, token.last_used_on)
    actor = Actor(ActorKind.API, None, token.name, Origin.API, token_id=token.id)
    return Program(actor, Role(token.role), token.read_only, token.ends_at)


def ending(now: datetime) -> Sequence[tuple[str, datetime]]:
    """Return (name, end) of tokens in use that end soon or have ended."""
    query = select(Token.name, Token.ends_at).where(
        Token.revoked_at.is_(None),
        Token.ends_at <= now + ENDS_SOON,
        Token.last_used_on >= today() - IN_USE,
    )
    rows = session().execute(query.order_by(Token.ends_at))
    return [(name, ends_at) for name, ends_at in rows if ends_at is not None]


def _find(current: Session, public_id: UUID, *, lock: bool = False) -> Token:
    query = select(Token).where(Token.public_id == public_id)
    if lock:
        query = query.with_for_update().execution_options(populate_existing=True)
    token = current.scalars(query).one_or_none()
    if token is None:
        raise NotFound("There’s no token at this URL.")
    if lock and token.revoked_at is not None:
        raise Refusal("This token was revoked. Create a new one.")
    return token


def _checked(name: str) -> str:
    name = tidy(name)
    if not name:
        raise Refusal("Enter the program’s name", field="name")
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise Refusal(f"Use a name of one line, up to {LONGEST_NAME} characters", field="name")
    if name.lower() in _OWN:
        raise Refusal("The portal uses this name itself. Choose another one", field="name")
    return name


def _refuse_taken(current: Session, name: str) -> None:
    """Refuse a name that another token has or had. The audit trail tells tokens apart by name."""
    if current.execute(select(Token.id).where(func.lower(Token.name) == name.lower())).first():
        raise Refusal("Another token has or had this name. Choose another one", field="name")
    alive = select(func.count()).where(Token.revoked_at.is_(None))
    if current.execute(alive).scalar_one() >= MOST:
        raise Refusal(f"There are already {MOST} tokens. Revoke one first.")


def _end(current: Session, days: int | None) -> datetime | None:
    return None if days is None else database_time(current) + timedelta(days=days)


def _day(token: Token) -> str | None:
    if token.ends_at is None:
        return None
    return token.ends_at.astimezone(settings().timezone).date().isoformat()


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _record(
    current: Session, actor: Actor, action: str, token: Token, **changes: tuple[object, object]
) -> None:
    target = ("token", token.public_id, token.name)
    audit.record(current, actor, action, target=target, changes=audit.from_to(**changes))
