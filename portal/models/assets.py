"""The register: assets, their categories and locations, and each asset's timeline."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base, Big, partial_index
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class AssetKind(StrEnum):
    """An `item` is one thing. A `stock` is one kind of consumable with a quantity."""

    ITEM = "item"
    STOCK = "stock"


class AssetStatus(StrEnum):
    """The statuses of an asset. Only actions change them."""

    AVAILABLE = "available"
    ALLOCATED = "allocated"
    CHECKED_OUT = "checked_out"
    MAINTENANCE = "maintenance"
    WARRANTY = "warranty"
    BROKEN = "broken"
    LOST = "lost"
    LIQUIDATED = "liquidated"


class Condition(StrEnum):
    EXCELLENT = "excellent"
    GOOD = "good"
    FAIR = "fair"
    POOR = "poor"
    DAMAGED = "damaged"


class Category(Base):
    """A category of assets. Can't be deleted while in use."""

    __tablename__ = "categories"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    name: Mapped[str] = mapped_column(String(120))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=common_now)

    __table_args__ = (Index("uq_categories_name", func.lower(text("name")), unique=True),)


class Location(Base):
    """A place of assets. Can't be deleted while in use."""

    __tablename__ = "locations"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    name: Mapped[str] = mapped_column(String(120))
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=common_now)

    __table_args__ = (Index("uq_locations_name", func.lower(text("name")), unique=True),)


class Asset(Base):
    """One thing in the register (`item`), or one kind of consumable (`stock`).

    Substring search in tag, name, and serial number uses `asset_words` (SQLite) or
    `ix_asset_words` (PostgreSQL). Only `services/assets/queries.py` and the migration know them.
    """

    __tablename__ = "assets"

    id: Mapped[int] = mapped_column(primary_key=True)
    asset_tag: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(8), default=AssetKind.ITEM)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))
    manufacturer: Mapped[str | None] = mapped_column(String(120))
    model: Mapped[str | None] = mapped_column(String(120))
    serial_number: Mapped[str | None] = mapped_column(String(120))
    status: Mapped[str] = mapped_column(String(16), default=AssetStatus.AVAILABLE)
    condition: Mapped[str] = mapped_column(String(16), default=Condition.GOOD)
    location_id: Mapped[int | None] = mapped_column(ForeignKey("locations.id"))
    supplier: Mapped[str | None] = mapped_column(String(120))
    order_number: Mapped[str | None] = mapped_column(String(120))
    purchase_date: Mapped[date | None]
    purchase_cost: Mapped[Decimal | None]
    warranty_expires: Mapped[date | None]
    reservable: Mapped[bool] = mapped_column(default=True)
    quantity: Mapped[int | None]
    min_quantity: Mapped[int | None]
    unit: Mapped[str | None] = mapped_column(String(40))
    low_stock_alerted_at: Mapped[datetime | None]
    notes: Mapped[str | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    updated_at: Mapped[datetime] = mapped_column(default=common_now)
    deleted_at: Mapped[datetime | None]

    category: Mapped[Category | None] = relationship()
    location: Mapped[Location | None] = relationship()

    __table_args__ = (
        CheckConstraint("purchase_cost >= 0", name="purchase_cost"),
        CheckConstraint("quantity >= 0", name="quantity"),
        partial_index(
            "uq_assets_asset_tag",
            func.lower(text("asset_tag")),
            unique=True,
            where="deleted_at IS NULL",
        ),
        # Includes deleted assets, so that a tag is never reused.
        Index("ix_assets_asset_tag", func.lower(text("asset_tag"))),
        partial_index(
            "uq_assets_serial_number",
            func.lower(text("serial_number")),
            unique=True,
            where="deleted_at IS NULL AND serial_number IS NOT NULL",
        ),
        # The list is sorted by these indexes, with any filter.
        Index("ix_assets_name_id", func.lower(text("name")), "id"),
        Index("ix_assets_updated_at_id", "updated_at", "id"),
        Index("ix_assets_category_id_id", "category_id", "id", "status", "deleted_at"),
        Index("ix_assets_location_id_id", "location_id", "id", "status", "deleted_at"),
        partial_index(
            "ix_assets_no_serial_id", "id", where="deleted_at IS NULL AND serial_number IS NULL"
        ),
        partial_index(
            "ix_assets_status_name",
            "status",
            func.lower(text("name")),
            "id",
            where="deleted_at IS NULL",
        ),
        # The list's chips and the alerts read these indexes.
        partial_index("ix_assets_status_id", "status", "id", where="deleted_at IS NULL"),
        partial_index("ix_assets_deleted_id", "id", where="deleted_at IS NOT NULL"),
        partial_index(
            "ix_assets_low_id",
            "id",
            where="deleted_at IS NULL AND min_quantity IS NOT NULL AND quantity < min_quantity",
        ),
        partial_index(
            "ix_assets_warranty_expires",
            "warranty_expires",
            where="deleted_at IS NULL AND warranty_expires IS NOT NULL",
        ),
        {"sqlite_autoincrement": True},
    )


class Counter(Base):
    """The last used number of a series, so that no number is used twice."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    value: Mapped[int]


class Activity(Base):
    """One line of an asset's timeline, written in the transaction of the change."""

    __tablename__ = "activities"

    id: Mapped[Big] = mapped_column(primary_key=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    at: Mapped[datetime] = mapped_column(default=common_now)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    actor_name: Mapped[str] = mapped_column(String(120))
    origin: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(40))
    status_from: Mapped[str | None] = mapped_column(String(16))
    status_to: Mapped[str | None] = mapped_column(String(16))
    changes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    note: Mapped[str] = mapped_column(default="")
    event_id: Mapped[Big | None] = mapped_column(ForeignKey("events.id", ondelete="SET NULL"))

    __table_args__ = (
        Index("ix_activities_asset_id_id", "asset_id", "id"),
        Index("ix_activities_event_id", "event_id"),
        {"sqlite_autoincrement": True},
    )


class Action(StrEnum):
    """The actions on an asset. The timeline stores these values."""

    CREATE = "create"
    EDIT = "edit"
    DELETE = "delete"
    RESTORE = "restore"
    ALLOCATE = "allocate"
    REVOKE = "revoke"
    REASSIGN = "reassign"
    CHECK_OUT = "check_out"
    CHECK_IN = "check_in"
    CHANGE_DUE_DATE = "change_due_date"
    RESERVE = "reserve"
    APPROVE_RESERVATION = "approve_reservation"
    REJECT_RESERVATION = "reject_reservation"
    CANCEL_RESERVATION = "cancel_reservation"
    EXPIRE_RESERVATION = "expire_reservation"
    SCHEDULE_MAINTENANCE = "schedule_maintenance"
    START_MAINTENANCE = "start_maintenance"
    COMPLETE_MAINTENANCE = "complete_maintenance"
    CANCEL_MAINTENANCE = "cancel_maintenance"
    TRANSFER = "transfer"
    REPORT_LOST = "report_lost"
    REPORT_BROKEN = "report_broken"
    SEND_TO_WARRANTY = "send_to_warranty"
    LIQUIDATE = "liquidate"
    RECEIVE_BACK = "receive_back"
    REPAIR = "repair"
    FIND = "find"
    UNDO_LIQUIDATION = "undo_liquidation"
    RECEIVE_STOCK = "receive_stock"
    ISSUE_STOCK = "issue_stock"
    ADJUST_STOCK = "adjust_stock"


class MoveKind(StrEnum):
    """The reasons for a change of a stock's quantity."""

    RECEIVE = "receive"
    ISSUE = "issue"
    ADJUST = "adjust"
    LOSS = "loss"


class StockMove(Base):
    """One change of a stock's quantity. `balance_after`: the new quantity. Never updated."""

    __tablename__ = "stock_moves"

    id: Mapped[Big] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    asset_id: Mapped[int] = mapped_column(ForeignKey("assets.id"))
    kind: Mapped[str] = mapped_column(String(8))
    delta: Mapped[int]
    balance_after: Mapped[int]
    at: Mapped[datetime] = mapped_column(default=common_now)
    actor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    actor_name: Mapped[str] = mapped_column(String(120))
    note: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        CheckConstraint("balance_after >= 0", name="balance_after"),
        Index("ix_stock_moves_asset_id_id", "asset_id", "id"),
        {"sqlite_autoincrement": True},
    )
