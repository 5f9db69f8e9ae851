"""Alerts that dates and stock levels trigger, their settings, and the runs that check for them."""

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
    """The trigger of a run: the time of day, or a person."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


class RunOutcome(StrEnum):
    """The result of a run. `ASKED`: nothing was sent because a person has to decide first."""

    DONE = "done"
    ASKED = "asked"
    STOPPED = "stopped"
    FAILED = "failed"


class FirstAnswer(StrEnum):
    """The decision about alerts that were due before the first run."""

    SEND = "send"
    MARK = "mark"
    NOTHING = "nothing"


# The predicate of the partial index.
IS_STANDING: Final = "resolved_at IS NULL"


class Alert(Base):
    """An alert that fired, once for each `dedupe_key`.

    `matter`: the key without a reminder's number. It identifies the condition that has to end.
    `details`: its event's own keys in wire form. `is_sent` False: it was marked as already sent and
    has no event. `resolved_at`: its condition ended, or a later reminder replaced it. `mailed_at`:
    the `created_at` of its emails, None for a new alert. They are for the addresses `mailed_to`
    and, if `is_holder_told`, for the holder.
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
        # Finds new alerts, and the alerts of a row in `mails`.
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
    """The organization's alert settings, in one row that the first change creates.

    `time_of_day` is "HH:MM" in the portal's time zone. `mail_*`: the addresses that get emails of a
    kind. `holder_text`: the organization's own paragraph in the reminder to a holder.
    `first_answer*`: the decision about alerts that were due before the first run, None until then.
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
    """One check for due alerts. `slot`: the day of a scheduled run.

    `counts`: fired alerts by event. `audiences`: the same by audience. "2+1" means sent to two
    webhooks and held for one that is off. "2+1+3" means also withheld from three by their
    conditions. A further "+1" means also sent to the built-in inbox. `mailed_to`, `holders_told`:
    the number of addresses and holders that got emails. `waiting`: the number of alerts that would
    have fired and wait for an administrator's decision. `outcome` None: still running.
    `task_public_id`: the task that runs it.
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
