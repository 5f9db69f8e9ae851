"""Find, lock, fill, describe, and decrypt the rows of webhooks and drafts."""

import hashlib
import hmac
import socket
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, func, or_, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.formats.chats import CHATS, Place, body_in
from portal.engine.formats.post import Post, post_of
from portal.engine.formats.presets import as_kept
from portal.engine.http.address_guard import check_url, host_of
from portal.engine.http.address_mask import MASK, masked_address
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.deliveries import Delivery, DeliveryStatus, Event, Lease, is_open
from portal.models.webhooks import ALL_EVENTS, Webhook, WebhookKind, WebhookState
from portal.services import audit
from portal.services.core import vault
from portal.services.core.permissions import Actor
from portal.services.core.queries import any_holds, capped
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time
from portal.services.outbox.conditions import sentences_of
from portal.services.outbox.rollups import remove_deliveries
from portal.services.webhooks.rules import (
    DEFAULT_PORTS,
    FORMATS,
    OPTIONS,
    WEBHOOK_FIELDS,
    Headers,
    SecretMode,
    WebhookValues,
    subscribed_to,
)

Facts = dict[str, Any]

TARGET: Final = "webhook"
INBOX: Final = "this portal"


def find_webhook(current: Session, public_id: UUID) -> Webhook:
    """Return the webhook. Raises `NotFound` if it is deleted or a draft."""
    return _existing(current.scalars(_alive(public_id)).one_or_none())


def lock_webhook(current: Session, public_id: UUID) -> Webhook:
    """Lock the webhook until the transaction ends, and return it. Raises `NotFound`.

    `FOR NO KEY UPDATE` lets events that are stored meanwhile refer to the row without waiting.
    """
    locked = _alive(public_id).with_for_update(key_share=True)
    fresh = locked.execution_options(populate_existing=True)
    return _existing(current.scalars(fresh).one_or_none())


def count_held(current: Session, webhook_id: int) -> int:
    """Count held deliveries (`capped`)."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.ON_HOLD)
    return capped(current, select(Delivery.id).where(*is_held))


def oldest_held(current: Session, webhook_id: int) -> datetime | None:
    """Return the creation time of the oldest held delivery, if any."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.ON_HOLD)
    first = select(Delivery.created_at).where(*is_held).order_by(Delivery.id).limit(1)
    return current.scalar(first)


def count_unsent(current: Session, webhook_id: int) -> int:
    """Count open and held deliveries, each `capped`."""
    waiting = select(Delivery.id).where(Delivery.webhook_id == webhook_id, is_open())
    return capped(current, waiting) + count_held(current, webhook_id)


def target_of(webhook: Webhook) -> tuple[str, UUID, str]:
    """Return the webhook as a target in the audit trail."""
    return TARGET, webhook.public_id, webhook.name


def facts_of(webhook: Webhook) -> Facts:
    """Return the fields in the words of the audit trail, except the owner.

    They contain no secret, not even in the URL, and no header value.
    """
    facts = {
        **{name: _fact(value) for name, value in options_of(webhook).items()},
        "format": FORMATS.get(webhook.format, webhook.format),
        "conditions": sentences_of(webhook.conditions),
        "url": shown_url(webhook),
        "events": list(events_of(webhook)),
        "secret_key": "set" if webhook.secret_enc else "none",
        "custom_headers": [name for name, _ in stored_headers(webhook)],
        "status": "Active" if webhook.state == WebhookState.ACTIVE else "Off",
    }
    return {field.name: facts[field.name] for field in WEBHOOK_FIELDS if field.name in facts}


def _fact(value: Any) -> Any:
    return value if not isinstance(value, bool) else "yes" if value else "no"


def as_made(webhook: Webhook) -> Facts:
    """Return `facts_of` as the changes of a new webhook. Leave out the format if it has none."""
    facts = facts_of(webhook)
    if webhook.format is None:
        del facts["format"]
    return audit.added(facts)


def stored_headers(webhook: Webhook) -> Headers:
    """Return the webhook's custom headers in the clear, or none if they can't be decrypted."""
    return open_headers(webhook) or ()


def events_of(webhook: Webhook) -> tuple[str, ...]:
    """Return the subscribed events in the catalog's order, or `ALL_EVENTS` alone."""
    chosen = {subscription.event for subscription in webhook.subscriptions}
    return (ALL_EVENTS,) if ALL_EVENTS in chosen else subscribed_to(tuple(chosen))


def options_of(webhook: Webhook) -> dict[str, Any]:
    """Return the `WebhookOptions` of a webhook by name."""
    return {name: getattr(webhook, name) for name in OPTIONS}


def set_values(webhook: Webhook, values: WebhookValues) -> None:
    """Store the options and the URL. Without a URL, it delivers to the built-in inbox."""
    for name in OPTIONS:
        setattr(webhook, name, getattr(values, name))
    # Anyone who knows a chat's URL can post there.
    webhook.url_is_secret |= values.format is not None
    webhook.kind = WebhookKind.HTTP if values.url else WebhookKind.INBOX
    webhook.url = as_kept(check_url(values.url), values.format) if values.url else ""


def _alive(public_id: UUID) -> Select[Webhook]:
    return select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.deleted_at.is_(None),
        Webhook.state != WebhookState.DRAFT,
    )


def _existing(webhook: Webhook | None) -> Webhook:
    if webhook is None:
        raise NotFound("This webhook was deleted or never existed.")
    return webhook


def taken_name(current: Session, name: str, own_id: int | None = None) -> str | None:
    """Return the name of another saved webhook that differs from `name` at most in case."""
    same = func.lower(Webhook.name) == func.lower(name)
    query = select(Webhook.name).where(same, *is_shown(), Webhook.id != (own_id or 0))
    return current.scalars(query.limit(1)).first()


def is_shown() -> tuple[ColumnElement[bool], ...]:
    """Return the conditions of a webhook that people see, neither deleted nor a draft."""
    return Webhook.deleted_at.is_(None), Webhook.state != WebhookState.DRAFT


def called(current: Session, text: str) -> list[int]:
    """Return row ids of webhooks with a name, host, or chat that contains the text.

    The rest of a URL may be secret, and a search could reveal it letter by letter.
    """
    part = text.lower()
    formats = [key for key, chat in CHATS.items() if part in chat.name.lower()]
    candidates = select(Webhook.id, Webhook.name, Webhook.kind, Webhook.url, Webhook.format).where(
        *is_shown(),
        or_(
            any_holds((Webhook.name, Webhook.url), text),
            Webhook.kind == WebhookKind.INBOX,
            Webhook.format.in_(formats),
        ),
    )
    rows = current.execute(candidates).all()
    return [
        row.id
        for row in rows
        if row.format in formats or part in row.name.lower() or part in place(row).lower()
    ]


def place(webhook: Webhook | AnyRow) -> str:
    """Return its host as people read it."""
    return INBOX if webhook.kind == WebhookKind.INBOX else host_of(webhook.url)


# Time after the last test, when a form counts as abandoned.
KEPT: Final = timedelta(hours=24)
DRAFTS_A_STEP: Final = 50


def draft_ids(current: Session) -> list[int]:
    """Return the row ids of all drafts. Lists leave out their deliveries."""
    return list(current.scalars(select(Webhook.id).where(Webhook.state == WebhookState.DRAFT)))


def own_draft(actor: Actor, public_id: UUID) -> Select[Webhook]:
    """Select the draft of this form, if it is this person's."""
    return select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.state == WebhookState.DRAFT,
        Webhook.owner_id == actor.user_id,
    )


def lock_draft(current: Session, actor: Actor, public_id: UUID | None) -> Webhook | None:
    """Lock the person's draft until the transaction ends. Return None if nothing was tested."""
    if public_id is None:
        return None
    locked = own_draft(actor, public_id).with_for_update(key_share=True)
    return current.scalars(locked.execution_options(populate_existing=True)).one_or_none()


def form_of(draft: Webhook) -> dict[str, Any]:
    """Return the fields of a draft's form that have no column."""
    return draft.draft_form or {}


def made_secret(draft: Webhook | None, mode: SecretMode) -> str | None:
    """Return the secret generated for the draft's test, if the form still asks for one."""
    if draft is None or draft.secret_enc is None or mode is not SecretMode.GENERATE:
        return None
    if form_of(draft).get("secret_mode") != SecretMode.GENERATE:
        return None
    return open_secret(draft.id, draft.secret_enc)


def replace_draft(current: Session, draft: Webhook | None, webhook: Webhook) -> None:
    """Move the tests of a draft to the webhook saved from it, and delete the draft."""
    if draft is None:
        return
    current.flush()
    # Leases too, because a delivery that is being sent is recorded as it was claimed.
    for table in (Delivery, Lease):
        moved = update(table).where(table.webhook_id == draft.id).values(webhook_id=webhook.id)
        current.execute(moved.execution_options(synchronize_session=False))
    current.delete(draft)
    current.flush()


def old_drafts(current: Session) -> Select[int]:
    """Select the ids of drafts not tested for `KEPT`, with nothing being sent."""
    is_draft = Webhook.state == WebhookState.DRAFT
    is_left = Webhook.updated_at < database_time(current) - KEPT
    return select(Webhook.id).where(is_draft, is_left, ~_is_sent(current))


def prune_drafts(current: Session) -> int:
    """Remove the oldest of `old_drafts` with their deliveries. Return their number."""
    return _remove(current, old_drafts(current).order_by(Webhook.id).limit(DRAFTS_A_STEP))


def remove_drafts_of(current: Session, user_id: int) -> int:
    """Remove a person's drafts, except those being sent, which the cleanup removes later."""
    is_draft = Webhook.state == WebhookState.DRAFT
    return _remove(
        current, select(Webhook.id).where(is_draft, Webhook.owner_id == user_id, ~_is_sent(current))
    )


def _is_sent(current: Session) -> ColumnElement[bool]:
    now = database_time(current)
    return exists().where(Lease.webhook_id == Webhook.id, Lease.until > now)


def _remove(current: Session, drafts: Select[int]) -> int:
    ids = current.scalars(drafts.with_for_update(skip_locked=True)).all()
    delivery_ids = select(Delivery.id).where(Delivery.webhook_id.in_(ids))
    samples = select(Delivery.event_id).where(Delivery.webhook_id.in_(ids))
    events = current.scalars(samples).all()
    remove_deliveries(current, delivery_ids)
    current.execute(delete(Event).where(Event.id.in_(events)))
    current.execute(delete(Webhook).where(Webhook.id.in_(ids)))
    return len(ids)


ID_LENGTH: Final = 32  # a uuid in hex
MAC_LENGTH: Final = 40  # 160 bits


class Addressed(Protocol):
    """A webhook, or a row with these columns."""

    @property
    def kind(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def url_is_secret(self) -> bool: ...


def token_of(public_id: UUID) -> str:
    """Return the secret end of an inbox's URL."""
    return public_id.hex + _mac(public_id)


def public_id_of(token: str) -> UUID | None:
    """Return the public id in a valid token, or None. Reads no database."""
    if len(token) != ID_LENGTH + MAC_LENGTH or not token.isascii():
        return None
    try:
        public_id = UUID(hex=token[:ID_LENGTH])
    except ValueError:
        return None
    return public_id if hmac.compare_digest(token_of(public_id), token) else None


def inbox_url(public_id: UUID) -> str:
    """Return the URL to which an inbox's deliveries are sent."""
    return f"{settings().inbox_origin}/inbox/{token_of(public_id)}"


def shown_url(webhook: Addressed) -> str:
    """Return a webhook's URL without its secret parts, and an inbox's without its token."""
    if webhook.kind == WebhookKind.INBOX:
        return f"{settings().inbox_origin}/inbox/{MASK}"
    return masked_address(webhook.url, is_secret=webhook.url_is_secret)


def body_to_send(format_: str | None, body: bytes) -> bytes:
    """Return an event's body as it is sent now in this format."""
    if format_ is None:
        return body
    made = body_in(format_, body, _here())
    return body if made is None else made


def post_to_send(format_: str | None, body: bytes) -> Post | None:
    """Return an event's body as a chat's readers see it, or None if the format is no chat's."""
    return post_of(body, _here()) if format_ in CHATS else None


def _here() -> Place:
    return Place(settings().timezone, settings().linked_url)


def opening() -> tuple[str, int] | None:
    """Return the address and port that inbox deliveries may reach, or None if it has no address."""
    return _opening(settings().inbox_origin)


@lru_cache(maxsize=8)
def _opening(origin: str) -> tuple[str, int] | None:
    parts = urlsplit(origin)
    host, port = parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]
    try:
        return str(ip_address(host)), port
    except ValueError:
        pass
    try:
        # Once per process. The operator chose this name, and its address seldom changes.
        addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    return str(addresses[0][4][0]), port


def _mac(public_id: UUID) -> str:
    key, text = settings().secret_key.encode(), f"inbox:{public_id}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:MAC_LENGTH]


SECRET: Final = "secret key"  # noqa: S105 - a label for people
HEADERS: Final = "custom headers"


class UndecryptableSecrets(Refusal):
    """A refusal because a secret key or header of a webhook can't be decrypted."""

    def __init__(self, parts: list[str]) -> None:
        """Take `parts` as `undecryptable_parts` names them."""
        super().__init__(
            f"We can’t decrypt the stored {' and '.join(parts)}. An administrator needs to enter "
            "new ones under Edit or restore the earlier ENCRYPTION_KEYS."
        )


def undecryptable_parts(webhook: Webhook) -> list[str]:
    """Return the names of the stored parts that can't be decrypted."""
    overlaps = webhook.old_until is not None and webhook.old_until > common_now()
    secrets = [webhook.secret_enc, webhook.old_secret_enc if overlaps else None]
    parts = [] if all(_opens_secret(webhook.id, sealed) for sealed in secrets) else [SECRET]
    return [*parts, HEADERS] if open_headers(webhook) is None else parts


def refuse_undecryptable(webhook: Webhook) -> None:
    """Raise `UndecryptableSecrets` unless all parts can be decrypted."""
    if parts := undecryptable_parts(webhook):
        raise UndecryptableSecrets(parts)


def open_secret(webhook_id: int, sealed: bytes | None) -> str | None:
    """Return a secret in the clear, or None if there is none or it can't be decrypted."""
    if sealed is None:
        return None
    try:
        return vault.open_secret(webhook_id, sealed)
    except vault.VaultError:
        return None


def open_headers(webhook: Webhook) -> tuple[tuple[str, str], ...] | None:
    """Return the custom headers in the clear, or None if they can't be decrypted."""
    if webhook.headers_enc is None:
        return ()
    try:
        return tuple(vault.open_headers(webhook.id, webhook.headers_enc))
    except vault.VaultError:
        return None


def _opens_secret(webhook_id: int, sealed: bytes | None) -> bool:
    return sealed is None or open_secret(webhook_id, sealed) is not None
