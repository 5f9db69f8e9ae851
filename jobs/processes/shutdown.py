"""How a worker ends once that was asked for: in peace, and in time whatever hangs."""

import os
import select
import signal
import sys
from threading import Event, Thread
from time import monotonic, sleep
from typing import Final, NoReturn, Protocol

from jobs.processes.heartbeat import GOODBYE, Heartbeat
from jobs.processes.signals import signal_sockets
from jobs.stop_flag import stop
from jobs.turns import turns

PATIENCE: Final = 14.0  # seconds; the supervisor kills after 15
FAREWELL: Final = 1.0  # … for what RQ tells Redis at the end, which nobody reads
ASKED_BY: Final = frozenset({signal.SIGINT, signal.SIGTERM})


class Beside(Protocol):
    """A thread that works beside the main one."""

    def join(self, seconds: float) -> None:
        """Wait for its end, which was asked for."""


class Shutdown:
    """Waits for the stop in a thread of its own: the main one may hang in a call to Redis.

    Python runs handlers of signals in the main thread alone, once that comes back from what it has
    called; a lookup of a name does not come back for them, nor what was called in the very moment
    of the signal. So this thread hears of signals by itself.

    `waits_for_job`: whether what the main thread is doing is to come to its end.
    """

    def __init__(self, beside: Beside, heartbeat: Heartbeat, *, waits_for_job: bool) -> None:
        self._beside, self._heartbeat = beside, heartbeat
        self._waits_for_job = waits_for_job
        self._has_ended = Event()  # set by the main thread, outside of its signal handlers
        self._thread = Thread(target=self._run, name="shutdown", daemon=True)

    def begin(self) -> None:
        """Ready for the stop. For the main thread."""
        self._signals = signal_sockets()
        self._thread.start()
        listen()

    def main_has_ended(self) -> NoReturn:
        """For the main thread, which has nothing left to do."""
        self._has_ended.set()
        self._thread.join()
        leave(1)  # it has failed: else it had ended the process

    def _wait(self) -> None:
        signals, _ = self._signals
        while not stop.wait(0):
            ready, _, _ = select.select([stop.fileno(), signals.fileno()], [], [])
            if signals.fileno() in ready and not ASKED_BY.isdisjoint(signals.recv(64)):
                stop.set()

    def _run(self) -> None:
        self._wait()
        until = monotonic() + PATIENCE
        self._beside.join(PATIENCE)
        while self._waits_for_job and turns.last is not None and monotonic() < until:
            sleep(0.02)
        self._has_ended.wait(max(0.0, min(FAREWELL, until - monotonic())))
        if monotonic() < until:
            self._heartbeat.end(GOODBYE)
        leave(0)


def listen() -> None:
    """Take SIGTERM and Ctrl-C for the wish to stop; RQ has handlers of its own while it works."""
    for number in ASKED_BY:
        signal.signal(number, lambda *_: stop.set())


def leave(code: int) -> NoReturn:
    """End at once: a name lookup that hangs in libcurl must not hold it up."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
