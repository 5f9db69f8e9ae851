"""Messages to the built-in inbox with a right, a wrong, or no signature."""

from collections.abc import Sequence
from uuid import UUID, uuid4

from sqlalchemy import select

from portal.engine.signing.signatures import request_headers
from portal.extensions import db
from portal.models.webhooks import Webhook
from portal.services.core import vault

BODY = b'{"event":"asset.created"}'


def row_of(public_id: UUID) -> Webhook:
    """Return the current row of the inbox's webhook."""
    db.session.rollback()
    webhook: Webhook = db.session.scalars(select(Webhook).filter_by(public_id=public_id)).one()
    return webhook


def secret_of(public_id: UUID) -> str:
    """Return the secret key that the inbox checks with."""
    webhook = row_of(public_id)
    assert webhook.secret_enc is not None
    return vault.open_secret(webhook.id, webhook.secret_enc)


def signed(secret: str | None) -> Sequence[tuple[str, str]]:
    """Return all headers of a message with `BODY`."""
    headers = request_headers(
        event="asset.created",
        timestamp="2025-02-04T12:00:00+00:00",
        message_id=str(uuid4()),
        version="0",
        body=BODY,
        sent_at=1738670400,
        secret=secret,
    )
    return list(headers.items())
