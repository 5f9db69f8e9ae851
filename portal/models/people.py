"""Users, their sessions, one-time links, the sign-in throttle, and tokens of programs."""

import uuid
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class Role(StrEnum):
    """The role of a user (`portal/services/core/permissions.py`)."""

    ADMIN = "admin"
    MANAGER = "manager"
    SUPPORT = "support"
    VIEWER = "viewer"


class LinkKind(StrEnum):
    """The purpose of a one-time link."""

    SETUP = "setup"
    INVITE = "invite"
    RESET = "reset"


class User(Base):
    """A person who signs in. A new `devices_version` makes all known browsers unknown."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(254))
    password_hash: Mapped[str]
    role: Mapped[str] = mapped_column(String(16))
    is_active: Mapped[bool] = mapped_column(default=True)
    devices_version: Mapped[int] = mapped_column(default=1)
    time_zone: Mapped[str | None] = mapped_column(String(64))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=common_now)

    __table_args__ = (Index("uq_users_email", func.lower(text("email")), unique=True),)


class Link(Base):
    """A one-time link to set up the portal, accept an invitation, or choose a new password.

    Only its hash is stored. `email`: its recipient. `shown_until`: the time until which its creator
    can still see it.
    """

    __tablename__ = "links"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    kind: Mapped[str] = mapped_column(String(16))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    email: Mapped[str | None] = mapped_column(String(254))
    role: Mapped[str] = mapped_column(String(16))
    created_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    shown_until: Mapped[datetime | None]


class SignInThrottle(Base):
    """Failed attempts for one key (`sign_in_throttle.Key`), of which only a hash is stored."""

    __tablename__ = "sign_in_throttles"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int] = mapped_column(default=0)
    first_failed_at: Mapped[datetime] = mapped_column(default=common_now)
    last_failed_at: Mapped[datetime]
    blocked_until: Mapped[datetime | None]


class UserSession(Base):
    """A browser in which a user is signed in. Its cookie is invalid without this row.

    `way`: the way of signing in. `device`: the browser in words. `confirmed_at`: the last time that
    the user proved their identity. `last_seen_on`: a day in the portal's time zone.
    """

    __tablename__ = "sessions"

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    way: Mapped[str] = mapped_column(String(16))
    device: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    confirmed_at: Mapped[datetime]
    last_seen_on: Mapped[date]


class Token(Base):
    """The token of a program that uses the API. It belongs to the portal, not to its creator.

    Only its hash is stored. A revoked token keeps its row and its name for the audit trail.
    `last_used_on`: a day in the portal's time zone.
    """

    __tablename__ = "tokens"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    name: Mapped[str] = mapped_column(String(80))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    read_only: Mapped[bool] = mapped_column(default=False)
    made_by: Mapped[str] = mapped_column(String(120))
    made_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    ends_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_on: Mapped[date | None]

    __table_args__ = (Index("uq_tokens_name", func.lower(text("name")), unique=True),)
