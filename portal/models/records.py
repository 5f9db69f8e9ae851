"""What keeps the portal honest: the audit trail, submitted forms, the key canary, processes."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib.clock import utcnow


class AuditEntry(Base):
    """Who did what and when. Written with the change; triggers refuse update and delete."""

    __tablename__ = "audit_entries"

    id: Mapped[Big] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=utcnow)
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


class Submission(Base):
    """A form that created something: sent twice, its `once` leads to the first result.

    `owner` is `user:<id>`, or `link:<hash>` for a form without sign-in.
    """

    __tablename__ = "submissions"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(80))
    once: Mapped[uuid.UUID]
    result_path: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime] = mapped_column(default=utcnow, index=True)

    __table_args__ = (UniqueConstraint("owner", "once"),)


class Canary(Base):
    """One row encrypted with the installation's key: a wrong key refuses to start."""

    __tablename__ = "canary"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]


class Process(Base):
    """The last sign of life of a process or of a recurring duty, by its name."""

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), index=True)
    host: Mapped[str] = mapped_column(String(120), default="")
    pid: Mapped[int | None]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
