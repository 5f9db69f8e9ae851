"""The deliveries that one bulk retry works at."""

from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big


class RowOutcome(StrEnum):
    """How one delivery of a batch stands. The first two are under way, the others are final."""

    WAITING = "waiting"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNSENT = "unsent"


class BatchRow(Base):
    """One delivery of a batch. `attempts`: how many it had when it was handed to the workers.

    `delivery_id` is no foreign key: the report outlives what retention removes.
    """

    __tablename__ = "batch_rows"

    task_id: Mapped[int] = mapped_column(
        ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True
    )
    delivery_id: Mapped[Big] = mapped_column(primary_key=True, autoincrement=False)
    webhook_id: Mapped[int]
    outcome: Mapped[str] = mapped_column(String(12), default=RowOutcome.WAITING)
    attempts: Mapped[int] = mapped_column(default=0)
    message: Mapped[str] = mapped_column(default="")

    __table_args__ = (
        Index("ix_batch_rows_next", "task_id", "outcome", "webhook_id", "delivery_id"),
    )
