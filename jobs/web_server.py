"""A gunicorn worker in which waitress reads whole requests before a thread takes them.

gunicorn's own worker reads requests in its threads, so as many slow connections as threads block
every page. Waitress reads in one loop. gunicorn remains the master, with its hooks and signals.
"""

import logging
import os
import re
import time
from contextlib import suppress
from io import BytesIO
from math import inf
from operator import attrgetter
from socket import MSG_PEEK, SHUT_RDWR, socket
from time import monotonic
from types import FrameType
from typing import Any, Final

from gunicorn.workers.base import Worker
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher
from waitress.utilities import BadRequest, RequestEntityTooLarge

from jobs.process_setup import raise_limit_of_open_files

log = logging.getLogger(__name__)

# Seconds for one request. Each 64 KB of its body adds one second.
PATIENCE: Final = 30.0
BYTES_A_SECOND: Final = 64 * 1024
MOST_FIELDS: Final = 100
# Waitress does not limit the line before a chunk, the trailer, or the number of one-byte chunks,
# which cost it a hundred times as much time.
LONGEST_CHUNK_LINE: Final = 8 * 1024
MOST_FRAMING: Final = 64 * 1024

_FIRST_LINE: Final = re.compile(rb"[!-~]+ [!-~]+ HTTP/1\.[01]")
_CODINGS: Final = re.compile(rb"^transfer-encoding:[ \t]*([^\r]*?)[ \t]*\r$", re.I | re.M)
_HOST: Final = re.compile(rb"^host:", re.I | re.M)
# A folded header field, or whitespace on which waitress's pattern takes seconds (at 32 KB).
_STRANGE_SPACE: Final = re.compile(rb"\r\n[ \t]|[ \t]{200}")


class IncomingRequest(HTTPRequestParser):  # type: ignore[misc]  # waitress publishes no types
    """A request as waitress's loop collects it, before a thread takes it.

    Never raises. A malformed or ambiguous request is answered with 400.
    """

    error: Any = None
    path = ""  # waitress logs it even for an unreadable request

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.began = monotonic()

    @property
    def kept(self) -> int:
        """Return the number of body bytes held."""
        return 0 if self.body_rcv is None or self._is_too_long else len(self.body_rcv.buf)

    @property
    def is_late(self) -> bool:
        """Return whether it has exceeded the time allowed for the length of its body."""
        length = self.body_bytes_received if self.chunked else self.content_length
        longest = min(length, self.adj.max_request_body_size)
        return bool(monotonic() > self.began + PATIENCE + longest / BYTES_A_SECOND)

    def received(self, data: bytes) -> int:
        """Take received bytes and return how many of them belong to this request."""
        used: int = super().received(data)
        if isinstance(self.error, RequestEntityTooLarge):
            self._drop_body()
        elif self.chunked and self._is_mostly_framing():
            self.error, self.completed = BadRequest("The chunks are not sensible"), True
        if self.completed:
            # Otherwise waitress would ask and wait for a body that is already here.
            self.expect_continue = False
            if self.adj.is_ending:
                self.headers["CONNECTION"] = "close"
        return used

    def parse_header(self, header_plus: bytes) -> None:
        """Parse the head. Raise `ParsingError`, or waitress's own error for other transfer
        codings."""
        if header_plus.count(b"\r\n") > MOST_FIELDS + 2 or _STRANGE_SPACE.search(header_plus):
            raise ParsingError("Too many header fields or one in several lines")
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # an address or a number that Python rejects
            raise ParsingError("Malformed request") from error
        if not _FIRST_LINE.fullmatch(self.first_line):
            raise ParsingError("Malformed first line")
        # Waitress would serve it as the path with one slash.
        if self.path[:1] != "/" or self.path[:2] == "//":
            raise ParsingError("The path does not begin with one slash")
        hosts = len(_HOST.findall(header_plus))
        if hosts > 1 or (hosts == 0 and self.version == "1.1"):
            raise ParsingError("Not one host")
        # Every reader must agree on the end of the body.
        codings = [coding.lower() for coding in _CODINGS.findall(header_plus)]
        has_both = self.version != "1.1" or "CONTENT_LENGTH" in self.headers
        if codings and (codings != [b"chunked"] or has_both):
            raise ParsingError("The length of the body is not clear")

    @property
    def _is_too_long(self) -> bool:
        """Return whether the body exceeds the limit. The request must have a body."""
        return isinstance(self.body_rcv.buf, Dropped)

    def _drop_body(self) -> None:
        """Read the rest without keeping it, because a client that is still sending would miss the
        response.

        The application gets the length and rejects the request in its own words.
        """
        body = self.body_rcv
        if not self._is_too_long:
            body.buf.close()
            body.buf = Dropped()
        if self.chunked:
            self.headers["CONTENT_LENGTH"] = str(self.body_bytes_received)
        self.error = body.error
        self.completed = bool(body.error or body.completed)

    def _is_mostly_framing(self) -> bool:
        body = self.body_rcv
        framing = self.body_bytes_received - len(body.buf)
        longest = max(len(body.control_line), len(body.trailer))
        return longest > LONGEST_CHUNK_LINE or framing > MOST_FRAMING + len(body.buf)


class Dropped:
    """An empty buffer for an ignored body, in place of waitress's."""

    def append(self, data: bytes) -> None:
        """Discard the data."""

    def getfile(self) -> BytesIO:
        return BytesIO()

    def close(self) -> None:
        """Do nothing."""


# Seconds. Proxies drop unused connections sooner, so none sends on a connection just closed.
IDLE: Final = 130.0
# Limit of requests sent before the first response. Browsers and proxies wait.
MOST_AT_ONCE: Final = 8
# Bytes of all incoming bodies, in memory and in temporary files.
MOST_KEPT: Final = 512 * 1024 * 1024
# Answered from memory.
PROBES: Final = {"/healthz", "/readyz"}


class Refusal(ErrorTask):  # type: ignore[misc]  # waitress publishes no types
    """A response that waitress sends instead of the application."""

    def execute(self) -> None:
        """Send the response and log it without any content of the request."""
        error = self.request.error
        if error.code != 500:  # the application has logged the reason for a 500
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
        # The request has usually arrived already. Reading it now saves a turn of the loop.
        with suppress(OSError):
            sock.recv(1, MSG_PEEK)
            wasyncore.read(self)

    @property
    def began(self) -> float:
        """Return when the incoming request began (monotonic seconds), or 0 if there is none."""
        return 0.0 if self.request is None else self.request.began

    @property
    def kept(self) -> int:
        """Return the number of body bytes held of the incoming request."""
        return 0 if self.request is None else self.request.kept

    @property
    def is_probe(self) -> bool:
        """Return whether the first request can be answered without waiting for anything."""
        request = self.requests[0]
        is_asked = request.path in PROBES and request.command in {"GET", "HEAD"}
        return is_asked and not self.total_outbufs_len

    def is_overdue(self, now: float) -> bool:
        """Return whether its time is up. Waitress measures `now` with `time.time()`."""
        is_idle = bool(self.last_activity < now - IDLE)
        if self.requests:  # a thread may be waiting for the client to read
            return is_idle and self.total_outbufs_len > 0
        return is_idle or (self.request is not None and self.request.is_late)

    def received(self, data: bytes) -> bool:
        """Take received bytes and return whether they were wanted."""
        is_wanted = bool(super().received(data))
        if len(self.requests) > MOST_AT_ONCE:
            self.will_close = True
        return is_wanted

    def end(self) -> None:
        """Close the connection after the requests that already wait for a response."""
        for request in self.requests[-1:]:  # waitress drops requests behind one that closes
            request.headers["CONNECTION"] = "close"

    def give_up(self) -> None:
        """Close it in the next turn of the loop."""
        self.will_close = True
        if self.total_outbufs_len:  # the loop would wait for the client to read them
            with suppress(OSError):
                self.socket.shutdown(SHUT_RDWR)

    def close_if_idle(self) -> None:
        """Close the connection unless a request is incoming, waiting or being answered."""
        if not (self.requests or self.request or self.total_outbufs_len):
            self.will_close = True

    def writable(self) -> bool:
        """Return whether the loop has something to write.

        False while a thread writes. The loop would keep asking for the lock and take CPU time from
        that thread.
        """
        if self._is_writing and self.total_outbufs_len <= self.adj.outbuf_high_watermark:
            return False
        return bool(super().writable())

    def write_soon(self, data: Any) -> int:
        """Write as much as fits from a thread, leave the rest to the loop, and return the
        length."""
        self._is_writing = True
        try:
            count: int = super().write_soon(data)
        finally:
            self._is_writing = False
            if self.total_outbufs_len:
                self.server.pull_trigger()
        return count


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress publishes no types
    """A gunicorn socket that waitress serves."""

    channel_class = Connection

    def connections(self) -> list[Connection]:
        """Return a snapshot, because other threads can close connections."""
        return list(self.active_channels.values())

    def handle_accept(self) -> None:
        """Accept a connection. At the limit, close the connection that has been idle longest."""
        # At the limit waitress accepts none until the next turn of the loop.
        if len(self._map) >= self.adj.connection_limit - 2:
            idle = [
                connection
                for connection in self.connections()
                if not (connection.requests or connection.will_close)
            ]
            for longest in sorted(idle, key=attrgetter("last_activity"))[:1]:
                longest.give_up()
        super().handle_accept()

    def maintenance(self, now: float) -> None:
        """Close overdue connections. If bodies exceed `MOST_KEPT`, close the oldest of them too."""
        connections = self.connections()
        for connection in connections:
            if connection.is_overdue(now):
                connection.give_up()
        kept = 0
        for connection in sorted(connections, key=attrgetter("began"), reverse=True):
            kept += connection.kept
            if connection.kept and kept > MOST_KEPT:
                connection.give_up()


# Seconds that idle connections stay open after SIGTERM, because a request may be on its way.
LINGER: Final = 2.0
LOOK_EVERY: Final = 1.0
STUCK_AFTER: Final = 10.0


class Rules(Adjustments):  # type: ignore[misc]  # waitress publishes no types
    """Settings for waitress. `is_ending`: close connections after their response."""

    is_ending = False
    connection_limit = 800
    max_request_header_size = 32 * 1024
    # Higher than the application's own limit, so that the application rejects the body in its own
    # words.
    max_request_body_size = 17 * 1024 * 1024
    # Our own middleware decides which proxies are trusted.
    clear_untrusted_proxy_headers = False
    ident = None


class Threads(ThreadedTaskDispatcher):  # type: ignore[misc]  # waitress publishes no types
    """A pool of threads for pages, and one thread for probes, which pages cannot block."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._for_probes = ThreadedTaskDispatcher()
        self._for_probes.set_thread_count(1)
        self.set_thread_count(count)

    def add_task(self, task: Connection) -> None:
        """Queue the first request of a connection."""
        if task.is_probe:
            self._for_probes.add_task(task)
        else:
            super().add_task(task)


class WebWorker(Worker):  # type: ignore[misc]  # gunicorn publishes no types
    """A gunicorn worker that serves pages through waitress."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._map: dict[int, Any] = {}
        self._listeners: list[Listener] = []
        self._turned_at = inf  # gunicorn itself ends a process that fails to start

    def is_turning(self) -> bool:
        """Return whether the loop that reads requests still runs."""
        return monotonic() - self._turned_at < STUCK_AFTER

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Wake the loop on SIGTERM, so that it finishes open requests."""
        super().handle_exit(sig, frame)
        for listener in self._listeners:
            listener.pull_trigger()

    def run(self) -> None:
        """Serve until a signal or the end of the master, then finish open requests."""
        # Each connection needs its socket, and files for a long body and a long response.
        raise_limit_of_open_files()
        rules = Rules(backlog=self.cfg.backlog)
        threads = Threads(self.cfg.threads)
        self._listeners = [self._listener(opened.sock, rules, threads) for opened in self.sockets]
        look_at = 0.0
        while self.alive and self.ppid == os.getppid():
            self._turn(LOOK_EVERY)
            # Waitress's own check uses the wall clock, which can be changed.
            if monotonic() >= look_at:
                look_at = monotonic() + LOOK_EVERY
                for listener in self._listeners:
                    listener.maintenance(time.time())
        # For requests that arrive from now on. `_finish` tells the open connections.
        rules.is_ending = True
        self._finish()

    def _listener(self, sock: Any, rules: Rules, threads: Threads) -> Listener:
        info = (sock.family, sock.type, sock.proto, sock.getsockname())
        return Listener(
            *(self.wsgi, self._map, True, sock, threads, rules), sockinfo=info, bind_socket=False
        )

    def _finish(self) -> None:
        """Answer open requests. New connections wait for another process."""
        for listener in self._listeners:
            listener.accepting = False
        for connection in self._connections():
            connection.end()
        began = monotonic()
        while (waited := monotonic() - began) < self.cfg.graceful_timeout:
            connections = self._connections()
            if not connections:
                return
            if waited >= LINGER:
                for connection in connections:
                    connection.close_if_idle()
            self._turn(0.1)

    def _connections(self) -> list[Connection]:
        return [connection for listener in self._listeners for connection in listener.connections()]

    def _turn(self, seconds: float) -> None:
        """Tell the master that this process is alive, then do one turn of I/O within `seconds`."""
        self.notify()
        self._turned_at = monotonic()
        # `select` fails above 1024 open files.
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)
