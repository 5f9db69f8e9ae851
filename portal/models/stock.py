"""Moves of stock: what came in, what went out, and how much was left each time. Immutable."""

import uuid
from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class MoveKind(StrEnum):
    """Why the number changed."""

    RECEIVE = "receive"
    ISSUE = "issue"
    ADJUST = "adjust"
    LOSS = "loss"


class StockMove(Base):
    """One change of a stock's number; `balance_after` is what was left. Written once."""

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
