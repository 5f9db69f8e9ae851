"""Set, replace, show once, and erase a webhook's secret key and custom headers."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.signing.signatures import generate_secret, hint
from portal.lib.clock import common_now
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core import vault
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import database_time, notify, session, writing
from portal.services.webhooks import turn_on_off
from portal.services.webhooks.rows import (
    lock_webhook,
    open_headers,
    open_secret,
    stored_headers,
    target_of,
)
from portal.services.webhooks.rules import (
    HEADER_STAYS,
    KEY_STAYS,
    Headers,
    SecretMode,
    WebhookValues,
    headers_problem,
    place_of,
)

SHOWN_FOR: Final = timedelta(minutes=15)
OVERLAP: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class ShownSecret:
    """A generated secret, which its maker can see until `until`."""

    name: str
    secret: str = field(repr=False)
    until: datetime


def check_place(webhook: Webhook, values: WebhookValues) -> bool:
    """Return whether the entered URL has the scheme, host, and port of the stored one.

    Raises `Refusal` if not, and a stored key or header value would go there. A person who can
    change a URL must not be able to read stored values that way.
    """
    if place_of(values.url) == place_of(webhook.url):
        return True
    if values.secret_mode is SecretMode.KEEP and webhook.secret_enc is not None:
        raise Refusal(KEY_STAYS, field="secret_mode")
    stored = {name.lower() for name, _ in stored_headers(webhook)}
    if any(not value and name.lower() in stored for name, value in values.headers):
        raise Refusal(HEADER_STAYS, field="headers")
    return False


def set_secret(
    webhook: Webhook,
    values: WebhookValues,
    actor: Actor,
    made: str | None = None,
    *,
    stays: bool = True,
) -> bool:
    """Store the chosen secret in a flushed, locked webhook. Return whether anything changed.

    `made`: a secret already generated for a test before saving. A replaced secret keeps signing for
    `OVERLAP`, so that its receiver keeps working. If two are replaced in that time, the earlier one
    keeps signing, because the receiver knows it. If the URL moved (`stays` is false), it does not
    sign for the other receiver.
    """
    if values.secret_mode is SecretMode.KEEP:
        return False
    before = old_secret(webhook, common_now()) or webhook.secret_enc
    erase_secret(webhook)
    if values.secret_mode is SecretMode.NONE:
        return before is not None
    if not stays or open_secret(webhook.id, before) is None:
        before = None
    is_ours = values.secret_mode is SecretMode.GENERATE
    secret = (made or generate_secret()) if is_ours else values.secret
    now = common_now()
    webhook.secret_enc = vault.seal_secret(webhook.id, secret)
    webhook.secret_hint = hint(secret)
    webhook.secret_set_at = now
    webhook.old_secret_enc, webhook.old_until = before, now + OVERLAP if before else None
    if is_ours:
        webhook.secret_shown_until, webhook.secret_made_by_id = now + SHOWN_FOR, actor.user_id
    return True


def old_secret(webhook: Webhook, now: datetime) -> bytes | None:
    """Return the sealed secret that was replaced, while it still signs."""
    overlaps = webhook.old_until is not None and webhook.old_until > now
    return webhook.old_secret_enc if overlaps else None


def switch_now(actor: Actor, public_id: UUID) -> bool:
    """Erase the replaced secret once the receiver knows the new one. Return whether there was
    one."""
    with writing() as current:
        require(current, actor, "webhooks.secret")
        webhook = lock_webhook(current, public_id)
        if webhook.old_secret_enc is None:
            return False
        webhook.old_secret_enc = webhook.old_until = None
        webhook.version += 1
        turn_on_off.note_change(webhook)
        audit.record(current, actor, "webhook.secret_switched", target=target_of(webhook))
        notify(current)
        return True


def forget_replaced(current: Session) -> int:
    """Erase replaced secrets that no longer sign, in the caller's transaction. Return their
    number."""
    ended = select(Webhook).where(Webhook.old_until <= database_time(current)).order_by(Webhook.id)
    webhooks = current.scalars(ended.with_for_update(key_share=True)).all()
    for webhook in webhooks:
        webhook.old_secret_enc = webhook.old_until = None
    return len(webhooks)


def erase_secret(webhook: Webhook) -> None:
    """Erase the secret, the one it replaced, and everything about them."""
    webhook.secret_enc = webhook.old_secret_enc = None
    webhook.secret_hint = ""
    webhook.secret_set_at = webhook.old_until = None
    webhook.secret_shown_until = webhook.secret_made_by_id = None


def copy_secrets(source: Webhook | None, target: Webhook) -> None:
    """Copy the secrets and headers of `source` that can be decrypted to `target`, a flushed draft.

    Without `source`, `target` gets none. They are sealed again, because a ciphertext opens only for
    its own row.
    """
    erase_secret(target)
    target.headers_enc = None
    if source is None:
        return
    if (secret := open_secret(source.id, source.secret_enc)) is not None:
        target.secret_enc = vault.seal_secret(target.id, secret)
        target.secret_hint, target.secret_set_at = source.secret_hint, source.secret_set_at
    if (before := open_secret(source.id, old_secret(source, common_now()))) is not None:
        target.old_secret_enc = vault.seal_secret(target.id, before)
        target.old_until = source.old_until
    set_headers(target, stored_headers(source))


def set_headers(webhook: Webhook, entered: Headers, *, stays: bool = True) -> bool:
    """Store the custom headers. Return whether anything changed.

    An empty value keeps the stored one of that name. Stored headers that can't be decrypted stay
    until others are entered or the URL moves (`stays` is false). Raises `Refusal` for headers that
    are not allowed.
    """
    if stays and not entered and open_headers(webhook) is None:
        return False
    before = stored_headers(webhook)
    kept = {name.lower(): value for name, value in before}
    headers = tuple((name, value or kept.get(name.lower(), "")) for name, value in entered)
    if sentence := headers_problem(headers):
        raise Refusal(sentence, field="headers")
    webhook.headers_enc = vault.seal_headers(webhook.id, headers) if headers else None
    return headers != before


def shown_secret(actor: Actor, public_id: UUID) -> ShownSecret | None:
    """Return the generated secret while its maker can still see it. Reads only."""
    webhook = _made_by(session(), actor, public_id)
    if webhook is None or webhook.secret_shown_until is None:
        return None
    if webhook.secret_shown_until <= common_now():
        return None
    secret = open_secret(webhook.id, webhook.secret_enc)
    return ShownSecret(webhook.name, secret, webhook.secret_shown_until) if secret else None


def forget_shown(actor: Actor, public_id: UUID) -> None:
    """Stop showing the secret, because its maker has copied it."""
    with writing() as current:
        require(current, actor, "webhooks.secret")
        webhook = lock_webhook(current, public_id)
        if webhook.secret_made_by_id == actor.user_id:
            webhook.secret_shown_until = None


def _made_by(current: Session, actor: Actor, public_id: UUID) -> Webhook | None:
    made_by = select(Webhook).where(
        Webhook.public_id == public_id,
        Webhook.deleted_at.is_(None),
        Webhook.secret_made_by_id == actor.user_id,
    )
    return current.execute(made_by).scalar_one_or_none()
