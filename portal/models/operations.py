"""Submitted forms, the key check, processes, the organization, and the switch of all sending."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base
from portal.lib.clock import common_now


class Submission(Base):
    """A form that created something. A second submission with the same `once` gets its result.

    `owner` is `user:<id>`, `link:<hash>` for a form without sign-in, or `token:<id>` for a program,
    whose idempotency key becomes `once`. `fingerprint`: a hash of the program's request.
    """

    __tablename__ = "submissions"

    id: Mapped[int] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(String(80))
    once: Mapped[uuid.UUID]
    result_path: Mapped[str] = mapped_column(default="")
    fingerprint: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(default=common_now, index=True)

    __table_args__ = (UniqueConstraint("owner", "once"),)


class KeyCheck(Base):
    """One row that is encrypted with the installation's key. A wrong key prevents the start."""

    __tablename__ = "key_checks"

    id: Mapped[int] = mapped_column(primary_key=True)
    sealed: Mapped[bytes]


class Process(Base):
    """The last heartbeat of a process or of a periodic task, by its name.

    `trouble`: its database problem as `portal.database.trouble` writes it. `skew`: seconds that the
    database's clock is ahead of its own. `host`: its machine, by the setting MACHINE.
    `offline_since`: the time since which it can't connect to the space-separated `offline_hosts`.
    `run`: the same as in its leases (`services/core/heartbeats.py`). `steady_since`: the start of
    its uninterrupted heartbeats.
    """

    __tablename__ = "processes"

    name: Mapped[str] = mapped_column(String(120), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), index=True)
    host: Mapped[str] = mapped_column(String(120), default="")
    pid: Mapped[int | None]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    trouble: Mapped[str | None]
    skew: Mapped[float] = mapped_column(default=0.0)
    offline_since: Mapped[datetime | None]
    offline_hosts: Mapped[str | None]
    run: Mapped[uuid.UUID | None]
    steady_since: Mapped[datetime | None]


class Organization(Base):
    """The organization's settings, in one row that the first change of the defaults creates."""

    __tablename__ = "organization"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    time_zone: Mapped[str]
    currency: Mapped[str] = mapped_column(String(3))
    version: Mapped[int]

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)


class SendingSwitch(Base):
    """One row while a person has paused all sending, and none while it is on."""

    __tablename__ = "sending_switch"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    stopped_at: Mapped[datetime]
    stopped_by: Mapped[str] = mapped_column(String(120))
    stopped_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))

    __table_args__ = (CheckConstraint("id = 1", name="one_row"),)
