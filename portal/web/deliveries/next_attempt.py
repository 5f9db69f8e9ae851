"""When a delivery is attempted next, in words."""

from typing import Final

from portal.services.deliveries.detail import DeliveryDetail
from portal.services.outbox.status import ShownStatus
from portal.web.frame.wording import moment

NO_RETRY: Final = "None: it is not retried automatically"
ONCE_ON: Final = "Only once the webhook is on"


def again_of(delivery: DeliveryDetail) -> str:
    """When it is retried automatically, or why it is not."""
    if delivery.comes_to_rest:
        is_gone = delivery.standing.is_webhook_deleted
        return NO_RETRY if is_gone else ONCE_ON
    match delivery.status:
        case ShownStatus.RETRYING:
            return _capital(next_attempt(delivery))
        case ShownStatus.PAUSED if delivery.waits_behind:
            return "Once the older ones have arrived"
        case ShownStatus.PAUSED:
            return _capital(f"{next_attempt(delivery)}, or soon after")
        case ShownStatus.WAITING | ShownStatus.SENDING:
            return "Now"
        case ShownStatus.HELD:
            return ONCE_ON
        case _:
            return NO_RETRY


def next_attempt(delivery: DeliveryDetail) -> str:
    """When the next attempt is due: "now", "in 4 minutes", or the time."""
    at = delivery.next_try_at
    return "now" if at <= delivery.now else moment(at, delivery.now).text


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
