"""A wire between clients and servers of this network namespace, which may lose what it carries.

A TUN device with `NEAR`. What is sent to `FAR` comes back to `NEAR` as if `FAR` had sent it, so
that a server that listens at `NEAR` is reached at `FAR` by way of this process. Swapping the two
addresses leaves every checksum right.
"""

import fcntl
import os
import select
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.netns import own_address

NEAR: Final = "10.99.0.1"
FAR: Final = "10.99.0.2"
DEVICE: Final = "wire"
CLIENTS: Final = "10.99.0.0/24"  # both ends of it
TUNSETIFF: Final = 0x400454CA
IFF_TUN_NO_PI: Final = 0x1001
LONGEST: Final = 65_536
TCP: Final = 6


class LossyWire:
    """Carries TCP of clients to a server's `port`, and back. `is_cut`: nothing is carried."""

    def __init__(self, handle: int, port: int) -> None:
        self._handle, self._port = handle, port
        self._known: set[int] = set()  # the clients' ports that were ever seen
        self._lost_to_server: set[int] = set()
        self._lost_to_client: set[int] = set()
        self.is_cut = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def lose_established(self, *, to_server: bool = False, to_client: bool = False) -> int:
        """From now on what goes that way on the present connections is lost silently; how many
        there are. New ones are carried."""
        known = set(self._known)
        if to_server:
            self._lost_to_server |= known
        if to_client:
            self._lost_to_client |= known
        return len(known)

    def close(self) -> None:
        """Carry nothing any more."""
        self._ended.set()
        self._thread.join()
        os.close(self._handle)

    def _carry(self) -> None:
        while not self._ended.is_set():
            if not select.select([self._handle], [], [], 0.1)[0]:
                continue
            packet = os.read(self._handle, LONGEST)
            if packet[0] >> 4 == 4 and packet[9] == TCP and not self._is_lost(packet):
                os.write(self._handle, packet[:12] + packet[16:20] + packet[12:16] + packet[20:])

    def _is_lost(self, packet: bytes) -> bool:
        if self.is_cut:
            return True
        source, target = struct.unpack_from("!HH", packet, (packet[0] & 15) * 4)
        if target == self._port:
            self._known.add(source)
            return source in self._lost_to_server
        return target in self._lost_to_client


@contextmanager
def lossy_wire(port: int) -> Iterator[LossyWire]:
    """A wire to the server at `NEAR` and `port`, meanwhile; inside a network namespace."""
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN_NO_PI))
    own_address(DEVICE, NEAR, "255.255.255.0")  # and all of its network lies behind it
    wire = LossyWire(handle, port)
    try:
        yield wire
    finally:
        wire.close()
