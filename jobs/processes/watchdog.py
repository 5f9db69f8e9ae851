"""Ends a process in which a thread hangs: whoever keeps it alive starts it anew."""

import faulthandler
import logging
import os
import sys
from collections.abc import Sequence
from threading import Thread
from time import sleep
from typing import Final

from jobs.turns import Turns

log = logging.getLogger(__name__)

TICK: Final = 5.0  # seconds
# So many in a row. They are counted, not the time: a process that was stopped, a machine that was
# suspended and a debugger hold up the ticks as well.
MOST: Final = 24


class Watchdog:
    """Watches threads by their turns. It says what each was doing, and waits for nobody."""

    def __init__(self, watched: Sequence[Turns], tick: float = TICK) -> None:
        self._tick = tick
        self._missed = dict.fromkeys(watched, 0)
        self._seen: dict[Turns, float | None] = dict.fromkeys(watched)

    def begin(self) -> None:
        """Watch from now on."""
        Thread(target=self._run, name="watchdog", daemon=True).start()

    def is_stuck(self) -> bool:
        """One tick: whether one of them has not come round for too many."""
        for each in self._missed:
            last, self._seen[each] = self._seen[each], each.last
            has_hung = each.last is not None and each.last == last
            self._missed[each] = self._missed[each] + 1 if has_hung else 0
        return any(count >= MOST for count in self._missed.values())

    def _run(self) -> None:
        while not self.is_stuck():
            sleep(self._tick)
        log.critical("This process hangs, and ends. What each of its threads was doing:")
        faulthandler.dump_traceback(sys.stderr)
        sys.stderr.flush()
        os._exit(1)
