"""A connection and its end: who sends, who reads and who does neither has so much time."""

import logging
from contextlib import suppress
from socket import MSG_PEEK, SHUT_RDWR, socket
from typing import Any, Final

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask

from jobs.web_server.request import IncomingRequest

# Seconds; longer than proxies keep what they do not use: none sends on a connection just closed.
IDLE: Final = 130.0
# Requests sent before the first is answered; browsers and proxies wait.
MOST_AT_ONCE: Final = 8
# Bytes of all bodies under way, which lie in memory and in temporary files.
MOST_KEPT: Final = 512 * 1024 * 1024
# What these ask lies in memory.
PROBES: Final = {"/healthz", "/readyz"}

log = logging.getLogger(__name__)


class Refusal(ErrorTask):  # type: ignore[misc]  # waitress publishes no types
    """The answer to a request that the application does not get."""

    def execute(self) -> None:
        """Answer, and leave a line; what was sent is not in it."""
        error = self.request.error
        if error.code != 500:  # then the application had it, and the reason is in the log
            log.warning("Refused from %s: %d %s", self.channel.addr[0], error.code, error.reason)
        super().execute()


class Connection(HTTPChannel):  # type: ignore[misc]  # waitress publishes no types
    """A connection, read and written by waitress's loop."""

    parser_class = IncomingRequest
    error_task_class = Refusal
    request: IncomingRequest | None
    _is_writing = False

    def __init__(self, server: Any, sock: socket, addr: Any, adj: Any, map: Any = None) -> None:
        super().__init__(server, sock, addr, adj, map)
        # Most often the request has come along: read now, it does not wait for another turn.
        with suppress(OSError):
            sock.recv(1, MSG_PEEK)
            wasyncore.read(self)

    @property
    def began(self) -> float:
        """When the request that comes in began (monotonic seconds); 0 where none does."""
        return 0.0 if self.request is None else self.request.began

    @property
    def kept(self) -> int:
        """How many bytes we hold of the body that comes in."""
        return 0 if self.request is None else self.request.kept

    @property
    def is_probe(self) -> bool:
        """Whether the answer to its first request waits for nothing, nor for who takes it."""
        request = self.requests[0]
        is_asked = request.path in PROBES and request.command in {"GET", "HEAD"}
        return is_asked and not self.total_outbufs_len

    def is_overdue(self, now: float) -> bool:
        """Whether it has had its time; `now` is what waitress goes by, `time.time()`."""
        is_idle = bool(self.last_activity < now - IDLE)
        if self.requests:  # a thread may wait until its answer is taken
            return is_idle and self.total_outbufs_len > 0
        return is_idle or (self.request is not None and self.request.is_late)

    def received(self, data: bytes) -> bool:
        """Take what has come; whether it was wanted."""
        is_wanted = bool(super().received(data))
        if len(self.requests) > MOST_AT_ONCE:
            self.will_close = True
        return is_wanted

    def end(self) -> None:
        """Keep it for no further request: those that wait for their answer are the last."""
        for request in self.requests[-1:]:  # waitress drops those behind one that closes
            request.headers["CONNECTION"] = "close"

    def give_up(self) -> None:
        """Close it in the next turn of the loop."""
        self.will_close = True
        if self.total_outbufs_len:  # the loop would wait until somebody takes it
            with suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)

    def close_if_idle(self) -> None:
        """Close it, unless a request comes in, waits or is being answered."""
        if not (self.requests or self.request or self.total_outbufs_len):
            self.will_close = True

    def writable(self) -> bool:
        """Whether the loop has something to write.

        Not while a thread writes: the loop would ask for the lock again and again, and take from
        the thread the processor that it waits for.
        """
        if self._is_writing and self.total_outbufs_len <= self.adj.outbuf_high_watermark:
            return False
        return bool(super().writable())

    def write_soon(self, data: Any) -> int:
        """A thread writes what fits and leaves the rest to the loop; returns the length."""
        self._is_writing = True
        try:
            count: int = super().write_soon(data)
        finally:
            self._is_writing = False
            if self.total_outbufs_len:
                self.server.pull_trigger()
        return count


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress publishes no types
    """A socket of gunicorn's that waitress serves."""

    channel_class = Connection

    def connections(self) -> list[Connection]:
        """All of this moment: threads close some meanwhile."""
        return list(self.active_channels.values())

    def handle_accept(self) -> None:
        """Take one more; where room for the next is needed, close the one idle longest."""
        # At the limit waitress takes none until the loop has turned again.
        if len(self._map) >= self.adj.connection_limit - 2:
            idle = [each for each in self.connections() if not (each.requests or each.will_close)]
            for longest in sorted(idle, key=lambda each: each.last_activity)[:1]:
                longest.give_up()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Close what has had its time, and of too many bodies those that began first."""
        connections = self.connections()
        for each in connections:
            if each.is_overdue(now):
                each.give_up()
        kept = 0
        for each in sorted(connections, key=lambda each: each.began, reverse=True):
            kept += each.kept
            if each.kept and kept > MOST_KEPT:
                each.give_up()
