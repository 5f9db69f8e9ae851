"""gunicorn's worker that reads requests whole before a thread takes them.

gunicorn's own reads in its threads: as many slow connections as there are threads silence every
page. Waitress reads in one loop. gunicorn stays the master, with its hooks and signals.
"""

import os
import time
from math import inf
from types import FrameType
from typing import Any, Final

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.task import ThreadedTaskDispatcher

from jobs.processes.process_setup import raise_limit_of_open_files
from jobs.web_server.channel import Connection, Listener

# Seconds that idle connections stay after SIGTERM: a request may be on its way.
LINGER: Final = 2.0
LOOK_EVERY: Final = 1.0
STUCK_AFTER: Final = 10.0


class Rules(Adjustments):  # type: ignore[misc]  # waitress publishes no types
    """What waitress goes by. `is_ending`: no connection is kept for a further request."""

    is_ending = False
    connection_limit = 800
    max_request_header_size = 32 * 1024
    # Above what the application takes, which says in its own words that it is too much.
    max_request_body_size = 17 * 1024 * 1024
    # Which proxies are believed is decided by a middleware of ours.
    clear_untrusted_proxy_headers = False
    ident = None


class Threads(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress publishes no types
    """Those that answer: so many for pages, and one for probes, whatever pages wait for."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._for_probes = ThreadedTaskDispatcher()
        self._for_probes.set_thread_count(1)
        self.set_thread_count(count)

    def add_task(self, task: Connection) -> None:
        """Have the first request of a connection answered."""
        if task.is_probe:
            self._for_probes.add_task(task)
        else:
            super().add_task(task)


class WebWorker(Worker):  # type: ignore[misc]  # gunicorn publishes no types
    """A web process."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._map: dict[int, Any] = {}
        self._listeners: list[Listener] = []
        self._turned_at = inf  # gunicorn itself ends a process that does not begin

    def is_turning(self) -> bool:
        """Whether the loop that reads requests still turns."""
        return time.monotonic() - self._turned_at < STUCK_AFTER

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: the loop wakes, and finishes what is under way."""
        super().handle_exit(sig, frame)
        for listener in self._listeners:
            listener.pull_trigger()

    def run(self) -> None:
        """Serve until a signal or the master's end, then finish."""
        # For each connection its socket, and files for a long body and a long answer.
        raise_limit_of_open_files()
        rules = Rules(backlog=self.cfg.backlog)
        threads = Threads(self.cfg.threads)
        self._listeners = [self._listener(each.sock, rules, threads) for each in self.sockets]
        look_at = 0.0
        while self.alive and self.ppid == os.getppid():
            self._turn(LOOK_EVERY)
            # Waitress's own look goes by the time of day, which may be set.
            if time.monotonic() >= look_at:
                look_at = time.monotonic() + LOOK_EVERY
                for listener in self._listeners:
                    listener.maintenance(time.time())
        # Those that come in from now on; for the others each connection is told.
        rules.is_ending = True
        self._finish()

    def _listener(self, sock: Any, rules: Rules, threads: Threads) -> Listener:
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        return Listener(
            *(self.wsgi, self._map, True, sock, threads, rules), sockinfo=info, bind_socket=False
        )

    def _finish(self) -> None:
        """Answer what has begun. Who connects now waits for another process."""
        for listener in self._listeners:
            listener.accepting = False
        for connection in self._connections():
            connection.end()
        began = time.monotonic()
        while (waited := time.monotonic() - began) < self.cfg.graceful_timeout:
            connections = self._connections()
            if not connections:
                return
            if waited >= LINGER:
                for connection in connections:
                    connection.close_if_idle()
            self._turn(0.1)

    def _connections(self) -> list[Connection]:
        return [each for listener in self._listeners for each in listener.connections()]

    def _turn(self, seconds: float) -> None:
        """Tell the master that we are alive, then read and write what can be, in so much time."""
        self.notify()
        self._turned_at = time.monotonic()
        # Not `select`, which ends at 1024 open files.
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)
