"""While one webhook's row is locked for long, all others get their deliveries as usual."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic, sleep

import pytest
from sqlalchemy import create_engine, select

from portal.models.webhooks import Webhook
from tests.faults.support.delivery_ledger import assert_ledger, settled
from tests.faults.support.durations import ROW_LOCKED
from tests.faults.support.running_portal import RunningPortal
from tests.support.factories import Hook, make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Received, Receiver

log = logging.getLogger(__name__)

# SQLite locks no rows.
pytestmark = pytest.mark.parametrize("running_portal", ["postgres"], indirect=True)
WEBHOOKS = 10
SOON = 1.0  # seconds
EVERY = 0.1


@contextmanager
def locked(portal: RunningPortal, hook: Hook) -> Iterator[None]:
    engine = create_engine(portal.settings.database_url)
    with engine.connect() as connection, connection.begin():
        row = select(Webhook.id).where(Webhook.id == hook.id)
        connection.execute(row.with_for_update(key_share=True))
        yield
    engine.dispose()


def test_other_webhooks_get_deliveries_within_a_second(
    portal: RunningPortal, receiver: Receiver
) -> None:
    receiver.answer(delay=0.05)
    hooks = [make_webhook(f"{receiver.url}{number}") for number in range(WEBHOOKS)]
    saved: list[float] = []

    def save() -> None:
        publish(asset_id=len(saved) + 1)
        saved.append(monotonic())

    save()
    assert until(lambda: len(receiver.received) == WEBHOOKS)
    with locked(portal, hooks[0]):
        while monotonic() < saved[0] + ROW_LOCKED:
            save()
            sleep(EVERY)
        others = (WEBHOOKS - 1) * len(saved)
        assert until(lambda: len(of_others(receiver)) >= others), len(of_others(receiver))
    waits = sorted(
        request.at - saved[json.loads(request.body)["asset_id"] - 1]
        for request in of_others(receiver)
    )
    slowest = waits[int(len(waits) * 0.99)]
    log.warning("p99 %.2f s, slowest %.2f s of %s", slowest, waits[-1], len(waits))
    assert slowest < SOON
    assert settled(20)
    assert_ledger(receiver, WEBHOOKS * len(saved))


def of_others(receiver: Receiver) -> list[Received]:
    """Return the requests to the webhooks with unlocked rows."""
    return [request for request in list(receiver.received) if request.path != "/0"]
