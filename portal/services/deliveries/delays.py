"""Why a delivery that is long due has not gone yet."""

from datetime import timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import select

from portal.extensions import settings
from portal.models.webhooks import Webhook
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.unit_of_work import session
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.outbox import leases
from portal.services.outbox.due import most_at_once
from portal.services.outbox.status import ShownStatus

SLOW: Final = timedelta(seconds=15)
SENDERS: Final = (heartbeats.worker_of(DELIVERIES), heartbeats.PUMP)


class Delay(StrEnum):
    """`NO_WORKER`: nobody sends. `PLACES`: its webhook is being sent as many as it gets at once.
    `TURN`: others go first."""

    NO_WORKER = "no_worker"
    PLACES = "places"
    TURN = "turn"


def find_delay(delivery: DeliveryDetail) -> Delay | None:
    """What holds up a delivery that waits longer than `SLOW`; None for any other. Reads only."""
    is_waiting = delivery.status is ShownStatus.WAITING and not delivery.comes_to_rest
    if not is_waiting or delivery.stop or delivery.now - delivery.due_at <= SLOW:
        return None
    if not any(each.is_alive for each in heartbeats.lives() if each.kind in SENDERS):
        return Delay.NO_WORKER
    return Delay.PLACES if _is_full(delivery) else Delay.TURN


def _is_full(delivery: DeliveryDetail) -> bool:
    connection = session().connection()
    wanted = select(Webhook.id, Webhook.throttled, Webhook.in_order).where(
        Webhook.public_id == delivery.webhook_id
    )
    webhook = connection.execute(wanted).one()
    tests, others = leases.count_live(connection, webhook.id, delivery.now)
    if delivery.standing.is_test:
        return tests > 0
    most = most_at_once(
        settings().webhook_max_in_flight, throttled=webhook.throttled, in_order=webhook.in_order
    )
    return others >= most
