"""Roll-ups of the log: what the charts draw, so that they never read the log itself."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base


class Rollup(Base):
    """How many deliveries to one webhook became Delivered and Failed in one hour, tests apart.

    `hour`: its beginning, UTC, by the database's clock. `late`: of those delivered, the ones that
    arrived more than five minutes after their event. `failed_attempts`: every one that did not
    arrive, whatever became of its delivery.
    """

    __tablename__ = "rollups"

    hour: Mapped[datetime] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(
        ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    delivered: Mapped[int] = mapped_column(default=0)
    failed: Mapped[int] = mapped_column(default=0)
    late: Mapped[int] = mapped_column(default=0)
    failed_attempts: Mapped[int] = mapped_column(default=0)

    __table_args__ = (Index("ix_rollups_webhook_id_hour", "webhook_id", "hour"),)
