"""Whether a message is signed with a webhook's secret, in either form."""

from collections.abc import Sequence

from portal.engine.signing.signatures import verify, verify_standard
from portal.lib.clock import common_now
from portal.models.inbox import Verdict
from portal.models.webhooks import Webhook
from portal.services.webhooks.keys.sealed_values import open_secret
from portal.services.webhooks.secrets import old_secret

Headers = Sequence[tuple[str, str]]


def secrets_of(webhook: Webhook) -> list[str]:
    """The secret, and the one it replaced while that still signs, as far as they open."""
    sealed = (webhook.secret_enc, old_secret(webhook, common_now()))
    return [each for one in sealed if (each := open_secret(webhook.id, one)) is not None]


def judge_house(headers: Headers, body: bytes, secrets: Sequence[str]) -> Verdict:
    """The hex HMAC of the body."""
    signature = header(headers, "X-Asset-Webhook-Signature")
    if not signature:
        return Verdict.MISSING
    good = any(verify(body=body, signature=signature, secret=each) for each in secrets)
    return Verdict.GOOD if good else Verdict.WRONG


def judge_standard(headers: Headers, body: bytes, secrets: Sequence[str]) -> Verdict:
    """Standard Webhooks 1.0. Its age is not judged: what is looked at is minutes old."""
    names = ("webhook-signature", "webhook-id", "webhook-timestamp")
    signatures, message_id, sent = (header(headers, name) for name in names)
    if not signatures:
        return Verdict.MISSING
    if not (sent.isascii() and sent.isdigit() and len(sent) < 12):
        return Verdict.WRONG
    good = any(
        verify_standard(
            body=body, message_id=message_id, sent_at=int(sent), signatures=signatures, secret=each
        )
        for each in secrets
    )
    return Verdict.GOOD if good else Verdict.WRONG


def header(headers: Headers, name: str) -> str:
    """The first header of that name, whatever its capitals; blank when there is none."""
    return next((value for each, value in headers if each.lower() == name.lower()), "")
