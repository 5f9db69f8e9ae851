"""A webhook's row as the verbs take it: locked and alive; what the audit trail says of it; how much
is held for it; which are called so."""

import hashlib
import hmac
import socket
from datetime import timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import ColumnElement, Select, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.http.address_guard import check_url, host_of
from portal.engine.http.address_mask import MASK, masked_address
from portal.extensions import settings
from portal.lib.clock import common_now
from portal.models.deliveries import Delivery, DeliveryStatus, Event, Lease, is_open
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services.core import vault
from portal.services.core.permissions import Actor
from portal.services.core.queries import any_holds, capped
from portal.services.core.refusals import NotFound, Refusal
from portal.services.core.unit_of_work import database_time
from portal.services.outbox.rollups import remove_deliveries
from portal.services.webhooks.rules import (
    EVENT_VALUES,
    OPTIONS,
    WEBHOOK_FIELDS,
    Headers,
    SecretMode,
    WebhookValues,
)

Facts = dict[str, Any]

TARGET: Final = "webhook"
INBOX: Final = "this portal"


def find_webhook(current: Session, public_id: UUID) -> Webhook:
    """The webhook as it is now. Raises `NotFound` for one that is deleted, or a draft."""
    return _existing(current.scalars(_alive(public_id)).one_or_none())


def lock_webhook(current: Session, public_id: UUID) -> Webhook:
    """The webhook, locked until the transaction ends. Raises `NotFound`.

    `FOR NO KEY UPDATE`: events that are being stored meanwhile refer to the row and need not wait.
    """
    locked = _alive(public_id).with_for_update(key_share=True)
    fresh = locked.execution_options(populate_existing=True)
    return _existing(current.scalars(fresh).one_or_none())


def count_held(current: Session, webhook_id: int) -> int:
    """How many deliveries are held (`capped`)."""
    is_held = (Delivery.webhook_id == webhook_id, Delivery.status == DeliveryStatus.HELD)
    return capped(current, select(Delivery.id).where(*is_held))


def count_unsent(current: Session, webhook_id: int) -> int:
    """How many deliveries wait or are held, each of the two `capped`."""
    waiting = select(Delivery.id).where(Delivery.webhook_id == webhook_id, is_open())
    return capped(current, waiting) + count_held(current, webhook_id)


def target_of(webhook: Webhook) -> tuple[str, UUID, str]:
    """The webhook as the audit trail names it."""
    return TARGET, webhook.public_id, webhook.name


def facts_of(webhook: Webhook) -> Facts:
    """Each field as the audit trail says it: no secret, in its address neither, and no header
    value."""
    facts = {
        **{name: _fact(value) for name, value in options_of(webhook).items()},
        "url": shown_url(webhook),
        "events": list(events_of(webhook)),
        "secret_key": "set" if webhook.secret_enc else "none",
        "custom_headers": [name for name, _ in stored_headers(webhook)],
        "status": "Active" if webhook.state == WebhookState.ACTIVE else "Off",
    }
    return {field.name: facts[field.name] for field in WEBHOOK_FIELDS}


def _fact(value: Any) -> Any:
    return value if not isinstance(value, bool) else "yes" if value else "no"


def as_made(webhook: Webhook) -> Facts:
    """All that the audit trail says about it as what has just been made."""
    return {name: {"from": None, "to": value} for name, value in facts_of(webhook).items()}


def stored_headers(webhook: Webhook) -> Headers:
    """The webhook's custom headers in the clear; none where they do not open."""
    return open_headers(webhook) or ()


def events_of(webhook: Webhook) -> tuple[str, ...]:
    """The events that it asked for, in the catalogue's order."""
    chosen = {subscription.event for subscription in webhook.subscriptions}
    return tuple(value for value in EVENT_VALUES if value in chosen)


def options_of(webhook: Webhook) -> dict[str, Any]:
    """`WebhookOptions` of a webhook, by name."""
    return {name: getattr(webhook, name) for name in OPTIONS}


def set_values(webhook: Webhook, values: WebhookValues) -> None:
    """Store the options and the address: without any it delivers to the built-in inbox."""
    for name in OPTIONS:
        setattr(webhook, name, getattr(values, name))
    webhook.kind = WebhookKind.HTTP if values.url else WebhookKind.INBOX
    webhook.url = check_url(values.url) if values.url else ""


def _alive(public_id: UUID) -> Select[Webhook]:
    return select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.deleted_at.is_(None),
        Webhook.state != WebhookState.DRAFT,
    )


def _existing(webhook: Webhook | None) -> Webhook:
    if webhook is None:
        raise NotFound("There is no such webhook. It may have been deleted.")
    return webhook


def is_shown() -> tuple[ColumnElement[bool], ...]:
    """What makes a row a webhook that people see."""
    return Webhook.deleted_at.is_(None), Webhook.state != WebhookState.DRAFT


def called(current: Session, text: str) -> list[int]:
    """The row ids of those whose name or host holds the text.

    The rest of an address may be secret: who could search for it would find it out bit by bit.
    """
    wanted = select(Webhook.id, Webhook.name, Webhook.kind, Webhook.url).where(
        *is_shown(),
        or_(any_holds((Webhook.name, Webhook.url), text), Webhook.kind == WebhookKind.INBOX),
    )
    part = text.lower()
    found = current.execute(wanted).all()
    return [row.id for row in found if part in row.name.lower() or part in place(row).lower()]


def place(webhook: Webhook | AnyRow) -> str:
    """Where it leads, as people should read it."""
    return INBOX if webhook.kind == WebhookKind.INBOX else host_of(webhook.url)


# After the last test; then whoever left the form has left it for good.
KEPT: Final = timedelta(hours=24)
DRAFTS_A_STEP: Final = 50


def draft_ids(current: Session) -> list[int]:
    """The row ids of all drafts, for whoever leaves their deliveries out."""
    return list(current.scalars(select(Webhook.id).where(Webhook.state == WebhookState.DRAFT)))


def own_draft(actor: Actor, public_id: UUID) -> Select[Webhook]:
    """The draft of this form, if it is this person's."""
    return select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.state == WebhookState.DRAFT,
        Webhook.owner_id == actor.user_id,
    )


def lock_draft(current: Session, actor: Actor, public_id: UUID | None) -> Webhook | None:
    """The person's draft, locked until the transaction ends; None where nothing was tested."""
    if public_id is None:
        return None
    locked = own_draft(actor, public_id).with_for_update(key_share=True)
    return current.scalars(locked.execution_options(populate_existing=True)).one_or_none()


def form_of(draft: Webhook) -> dict[str, Any]:
    """What the draft's form says beside its columns."""
    return draft.draft_form or {}


def made_secret(draft: Webhook | None, mode: SecretMode) -> str | None:
    """The secret that we made for the draft's test, if the form still wants one of ours."""
    if draft is None or draft.secret_enc is None or mode is not SecretMode.GENERATE:
        return None
    if form_of(draft).get("secret_mode") != SecretMode.GENERATE:
        return None
    return open_secret(draft.id, draft.secret_enc)


def hand_over(current: Session, draft: Webhook | None, webhook: Webhook) -> None:
    """What was saved takes over the tests that were made of it; its draft is gone."""
    if draft is None:
        return
    current.flush()
    theirs = update(Delivery).where(Delivery.webhook_id == draft.id)
    moved = theirs.values(webhook_id=webhook.id)
    current.execute(moved.execution_options(synchronize_session=False))
    # What is being sent now is recorded by whoever sends it, as what it was claimed as.
    leased = update(Lease).where(Lease.webhook_id == draft.id).values(webhook_id=webhook.id)
    current.execute(leased.execution_options(synchronize_session=False))
    current.delete(draft)
    current.flush()


def long_left(current: Session) -> Select[int]:
    """The drafts that nobody has tested for `KEPT`, and whose deliveries nobody is sending."""
    is_draft = Webhook.state == WebhookState.DRAFT
    is_left = Webhook.updated_at < database_time(current) - KEPT
    return select(Webhook.id).where(is_draft, is_left, ~_is_sent(current))


def let_go(current: Session) -> int:
    """Remove drafts that nobody has tested for `KEPT`, with their deliveries; return how many.

    One that is being sent is left to the next time.
    """
    return _remove(current, long_left(current).order_by(Webhook.id).limit(DRAFTS_A_STEP))


def remove_of(current: Session, user_id: int) -> int:
    """Remove a person's drafts, but for one that is being sent: the clean-up takes that."""
    is_draft = Webhook.state == WebhookState.DRAFT
    return _remove(
        current, select(Webhook.id).where(is_draft, Webhook.owner_id == user_id, ~_is_sent(current))
    )


def _is_sent(current: Session) -> ColumnElement[bool]:
    now = database_time(current)
    return exists().where(Lease.webhook_id == Webhook.id, Lease.until > now)


def _remove(current: Session, wanted: Select[int]) -> int:
    ids = current.scalars(wanted.with_for_update(skip_locked=True)).all()
    theirs = select(Delivery.id).where(Delivery.webhook_id.in_(ids))
    samples = select(Delivery.event_id).where(Delivery.webhook_id.in_(ids))
    events = current.scalars(samples).all()
    remove_deliveries(current, theirs)
    current.execute(delete(Event).where(Event.id.in_(events)))
    current.execute(delete(Webhook).where(Webhook.id.in_(ids)))
    return len(ids)


ID_LENGTH: Final = 32  # a uuid in hex
MAC_LENGTH: Final = 40  # 160 bits
DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Addressed(Protocol):
    """What has an address: a webhook, whole or some of its columns."""

    @property
    def kind(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def url_is_secret(self) -> bool: ...


def token_of(public_id: UUID) -> str:
    """The unguessable end of an inbox's address."""
    return public_id.hex + _mac(public_id)


def public_id_of(token: str) -> UUID | None:
    """The webhook that a token belongs to; None when it is none of ours. Asks no database."""
    if len(token) != ID_LENGTH + MAC_LENGTH or not token.isascii():
        return None
    try:
        public_id = UUID(hex=token[:ID_LENGTH])
    except ValueError:
        return None
    return public_id if hmac.compare_digest(token_of(public_id), token) else None


def inbox_url(public_id: UUID) -> str:
    """Where the worker delivers to."""
    return f"{settings().inbox_origin}/inbox/{token_of(public_id)}"


def shown_url(webhook: Addressed) -> str:
    """A webhook's address as it is shown and stored beside attempts: an inbox's without its token,
    any other without what is secret in it."""
    if webhook.kind == WebhookKind.INBOX:
        return f"{settings().inbox_origin}/inbox/{MASK}"
    return masked_address(webhook.url, is_secret=webhook.url_is_secret)


def opening() -> tuple[str, int] | None:
    """The one address and port that a delivery to an inbox may reach; None if it has no address."""
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
        # Once a process: the one who runs the portal chose this name, and it seldom moves.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return None
    return str(found[0][4][0]), port


def _mac(public_id: UUID) -> str:
    key, text = settings().secret_key.encode(), f"inbox:{public_id}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:MAC_LENGTH]


SECRET: Final = "secret key"  # noqa: S105 - what a person reads
HEADERS: Final = "custom headers"


class SecretsClosed(Refusal):
    """Something that a webhook is sent with does not open."""

    def __init__(self, parts: list[str]) -> None:
        """`parts`: as `closed_parts` names them."""
        what = " and ".join(parts)
        super().__init__(
            f"The stored {what} cannot be opened with the keys of this portal. An administrator "
            f"enters new ones (Edit), or sets the earlier ENCRYPTION_KEYS again."
        )


def closed_parts(webhook: Webhook) -> list[str]:
    """Which parts do not open: none where all is well."""
    overlaps = webhook.old_until is not None and webhook.old_until > common_now()
    secrets = [webhook.secret_enc, webhook.old_secret_enc if overlaps else None]
    closed = [SECRET] if any(not _opens_secret(webhook.id, each) for each in secrets) else []
    return [*closed, HEADERS] if open_headers(webhook) is None else closed


def refuse_closed(webhook: Webhook) -> None:
    """Raise `SecretsClosed` unless all that the webhook is sent with opens."""
    if parts := closed_parts(webhook):
        raise SecretsClosed(parts)


def open_secret(webhook_id: int, sealed: bytes | None) -> str | None:
    """A secret in the clear; None where there is none, or it does not open."""
    if sealed is None:
        return None
    try:
        return vault.open_secret(webhook_id, sealed)
    except vault.VaultError:
        return None


def open_headers(webhook: Webhook) -> tuple[tuple[str, str], ...] | None:
    """The custom headers in the clear; None where they do not open."""
    if webhook.headers_enc is None:
        return ()
    try:
        return tuple(vault.open_headers(webhook.id, webhook.headers_enc))
    except vault.VaultError:
        return None


def _opens_secret(webhook_id: int, sealed: bytes | None) -> bool:
    return sealed is None or open_secret(webhook_id, sealed) is not None
