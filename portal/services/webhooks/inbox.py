"""Run the built-in receiver, a webhook of kind `inbox`, and keep the messages that it gets.

There is one at a time. Anyone who knows its URL can send messages, so their content is untrusted.
It is limited here and escaped where it is shown.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Final
from uuid import UUID

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from portal.engine.signing.signatures import verify, verify_standard
from portal.lib.clock import common_now
from portal.lib.typed_text import storable
from portal.models.webhooks import (
    ALL_EVENTS,
    InboxMessage,
    Verdict,
    Webhook,
    WebhookEvent,
    WebhookKind,
    WebhookState,
)
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.unit_of_work import keep_unique, session, writing
from portal.services.core.vault import DOTS
from portal.services.webhooks import watches
from portal.services.webhooks.rows import (
    as_made,
    open_secret,
    public_id_of,
    set_values,
    stored_headers,
    taken_name,
    target_of,
)
from portal.services.webhooks.rules import WebhookValues
from portal.services.webhooks.secrets import old_secret, set_secret

Headers = Sequence[tuple[str, str]]


def secrets_of(webhook: Webhook) -> list[str]:
    """Return the secret, and the replaced one while it still signs, if they can be decrypted."""
    sealed = (webhook.secret_enc, old_secret(webhook, common_now()))
    secrets = (open_secret(webhook.id, secret) for secret in sealed)
    return [secret for secret in secrets if secret is not None]


def judge_legacy(headers: Headers, body: bytes, secrets: Sequence[str]) -> Verdict:
    """Verify the hex HMAC of the body."""
    signature = header(headers, "X-Asset-Webhook-Signature")
    if not signature:
        return Verdict.MISSING
    good = any(verify(body=body, signature=signature, secret=secret) for secret in secrets)
    return Verdict.GOOD if good else Verdict.WRONG


def judge_standard(headers: Headers, body: bytes, secrets: Sequence[str]) -> Verdict:
    """Verify the signature of Standard Webhooks 1.0, regardless of its age."""
    signatures = header(headers, "webhook-signature")
    message_id, sent = header(headers, "webhook-id"), header(headers, "webhook-timestamp")
    if not signatures:
        return Verdict.MISSING
    if not (sent.isascii() and sent.isdigit() and len(sent) < 12):
        return Verdict.WRONG
    verified = partial(
        verify_standard,
        body=body,
        message_id=message_id,
        sent_at=int(sent),
        signatures=signatures,
    )
    good = any(verified(secret=secret) for secret in secrets)
    return Verdict.GOOD if good else Verdict.WRONG


def header(headers: Headers, name: str) -> str:
    """Return the first header of that name in any case, or blank if there is none."""
    return next((value for key, value in headers if key.lower() == name.lower()), "")


NAME: Final = "Built-in inbox"
LARGEST: Final = 64 * 1024  # bytes of one message
KEPT: Final = 50  # messages
KEPT_FOR: Final = timedelta(hours=24)
MOST_HEADERS: Final = 60
LONGEST_HEADER: Final = 1000  # characters
IS_INBOX: Final = (Webhook.kind == WebhookKind.INBOX, Webhook.deleted_at.is_(None))


@dataclass(frozen=True, slots=True)
class Inbox:
    """The built-in inbox. `count`: the number of messages kept from the last `KEPT_FOR`."""

    public_id: UUID
    name: str
    is_active: bool
    count: int


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One message as it arrived, with the values of custom headers masked."""

    id: int
    received_at: datetime
    headers: Headers
    body: bytes
    legacy: Verdict
    standard: Verdict

    def header(self, name: str) -> str:
        """Return the first header of that name in any case, or blank if there is none."""
        return header(self.headers, name)


def open_inbox(actor: Actor) -> UUID:
    """Create the inbox with all events if there is none. Return its public id."""
    with writing() as current:
        require(current, actor, "webhooks.edit")
        return keep_unique(current, lambda: None, lambda: _living_or_new(current, actor)).public_id


def make_inbox(current: Session, actor: Actor, values: WebhookValues) -> Webhook:
    """Store a webhook without a URL, which delivers to this portal."""
    webhook = Webhook(owner_id=actor.user_id, version=1)
    set_values(webhook, values)
    webhook.subscriptions = [WebhookEvent(event=event) for event in values.events]
    current.add(webhook)
    current.flush()
    set_secret(webhook, values, actor)
    # Sender and receiver are both this portal, so nobody has to copy the secret.
    webhook.secret_shown_until = webhook.secret_made_by_id = None
    watches.start_for_owner(current, webhook)
    target, changes = target_of(webhook), as_made(webhook)
    audit.record(current, actor, "webhook.created", target=target, changes=changes)
    return webhook


def find_inbox() -> Inbox | None:
    current = session()
    webhook = _living(current)
    if webhook is None:
        return None
    kept = current.execute(select(func.count()).select_from(_kept(webhook.id).subquery()))
    is_active = webhook.state == WebhookState.ACTIVE
    return Inbox(webhook.public_id, webhook.name, is_active, kept.scalar_one())


def messages(public_id: UUID) -> list[InboxItem]:
    """Return the messages of the last `KEPT_FOR`, newest first, at most `KEPT`."""
    current = session()
    webhook_id = select(Webhook.id).where(Webhook.public_id == public_id).scalar_subquery()
    rows = current.scalars(_kept(webhook_id).order_by(InboxMessage.id.desc()).limit(KEPT))
    return [
        InboxItem(
            row.id,
            row.received_at,
            [(str(name), str(value)) for name, value in row.headers],
            row.body,
            Verdict(row.legacy),
            Verdict(row.standard),
        )
        for row in rows
    ]


def receive(token: str, headers: Headers, body: bytes) -> bool:
    """Keep a message sent to the URL with this token. Return False if no inbox has it."""
    public_id = public_id_of(token)
    webhook = _addressed(session(), public_id) if public_id else None
    # A form's test before saving is shown with the messages of the webhook that it edits.
    keeper = _addressed(session(), webhook.draft_of) if webhook and webhook.draft_of else webhook
    if webhook is None or keeper is None:
        return False
    webhook_id, secrets = keeper.id, secrets_of(webhook)
    hidden = {name.lower() for name, _ in stored_headers(webhook)}
    message = InboxMessage(
        webhook_id=webhook_id,
        headers=[[name, value] for name, value in _shown(headers, hidden)],
        body=body,
        legacy=judge_legacy(headers, body, secrets),
        standard=judge_standard(headers, body, secrets),
    )
    with writing() as current:
        current.add(message)
        current.flush()
        _prune(current, webhook_id)
    return True


def _living_or_new(current: Session, actor: Actor) -> Webhook:
    values = WebhookValues(name=_free_name(current), url="", events=(ALL_EVENTS,))
    return _living(current) or make_inbox(current, actor, values)


def _free_name(current: Session) -> str:
    names = (NAME if number == 1 else f"{NAME} {number}" for number in count(1))
    return next(name for name in names if taken_name(current, name) is None)


def _living(current: Session) -> Webhook | None:
    inboxes = select(Webhook).where(*IS_INBOX, Webhook.state != WebhookState.DRAFT)
    return current.scalars(inboxes.order_by(Webhook.id).limit(1)).first()


def _addressed(current: Session, public_id: UUID) -> Webhook | None:
    return current.scalars(
        select(Webhook).where(*IS_INBOX, Webhook.public_id == public_id)
    ).one_or_none()


def _kept(webhook_id: object) -> Select[InboxMessage]:
    return select(InboxMessage).where(
        InboxMessage.webhook_id == webhook_id, InboxMessage.received_at > common_now() - KEPT_FOR
    )


def _prune(current: Session, webhook_id: int) -> None:
    """Delete all but the newest `KEPT`, except rows that another transaction is deleting."""
    of_webhook = InboxMessage.webhook_id == webhook_id
    youngest = select(InboxMessage.id).where(of_webhook).order_by(InboxMessage.id.desc())
    last = current.execute(youngest.offset(KEPT).limit(1)).scalar()
    if last is None:
        return
    older = select(InboxMessage.id).where(of_webhook, InboxMessage.id <= last)
    ids = current.scalars(older.with_for_update(skip_locked=True)).all()
    current.execute(delete(InboxMessage).where(InboxMessage.id.in_(ids)))


def _shown(headers: Headers, hidden: set[str]) -> Iterator[tuple[str, str]]:
    for name, value in headers[:MOST_HEADERS]:
        shown = DOTS if name.lower() in hidden else _clean(value)
        yield _clean(name), shown


def _clean(text: str) -> str:
    return storable(text[:LONGEST_HEADER])
