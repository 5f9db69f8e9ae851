"""Is this the signature of this delivery? Reads the secret, and hands out words alone."""

from collections.abc import Iterator, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import select

from portal.engine.signing.check import Diagnosis, Message, diagnose
from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from portal.services.deliveries.detail import AttemptDetail, DeliveryDetail
from portal.services.webhooks.secrets import old_secret

HOUSE: Final = "x-asset-webhook-signature"
SIGNATURES: Final = (HOUSE, f"{HOUSE}-next", "webhook-signature")
STAMP: Final = "webhook-timestamp"


def check_signature(delivery: DeliveryDetail, pasted: str, received: str = "") -> Diagnosis:
    """Say which part of a pasted signature differs from ours.

    `received`: the body that the receiver checked, if known. Raises `Refusal` when the stored
    secret cannot be read.
    """
    secret, following = _secrets(delivery.webhook_id)
    message = Message(
        body=delivery.body,
        id=str(delivery.public_id),
        stamps=tuple(_stamps(delivery.attempts)),
        sent=tuple(_sent(delivery.attempts)),
        secret=secret,
        next_secret=following,
    )
    return diagnose(pasted, message, received)


def _secrets(webhook_id: UUID) -> tuple[str | None, str | None]:
    """What makes the house signature now, and what will once a replaced one overlaps no more."""
    webhook = session().scalars(select(Webhook).where(Webhook.public_id == webhook_id)).one()
    sealed, before = webhook.secret_enc, old_secret(webhook, utcnow())
    try:
        present = vault.open_secret(webhook.id, sealed) if sealed else None
        earlier = vault.open_secret(webhook.id, before) if before else None
    except vault.VaultError:
        raise Refusal(
            "The stored secret key of this webhook cannot be read. Tell your administrator."
        ) from None
    return (earlier, present) if earlier else (present, None)


def _stamps(attempts: Sequence[AttemptDetail]) -> Iterator[tuple[int, int]]:
    for each in attempts:
        for name, value in each.request_headers:
            if name.lower() == STAMP and value.isascii() and value.isdigit():
                yield each.number, int(value)


def _sent(attempts: Sequence[AttemptDetail]) -> Iterator[tuple[int, str]]:
    for each in attempts:
        for name, value in each.request_headers:
            if name.lower() in SIGNATURES:
                yield each.number, value
