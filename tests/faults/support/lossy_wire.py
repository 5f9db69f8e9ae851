"""A lossy wire between clients and servers in this network namespace.

A TUN device with `NEAR`. Packets to `FAR` return to `NEAR` as if `FAR` had sent them, so a server
that listens at `NEAR` is reachable at `FAR` through this process. Swapping the two addresses leaves
every checksum right.
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
CLIENTS: Final = "10.99.0.0/24"  # both ends
TUNSETIFF: Final = 0x400454CA
IFF_TUN_NO_PI: Final = 0x1001
LONGEST: Final = 65_536
TCP: Final = 6


class LossyWire:
    """A carrier of TCP between clients and a server's `port`. `is_cut`: all packets are dropped."""

    def __init__(self, handle: int, port: int) -> None:
        self._handle, self._port = handle, port
        self._known: set[int] = set()  # all client ports seen so far
        self._lost_to_server: set[int] = set()
        self._lost_to_client: set[int] = set()
        self.is_cut = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def lose_established(self, *, to_server: bool = False, to_client: bool = False) -> int:
        """Silently drop packets in this direction on established connections. New connections work.
        Return the number of known connections."""
        known = set(self._known)
        if to_server:
            self._lost_to_server |= known
        if to_client:
            self._lost_to_client |= known
        return len(known)

    def close(self) -> None:
        """Stop carrying packets."""
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
    """Run a wire to the server at `NEAR` and `port`, inside a network namespace."""
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN_NO_PI))
    own_address(DEVICE, NEAR, "255.255.255.0")  # and routes its whole network through the wire
    wire = LossyWire(handle, port)
    try:
        yield wire
    finally:
        wire.close()
