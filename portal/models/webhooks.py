"""Webhooks: subscriptions of other systems to events."""

import uuid
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import ForeignKey, Index, String, Text, false, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.extensions import Base, Big
from portal.lib.clock import common_now
from portal.lib.ids import public_id


class WebhookKind(StrEnum):
    """The receiver of a webhook: a URL, or the built-in inbox."""

    HTTP = "http"
    INBOX = "inbox"


class WebhookState(StrEnum):
    """A draft belongs to an open form. A webhook that is off holds its deliveries."""

    DRAFT = "draft"
    ACTIVE = "active"
    OFF = "off"


class OffReason(StrEnum):
    """The cause of a webhook being off. `LOST_KEY`: its secrets can no longer be decrypted."""

    PERSON = "person"
    GONE = "gone"
    FAILING = "failing"
    LOST_KEY = "lost_key"


# Causes other than a person, so that someone has to check.
OURS: Final = (OffReason.GONE, OffReason.FAILING, OffReason.LOST_KEY)


class Webhook(Base):
    """A subscription. Secrets and header values are encrypted together with the row's ID.

    `url_is_secret`: marked by an administrator. Some are secret anyway
    (`engine/http/address_mask.py`). `conditions`: JSON of the conditions for events
    (`engine/conditions/predicate.py`). `format`: a key of `engine/formats/`, None for our own body.
    `next_at`: the time of the next allowed request to a receiver that accepts about one a second.

    While `throttled`, one delivery at a time is sent as a probe after `backoff_until`, which is
    `backoff_seconds` after the last. `stopped_for`: seconds since the start of its failures during
    which all sending was paused. `reopened_at`: the time since which its retries are being made
    due. `changed_at`: the last change of its URL, format, key, or headers, which can have fixed it.
    `off_until`: the time at which it turns on again after a person turned it off. `taken_by`: the
    person who investigates its failures (`services/webhooks/takes.py`). `note`: for colleagues
    (`services/webhooks/notes.py`).

    A draft keeps the form's values without a column in `draft_form`. `draft_of`: the public ID of
    the webhook that the form edits.
    """

    __tablename__ = "webhooks"

    id: Mapped[int] = mapped_column(primary_key=True)
    public_id: Mapped[uuid.UUID] = mapped_column(default=public_id, unique=True)
    kind: Mapped[str] = mapped_column(String(8), default=WebhookKind.HTTP)
    name: Mapped[str] = mapped_column(String(120))
    url: Mapped[str] = mapped_column(String(2048), default="")
    url_is_secret: Mapped[bool] = mapped_column(default=False)
    state: Mapped[str] = mapped_column(String(8), default=WebhookState.ACTIVE)
    off_reason: Mapped[str | None] = mapped_column(String(16))
    off_at: Mapped[datetime | None]
    off_until: Mapped[datetime | None]
    secret_enc: Mapped[bytes | None]
    secret_hint: Mapped[str] = mapped_column(String(4), default="")
    secret_set_at: Mapped[datetime | None]
    secret_shown_until: Mapped[datetime | None]
    secret_made_by_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    old_secret_enc: Mapped[bytes | None]
    old_until: Mapped[datetime | None]
    headers_enc: Mapped[bytes | None]
    in_order: Mapped[bool] = mapped_column(default=False)
    conditions: Mapped[str | None] = mapped_column(Text)
    format: Mapped[str | None] = mapped_column(String(12))
    next_at: Mapped[datetime | None]
    throttled: Mapped[bool] = mapped_column(default=False)
    backoff_seconds: Mapped[int] = mapped_column(default=0)
    backoff_until: Mapped[datetime | None]
    reopened_at: Mapped[datetime | None]
    changed_at: Mapped[datetime | None]
    failures_in_row: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    stopped_for: Mapped[int] = mapped_column(default=0, server_default="0")
    last_delivered_at: Mapped[datetime | None]
    owner_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    token_id: Mapped[int | None]
    taken_by: Mapped[str | None] = mapped_column(String(120))
    taken_by_id: Mapped[int | None]
    taken_at: Mapped[datetime | None]
    note: Mapped[str | None] = mapped_column(Text)
    note_by: Mapped[str | None] = mapped_column(String(120))
    note_by_id: Mapped[int | None]
    note_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = mapped_column(default=common_now)
    updated_at: Mapped[datetime] = mapped_column(default=common_now)
    deleted_at: Mapped[datetime | None]
    draft_of: Mapped[uuid.UUID | None]
    draft_form: Mapped[dict[str, Any] | None]

    subscriptions: Mapped[list["WebhookEvent"]] = relationship(cascade="all, delete-orphan")

    __table_args__ = (
        Index(
            "uq_webhooks_name",
            func.lower(text("name")),
            unique=True,
            sqlite_where=text("deleted_at IS NULL AND state <> 'draft'"),
            postgresql_where=text("deleted_at IS NULL AND state <> 'draft'"),
        ),
        {"sqlite_autoincrement": True},
    )


# Replaces event names. Includes events that are added later.
ALL_EVENTS: Final = "*"


class WebhookEvent(Base):
    """One event that a webhook is subscribed to, or `ALL_EVENTS` as the only row."""

    __tablename__ = "webhook_events"

    webhook_id: Mapped[int] = mapped_column(
        ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    event: Mapped[str] = mapped_column(String(40), primary_key=True)

    __table_args__ = (Index("ix_webhook_events_event", "event", "webhook_id"),)


class Watch(Base):
    """A person who gets emails about a webhook's problems.

    `told`: the last state in an email (`services/webhooks/notices.py`), sent at `told_at`. After a
    person turns the emails off, the row stays with `is_on` False. So they don't start again if that
    person stands in for a missing owner. A person who stands in (`stands_in`) gets emails only
    while there is no owner.
    """

    __tablename__ = "watches"

    webhook_id: Mapped[int] = mapped_column(
        ForeignKey("webhooks.id", ondelete="CASCADE"), primary_key=True
    )
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), primary_key=True)
    is_on: Mapped[bool] = mapped_column(default=True)
    stands_in: Mapped[bool] = mapped_column(default=False, server_default=false())
    told: Mapped[str | None] = mapped_column(String(10))
    told_at: Mapped[datetime | None]

    __table_args__ = (Index("ix_watches_user_id", "user_id"),)


class Verdict(StrEnum):
    """The verdict on a signature when its request arrived."""

    GOOD = "good"
    WRONG = "wrong"
    MISSING = "missing"


class InboxMessage(Base):
    """One request as it arrived. `legacy` and `standard`: the verdicts on its two signatures."""

    __tablename__ = "inbox_messages"

    id: Mapped[Big] = mapped_column(primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    received_at: Mapped[datetime] = mapped_column(default=common_now)
    headers: Mapped[list[Any]]
    body: Mapped[bytes]
    legacy: Mapped[str] = mapped_column(String(8))
    standard: Mapped[str] = mapped_column(String(8))

    __table_args__ = (
        Index("ix_inbox_messages_webhook_id_id", "webhook_id", "id"),
        Index("ix_inbox_messages_received_at", "received_at"),
        {"sqlite_autoincrement": True},
    )
