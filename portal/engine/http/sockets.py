"""Which sockets libcurl waits for, and which of them are ready, by epoll."""

import select
from contextlib import suppress

import pycurl

_TO_EPOLL = {
    pycurl.POLL_IN: select.EPOLLIN,
    pycurl.POLL_OUT: select.EPOLLOUT,
    pycurl.POLL_INOUT: select.EPOLLIN | select.EPOLLOUT,
}
_READABLE = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
_EVENTS_A_POLL = 64
"""Sockets served before finished requests are looked for: none waits long for the others."""


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
