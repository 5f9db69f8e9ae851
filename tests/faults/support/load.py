"""Load for a portal under test."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from portal.extensions import db
from tests.support.factories import make_webhook, publish
from tests.support.processes import until
from tests.support.receiver import Receiver

BURST = 120


def burst(receiver: Receiver, count: int = BURST, *, webhooks: int = 1, delay: float = 0.1) -> int:
    """Publish `count` events to each of several webhooks of a slow receiver. Return the number of
    deliveries."""
    receiver.answer(delay=delay)
    for number in range(webhooks):
        make_webhook(f"{receiver.url}{number}", secret="a secret of twelve")
    for number in range(count):
        publish(asset_id=number + 1)
    return count * webhooks


def has_received(receiver: Receiver, count: int = 20) -> bool:
    """Return whether this many requests arrive in time."""
    return until(lambda: len(receiver.received) >= count, 15)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Assert that the block takes less than `seconds`."""
    began = monotonic()
    yield
    took = monotonic() - began
    assert took < seconds, f"it took {took:.1f} s"


def look_again() -> None:
    """Start a new transaction to see others' writes."""
    db.session.rollback()
