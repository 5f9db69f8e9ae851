"""Limit the load from programs on one web process."""

from collections import Counter
from collections.abc import Hashable
from math import ceil
from threading import BoundedSemaphore, Lock
from time import monotonic
from typing import Final

# A quarter of a web process's threads (gunicorn.conf.py). They share one interpreter: with half of
# them, 100 readers made a page ten times slower.
PLACES: Final = 2
MINUTE: Final = 60.0

places: Final = BoundedSemaphore(PLACES)


def wrong_a_minute(most: int) -> int:
    """Return the limit of requests with invalid tokens, from one network. `most`: a token’s."""
    return max(1, most // 10)


class Rate:
    """Counts by key and minute, and remembers the previous minute’s keys."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._began = monotonic()
        self._counts: Counter[Hashable] = Counter()
        self._before: frozenset[Hashable] = frozenset()

    def seconds_to_wait(self, key: Hashable, limit: int) -> int:
        """Return the seconds until the key is below `limit` a minute again, or 0."""
        with self._lock:
            self._turn()
            if self._counts[key] < limit:
                return 0
            return max(1, ceil(self._began + MINUTE - monotonic()))

    def count(self, key: Hashable) -> None:
        """Count one more."""
        with self._lock:
            self._turn()
            self._counts[key] += 1

    def knows(self, key: Hashable) -> bool:
        """Return whether the key was counted in this minute or the previous one."""
        with self._lock:
            self._turn()
            return key in self._before or self._counts[key] > 0

    def _turn(self) -> None:
        passed = monotonic() - self._began
        if passed >= MINUTE:
            counted = frozenset(key for key, count in self._counts.items() if count)
            self._before = counted if passed < 2 * MINUTE else frozenset()
            self._counts.clear()
            self._began = monotonic()
