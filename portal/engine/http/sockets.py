"""Which sockets libcurl waits for, and which of them are ready, by epoll; and over which of them
something was sent that nobody has acknowledged."""

import select
import socket
import sys
from contextlib import suppress
from typing import Final

import pycurl

_TO_EPOLL = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_READABLE = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_EVENTS_A_POLL = 64
"""Sockets served before finished requests are looked for: none waits long for the others."""
# https://github.com/torvalds/linux/blob/master/include/uapi/linux/tcp.h: struct tcp_info begins
# with eight bytes and four numbers of four bytes; the next is the segments not acknowledged.
UNACKED: Final = slice(24, 28)

Local = tuple[str, int]


class Sockets:
    """The sockets of one multi handle, by file number.

    A socket that libcurl has done with for now stays registered, for most are used again at once.
    One that is closed the system has forgotten by itself, whoever gets its number next.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._registered: set[int] = set()
        self._resting: set[int] = set()
        self._watched: set[int] = set()
        self.rung: set[int] = set()

    def watch(self, fd: int) -> None:
        """Wake up for one more, which is not libcurl's: `rung` says which are readable."""
        self._watched.add(fd)
        self._epoll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """No more for this one."""
        self._watched.discard(fd)
        self.rung.discard(fd)
        with suppress(OSError):  # closed, so forgotten
            self._epoll.unregister(fd)

    @property
    def is_watching(self) -> bool:
        """Whether there is such a one."""
        return bool(self._watched)

    def note(self, event: int, fd: int, _multi: object = None, _data: object = None) -> None:
        """Watch the socket for this `pycurl.POLL_…`, or no more. Called as libcurl calls it."""
        if event == pycurl.POLL_REMOVE:
            self._resting.add(fd)
            return
        self._resting.discard(fd)
        if fd in self._registered:
            with suppress(FileNotFoundError):  # its number was another's
                self._epoll.modify(fd, _TO_EPOLL[event])
                return
        self._epoll.register(fd, _TO_EPOLL[event])
        self._registered.add(fd)

    def ready(self, wait: float) -> list[tuple[int, int]]:
        """Who is ready within `wait` seconds, as `socket_action` takes it: (number, mask)."""
        found = []
        for fd, events in self._epoll.poll(wait, _EVENTS_A_POLL):
            if fd in self._watched:
                self.rung.add(fd)
                continue
            if fd in self._resting:  # the receiver hung up; libcurl looks before it uses it again
                self._forget(fd)
                continue
            mask = pycurl.CSELECT_IN if events & _READABLE else 0
            found.append((fd, mask | pycurl.CSELECT_OUT if events & select.EPOLLOUT else mask))
        return found

    def close(self) -> None:
        """Watch nothing any more."""
        self._epoll.close()

    def _forget(self, fd: int) -> None:
        self._resting.remove(fd)
        self._registered.remove(fd)
        self._epoll.unregister(fd)


class Acknowledgements:
    """The sockets of one transport, by the address and port of this end.

    libcurl does not tell which socket a request that is under way goes over, but where that begins.
    A file number may be another socket's by now, so the address is compared.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._files: dict[Local, int] = {}

    def note(self, local: Local, file: int) -> None:
        """A connection is open."""
        self._files[local] = file
        if len(self._files) > self._capacity:
            del self._files[next(iter(self._files))]

    def is_missing(self, local: Local | None) -> bool:
        """Whether something that was sent from there is on its way still, as far as is known."""
        file = self._files.get(local) if local else None
        if file is None:
            return False
        try:
            known = socket.socket(fileno=file)
        except OSError:
            return False
        try:
            if known.getsockname()[:2] != local:
                return False
            info = known.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, UNACKED.stop)
            return int.from_bytes(info[UNACKED], sys.byteorder) > 0
        except OSError:
            return False
        finally:
            known.detach()  # it is libcurl's
