"""Problems that a person has dismissed: what had failed by then stays Failed, and wants nobody."""

from datetime import datetime

from sqlalchemy import ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big


class Dismissal(Base):
    """Until when what failed at one webhook for one reason is dismissed.

    By `deliveries.finished_at`, so that what fails later is a problem again, however old it is. One
    row instead of a mark at each delivery: there may be millions. `reason`: blank for none.
    `since`: until when it was dismissed before, which the last one comes back to; None: it was not.
    `dismissed_at` and `actor_id`: of the last one.
    """

    __tablename__ = "dismissals"

    webhook_id: Mapped[int] = mapped_column(
        ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    reason: Mapped[str] = mapped_column(String(20), primary_key=True)
    until: Mapped[datetime]
    since: Mapped[datetime | None]
    dismissed_at: Mapped[datetime | None]
    actor_id: Mapped[int | None]


class DismissedDelivery(Base):
    """When a person dismissed one failed delivery, chosen among others.

    It holds for what had failed by then (`deliveries.finished_at`): one that is retried and fails
    again is a problem again. What was chosen by hand is little, however long the log is.
    """

    __tablename__ = "dismissed_deliveries"

    delivery_id: Mapped[Big] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    at: Mapped[datetime]
    actor_id: Mapped[int | None]
