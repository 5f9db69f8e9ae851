"""What is stored sealed of a webhook, and which of it our keys do not open: they were lost, or are
not among those that this process was started with.

What does not open stays as it is, so that keys which are found again mend it.
"""

from typing import Final

from portal.lib.clock import common_now
from portal.models.webhooks import Webhook
from portal.services.core import vault
from portal.services.core.refusals import Refusal

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
