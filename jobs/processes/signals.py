"""How a thread hears of signals although Python's own handlers have to wait for the main one."""

import signal
import socket


def signal_sockets() -> tuple[socket.socket, socket.socket]:
    """One to be waited for, into which Python writes the number of each signal that has a handler,
    a byte each, the moment it comes; and its other end, which has to be kept.

    The last pair that was made is the one that hears. For the main thread; else `ValueError`.
    """
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    return reader, writer
