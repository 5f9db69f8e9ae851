"""Emails to send."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.extensions import Base, Big
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class Mail(Base):
    """An email, stored in the transaction of its cause and removed once it is sent.

    Its text and link are written when it is sent. They depend on its `kind` and on the `link_id`,
    the `webhook_id`, or the rows that were marked at `created_at`. It goes to the user, the staff
    member, the link's recipient, or `address`. `public_id` is in its Message-ID. `failed_step`,
    `failed_with`: the step at which the last attempt failed, and the mail server's words. `sent_at`
    is only set for a test and for an email that a local trial shows instead of sending it. `kept`
    is the text of the latter.
    """

    __tablename__ = "mails"

    id: Mapped[Big] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    kind: Mapped[str] = mapped_column(String(20))
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    staff_id: Mapped[int | None]
    link_id: Mapped[int | None] = mapped_column(ForeignKey("links.id", ondelete="CASCADE"))
    webhook_id: Mapped[int | None] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    address: Mapped[str | None] = mapped_column(String(254))
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    due_at: Mapped[datetime]
    tries: Mapped[int] = mapped_column(default=0)
    failed_step: Mapped[str | None] = mapped_column(String(10))
    failed_with: Mapped[str | None] = mapped_column(String(300))
    sent_at: Mapped[datetime | None]
    kept: Mapped[str | None]

    __table_args__ = (Index("ix_mails_due_at", "due_at"), {"sqlite_autoincrement": True})
