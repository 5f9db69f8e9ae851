"""Profile one dispatcher in this process, to show where a worker's time goes.

Run it with `python -m bench.profile [sqlite|postgres]`. The profiler slows everything, so only the
shares count. It sees one thread only, so the work of the dispatcher's database writer is done in
this one.
"""

import cProfile
import pstats
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.support.world import publish_at_once, webhooks, world
from jobs.deliver import deliver_due
from jobs.dispatcher.database import DatabaseExecutor

WEBHOOKS = 50
EVENTS = 100


def _at_once(
    _self: DatabaseExecutor, work: Callable[[], Any], then: Callable[[Any], None], **_: bool
) -> None:
    then(work())


def main() -> None:
    """Print the processor time per delivery, then the profile."""
    database = sys.argv[1] if len(sys.argv) > 1 else "sqlite"
    with world(database) as here:
        _, url = here.receiver()
        hooks = webhooks(url, WEBHOOKS)
        publish_at_once(1)
        deliver_due()  # warm
        DatabaseExecutor.submit = _at_once  # type: ignore[method-assign]  # see above
        for profiler in (None, cProfile.Profile()):
            publish_at_once(EVENTS)
            wall, busy = time.perf_counter(), time.process_time()
            if profiler:
                profiler.enable()
            deliver_due()
            if profiler:
                profiler.disable()
            count = EVENTS * len(hooks)
            print(
                f"{count / (time.perf_counter() - wall):.0f}/s, "
                f"{(time.process_time() - busy) / count * 1e6:.0f} µs of processor time each"
            )
            if profiler:
                stats = pstats.Stats(profiler)
                stats.sort_stats("cumulative").print_stats(45)
                stats.sort_stats("tottime").print_stats(15)


if __name__ == "__main__":
    main()
