"""Measure the time until everything has arrived after a worker with 500 leases was killed."""

import signal
import time
from collections.abc import Iterator

from bench.memory import leased
from bench.support.report import Line
from bench.support.world import is_done, publish_at_once, wait_until, webhooks, world

LEASES = 500
LEASE = 8
TIMES = {"WEBHOOK_TIMEOUT": "5", "LEASE_MARGIN": str(LEASE - 5), "MAINTENANCE_SECONDS": "2"}
# Beyond the eighth of all places that is reserved for other receivers.
PLACES = {"WEBHOOK_MAX_IN_FLIGHT": "50", "WORKER_MAX_IN_FLIGHT": "600"}


def run() -> Iterator[Line]:
    """Kill the worker with SIGKILL and start a new one at once, as the supervisor does. The
    scheduler keeps running."""
    with world("sqlite", **TIMES, **PLACES) as here:
        receiver, url = here.receiver("--delay", "2")
        webhooks(url, 10)
        here.start("-m", "jobs", "scheduler")
        worker = here.worker()
        publish_at_once(LEASES // 10)
        wait_until(lambda: leased() >= LEASES - 12, 20, f"{LEASES} leases")
        held = leased()
        worker.stop(signal.SIGKILL)
        killed_at = time.monotonic()
        here.worker()
        wait_until(is_done, 60, "everything delivered")
        took = time.monotonic() - killed_at
        note = f"{held} leases of {LEASE} s, maintenance every 2 s, a receiver that takes 2 s"
        yield Line("All delivered after kill -9 of the worker", f"{took:.1f} s", note)
        receiver.close()
