"""The audit trail, and the people who were erased from it."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib.clock import common_now


class AuditEntry(Base):
    """One change: actor, action, target, time. Triggers refuse update and delete."""

    __tablename__ = "audit_entries"

    id: Mapped[Big] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=common_now)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    actor_name: Mapped[str] = mapped_column(String(120))
    origin: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(64))
    target_kind: Mapped[str] = mapped_column(String(32))
    target_id: Mapped[str] = mapped_column(String(64))
    target_name: Mapped[str] = mapped_column(String(254))
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict)

    __table_args__ = (
        Index("ix_audit_entries_target_kind_target_id_id", "target_kind", "target_id", "id"),
        Index("ix_audit_entries_actor_id_id", "actor_id", "id"),
        Index("ix_audit_entries_at", "at"),
        {"sqlite_autoincrement": True},
    )


class ErasedKind(StrEnum):
    """Whom an erasure is about: who holds assets, or who signs in."""

    STAFF = "staff"
    USER = "user"


class Erasure(Base):
    """A person who is being erased, or was; `id` is the number that stands in place of the name.

    While `finished_at` is None the triggers of what is append-only let names change. `known_as`:
    {names, emails} that are still to be found, and which of them inside longer texts (`sought`);
    nothing once it is finished. `counts`: rows that were changed, by their table.
    `task_public_id`: the long work that does it.
    """

    __tablename__ = "erasures"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    person_id: Mapped[int]
    by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    known_as: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    task_public_id: Mapped[uuid.UUID | None]
    started_at: Mapped[datetime] = mapped_column(default=common_now)
    finished_at: Mapped[datetime | None]

    __table_args__ = (UniqueConstraint("kind", "person_id"), {"sqlite_autoincrement": True})
