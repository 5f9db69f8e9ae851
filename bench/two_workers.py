"""Compare two worker processes on one PostgreSQL with a single one, against slow receivers."""

from collections.abc import Iterator

from bench.support.report import Line
from bench.support.world import (
    is_done,
    publish_at_once,
    seconds_since,
    wait_until,
    webhooks,
    world,
)

WEBHOOKS = 400
EVENTS = 30


def run() -> Iterator[Line]:
    """Measure 400 webhooks with responses after 500 ms."""
    rates = {count: _rate(count) for count in (1, 2)}
    yield Line(
        "One worker, receivers of 500 ms, postgres", f"{rates[1]:.0f}/s", f"{WEBHOOKS} webhooks"
    )
    yield Line("Two workers, the same", f"{rates[2]:.0f}/s", f"{rates[2] / rates[1]:.2f} times one")


def _rate(workers: int) -> float:
    with world("postgres") as here:
        _, url = here.receiver("--delay", "0.5")
        webhooks(url, WEBHOOKS)
        here.start("-m", "jobs", "scheduler")
        for _ in range(workers):
            here.worker()
        committed_at = publish_at_once(EVENTS)
        wait_until(is_done, 120, "everything delivered")
        return WEBHOOKS * EVENTS / seconds_since(committed_at)
