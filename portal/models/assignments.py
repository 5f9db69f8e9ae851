"""Staff, assignments of assets, and incidents."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base, partial_index
from portal.lib.clock import common_now
from portal.lib.ids import public_id
from portal.models.assets import Asset


class AssignmentKind(StrEnum):
    """An allocation has no due time. A check-out has one."""

    ALLOCATION = "allocation"
    CHECKOUT = "checkout"


class IncidentKind(StrEnum):
    """The kinds of incidents. Receivers get the ID under a different name for each kind."""

    TRANSFER = "transfer"
    LOST = "lost"
    BROKEN = "broken"
    WARRANTY = "warranty"
    LIQUIDATION = "liquidation"


class Staff(Base):
    """A person who can hold assets. Can't be deleted, so that the timeline keeps its people."""

    __tablename__ = "staff"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    name: Mapped[str] = mapped_column(String(120))
    email: Mapped[str] = mapped_column(String(254))
    employee_no: Mapped[str | None] = mapped_column(String(40))
    department: Mapped[str | None] = mapped_column(String(120))
    phone: Mapped[str | None] = mapped_column(String(40))
    is_active: Mapped[bool] = mapped_column(default=True)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=common_now)

    __table_args__ = (
        Index("uq_staff_email", func.lower(text("email")), unique=True),
        # Sorts the list of assets by holder.
        Index("ix_staff_name_id", func.lower(text("name")), "id"),
        {"sqlite_autoincrement": True},
    )


class Assignment(Base):
    """An allocation or check-out of an asset, open until `ended_at`. An asset has one at most.

    `location`: the asset's location at the start ({id, name} of that time). `end_reason`: the
    action that ended it. `reservation_id`: the reservation that it fulfilled.
    """

    __tablename__ = "assignments"

    id: Mapped[int] = mapped_column(primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    staff_id: Mapped[int] = mapped_column(ForeignKey("staff.id"), index=True)
    kind: Mapped[str] = mapped_column(String(12))
    started_at: Mapped[datetime]
    due_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(40))
    location: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    condition_out: Mapped[str] = mapped_column(String(16))
    condition_in: Mapped[str | None] = mapped_column(String(16))
    purpose: Mapped[str] = mapped_column(String(200), default="")
    notes: Mapped[str] = mapped_column(default="")
    reservation_id: Mapped[int | None]

    asset: Mapped[Asset] = relationship()
    staff: Mapped[Staff] = relationship()

    __table_args__ = (
        partial_index(
            "uq_assignments_open",
            "asset_id",
            unique=True,
            where="ended_at IS NULL",
        ),
        # Finds a person's current assets.
        partial_index(
            "ix_assignments_holding",
            "staff_id",
            "asset_id",
            where="ended_at IS NULL",
        ),
        Index("ix_assignments_asset_id_id", "asset_id", "id"),
        partial_index(
            "ix_assignments_due_at",
            "due_at",
            "asset_id",
            where="ended_at IS NULL AND due_at IS NOT NULL",
        ),
        {"sqlite_autoincrement": True},
    )


class Incident(Base):
    """A transfer, loss, damage, warranty claim, or disposal. `closed_at`: the end of it.

    `details`: the facts in its event. A transfer ends right away.
    """

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    kind: Mapped[str] = mapped_column(String(12))
    at: Mapped[datetime]
    status_from: Mapped[str] = mapped_column(String(16))
    details: Mapped[dict[str, Any]] = mapped_column(default=dict)
    closed_at: Mapped[datetime | None]

    __table_args__ = (
        Index("ix_incidents_asset_id_id", "asset_id", "id"),
        {"sqlite_autoincrement": True},
    )
