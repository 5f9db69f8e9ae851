"""Plans for an asset: reservations and maintenance."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base, partial_index
from portal.lib.clock import common_now
from portal.lib.ids import public_id
from portal.models.assets import Asset
from portal.models.assignments import Staff
from portal.models.people import User


class ReservationState(StrEnum):
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    FULFILLED = "fulfilled"
    EXPIRED = "expired"


class MaintenanceType(StrEnum):
    PREVENTIVE = "preventive"
    CORRECTIVE = "corrective"
    INSPECTION = "inspection"
    CALIBRATION = "calibration"
    UPGRADE = "upgrade"


class MaintenanceState(StrEnum):
    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class MaintenanceOutcome(StrEnum):
    """The outcomes of a maintenance: no issues, repaired, or couldn't be repaired."""

    OK = "ok"
    REPAIRED = "repaired"
    FAILED = "failed"


OPEN_RESERVATIONS: Final = (ReservationState.PENDING, ReservationState.APPROVED)
OPEN_MAINTENANCES: Final = (MaintenanceState.SCHEDULED, MaintenanceState.IN_PROGRESS)
# The predicates of the partial indexes.
IS_WANTED: Final = "state IN ('pending', 'approved')"
IS_PLANNED: Final = "state IN ('scheduled', 'in_progress')"
IS_BEING_DONE: Final = "state = 'in_progress'"


class Reservation(Base):
    """A staff member's reservation of an asset from `starts_at` until just before `ends_at`.

    Approved ones never overlap. The asset's row is locked during this check. `reason`: for its
    rejection or cancellation. `decided_*`: the last approval or rejection.
    """

    __tablename__ = "reservations"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    purpose: Mapped[str] = mapped_column(String(200), default="")
    state: Mapped[str] = mapped_column(String(16), default=ReservationState.PENDING)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    decided_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(String(200), default="")
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    closed_at: Mapped[datetime | None]

    asset: Mapped[Asset] = relationship()
    staff: Mapped[Staff] = relationship()
    decided_by: Mapped[User | None] = relationship()

    __table_args__ = (
        CheckConstraint("starts_at < ends_at", name="times"),
        Index("ix_reservations_asset_id_id", "asset_id", "id"),
        Index("ix_reservations_state_id", "state", "id"),
        partial_index("ix_reservations_wanted", "ends_at", where=IS_WANTED),
        {"sqlite_autoincrement": True},
    )


class Maintenance(Base):
    """Work on an asset, due on a day. With `repeat_every_days`, completing it plans the next one.

    `status_before`: the asset's status before the work started, to restore after a cancellation.
    """

    __tablename__ = "maintenances"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    title: Mapped[str] = mapped_column(String(120))
    type: Mapped[str] = mapped_column(String(16), default=MaintenanceType.PREVENTIVE)
    due_on: Mapped[date]
    state: Mapped[str] = mapped_column(String(16), default=MaintenanceState.SCHEDULED)
    repeat_every_days: Mapped[int | None]
    assignee_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    supplier: Mapped[str | None] = mapped_column(String(120))
    estimated_cost: Mapped[Decimal | None]
    status_before: Mapped[str | None] = mapped_column(String(16))
    started_at: Mapped[datetime | None]
    completed_on: Mapped[date | None]
    outcome: Mapped[str | None] = mapped_column(String(16))
    cost: Mapped[Decimal | None]
    performed_by_id: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True)
    note: Mapped[str] = mapped_column(String(1000), default="")
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    closed_at: Mapped[datetime | None]

    asset: Mapped[Asset] = relationship()
    assignee: Mapped[Staff | None] = relationship(foreign_keys=[assignee_id])
    performed_by: Mapped[Staff | None] = relationship(foreign_keys=[performed_by_id])

    __table_args__ = (
        CheckConstraint("repeat_every_days > 0", name="repeat"),
        CheckConstraint("estimated_cost >= 0 AND cost >= 0", name="costs"),
        Index("ix_maintenances_asset_id_id", "asset_id", "id"),
        Index("ix_maintenances_state_id", "state", "id"),
        partial_index("ix_maintenances_planned", "due_on", "id", where=IS_PLANNED),
        # An asset has at most one maintenance in progress.
        partial_index(
            "uq_maintenances_being_done",
            "asset_id",
            unique=True,
            where=IS_BEING_DONE,
        ),
        {"sqlite_autoincrement": True},
    )
