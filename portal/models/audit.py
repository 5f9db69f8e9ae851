"""The audit trail, and erasures of people."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib.clock import common_now


class AuditEntry(Base):
    """One change with its actor, action, target, and time. Triggers refuse UPDATE and DELETE."""

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
    """The kind of person: staff hold assets, users sign in."""

    STAFF = "staff"
    USER = "user"


class Erasure(Base):
    """The erasure of a person. `id`: the number that replaces the name.

    While `finished_at` is None, the triggers of append-only tables allow changes of names.
    `known_as`: {names, emails} that are still to be found, and those to find inside longer texts
    (`sought`), None once finished. `counts`: changed rows by table. `task_public_id`: the task that
    runs it.
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
