"""What the built-in receiver got: kept for a day, to be looked at."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib.clock import common_now


class Verdict(StrEnum):
    """Whether a signature was good when the message came."""

    GOOD = "good"
    WRONG = "wrong"
    MISSING = "missing"


class InboxMessage(Base):
    """One message as it arrived. `house` and `standard` judge its two signatures."""

    __tablename__ = "inbox_messages"

    id: Mapped[Big] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    received_at: Mapped[datetime] = mapped_column(default=common_now)
    headers: Mapped[list[Any]]
    body: Mapped[bytes]
    house: Mapped[str] = mapped_column(String(8))
    standard: Mapped[str] = mapped_column(String(8))

    __table_args__ = (
        Index("ix_inbox_messages_webhook_id_id", "webhook_id", "id"),
        Index("ix_inbox_messages_received_at", "received_at"),
        {"sqlite_autoincrement": True},
    )
