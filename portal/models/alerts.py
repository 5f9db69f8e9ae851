"""Alerts: what time brought about and was told of, how people want it, and when we looked."""

import uuid
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, String, false, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base, Big
from portal.lib.clock import common_now
from portal.lib.ids import public_id
from portal.models.assets import Asset


class RunKind(StrEnum):
    """The start of a run: the time of day, or a person."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


class RunOutcome(StrEnum):
    """The end of a run. `ASKED`: nothing was sent, because a person has to decide first."""

    DONE = "done"
    ASKED = "asked"
    STOPPED = "stopped"
    FAILED = "failed"


class FirstAnswer(StrEnum):
    """The decision about all that was due before the first run."""

    SEND = "send"
    MARK = "mark"
    NOTHING = "nothing"


# The predicate of the partial index.
IS_STANDING: Final = "resolved_at IS NULL"


class Alert(Base):
    """One line of the ledger: an alert that fired, once for each `dedupe_key`.

    `matter` is the key without the number of a reminder: what has to pass for it to be over.
    `details` are its event's own keys, in their form on the wire. `is_sent` False: it was marked
    as already sent, and has no event. `resolved_at`: the matter has passed, or a later reminder
    stands for it. `mailed_at`: when its emails were stored, to the addresses `mailed_to`, and where
    `is_holder_told` to the holder; it is that of their rows. None while it is new.
    """

    __tablename__ = "alerts"

    id: Mapped[Big] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    event: Mapped[str] = mapped_column(String(40))
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    maintenance_id: Mapped[int | None]
    assignment_id: Mapped[int | None]
    matter: Mapped[str] = mapped_column(String(100))
    dedupe_key: Mapped[str] = mapped_column(String(120), unique=True)
    event_id: Mapped[Big | None] = mapped_column(ForeignKey("events.id", ondelete="SET NULL"))
    fired_at: Mapped[datetime] = mapped_column(default=common_now)
    is_sent: Mapped[bool] = mapped_column(default=True)
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    resolved_at: Mapped[datetime | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    acknowledged_by: Mapped[str | None] = mapped_column(String(120))
    mailed_at: Mapped[datetime | None]
    mailed_to: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    is_holder_told: Mapped[bool] = mapped_column(default=False, server_default=false())

    asset: Mapped[Asset] = relationship()

    __table_args__ = (
        Index("ix_alerts_asset_id_id", "asset_id", "id"),
        Index("ix_alerts_event_id", "event_id"),
        Index("ix_alerts_by_event", "event", "id"),
        # Finds what is new, and what a row of `mails` tells of.
        Index("ix_alerts_mailed_at", "mailed_at", "id"),
        Index(
            "ix_alerts_standing",
            "asset_id",
            "id",
            sqlite_where=text(IS_STANDING),
            postgresql_where=text(IS_STANDING),
        ),
        {"sqlite_autoincrement": True},
    )


class AlertSettings(Base):
    """The organisation's alert settings: one row, made by the first change.

    `time_of_day` is "HH:MM" in the portal's time zone. `mail_*`: the addresses that get emails of a
    kind. `holder_text`: a paragraph of the organisation's in the reminder to a holder.
    `first_answer*`: what was decided about everything that was due before the first run; None until
    then.
    """

    __tablename__ = "alert_settings"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    warranty_on: Mapped[bool]
    warranty_days: Mapped[int]
    maintenance_on: Mapped[bool]
    maintenance_days: Mapped[int]
    overdue_on: Mapped[bool]
    repeat_every_days: Mapped[int | None]
    low_stock_on: Mapped[bool]
    time_of_day: Mapped[str] = mapped_column(String(5))
    mail_overdue: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    mail_maintenance: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    mail_warranty: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    mail_low_stock: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    remind_holder: Mapped[bool] = mapped_column(default=False, server_default=false())
    holder_text: Mapped[str] = mapped_column(default="", server_default="")
    first_answer: Mapped[str | None] = mapped_column(String(8))
    first_answer_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)


class AlertRun(Base):
    """One check for what has become due. `slot`: the day whose scheduled run this is.

    `counts`: how many fired, by event. `audiences`: the same by audience: "2+1" were sent to
    two webhooks and held for one that is off, "2+1+3" kept from three by their conditions, and with
    "+1" behind it sent to the built-in inbox too. `mailed_to`, `holders_told`: how many addresses
    and holders were emailed about them.
    `waiting`: how many would have fired, until an administrator decides. `outcome` None: still at
    work. `task_public_id`: the piece of long work that does it.
    """

    __tablename__ = "alert_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(10))
    slot: Mapped[date | None] = mapped_column(unique=True)
    started_at: Mapped[datetime] = mapped_column(default=common_now)
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(8))
    is_marking: Mapped[bool] = mapped_column(default=False)
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    audiences: Mapped[dict[str, Any]] = mapped_column(default=dict)
    mailed_to: Mapped[int] = mapped_column(default=0, server_default="0")
    holders_told: Mapped[int] = mapped_column(default=0, server_default="0")
    waiting: Mapped[int] = mapped_column(default=0)
    task_public_id: Mapped[uuid.UUID | None]
    actor_name: Mapped[str] = mapped_column(String(120))

    __table_args__ = ({"sqlite_autoincrement": True},)
