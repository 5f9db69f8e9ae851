"""Set up a process's limit of open files, its signals, and its end with its parent."""

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from typing import Final

OPEN_FILES: Final = 65_536
PR_SET_PDEATHSIG: Final = 1


def raise_limit_of_open_files() -> None:
    """Let this process open `OPEN_FILES`, or as many as the hard limit allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))


def signal_sockets() -> tuple[socket.socket, socket.socket]:
    """Return a socket to wait for, and its other end, which the caller must keep.

    Python writes the number of each handled signal to the socket at once, one byte each. Only the
    latest pair receives signals. Raise `ValueError` outside the main thread.
    """
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    return reader, writer


def dies_with(parent: int) -> Callable[[], None]:
    """Return a `preexec_fn` that has the child killed when the process `parent` ends (Linux)."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def bind() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # the parent ended before the call
                os._exit(1)

    return bind
