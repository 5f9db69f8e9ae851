"""A lossy cable between this network namespace and a machine's own namespace.

Two TUN devices, one at each end, and a thread that copies packets between them. `python -m
tests.faults.healing.cable SOCKET NUMBER WORDS…` creates the machine's end. It hands its device over
and becomes `python WORDS…` in a namespace where only the cable leads anywhere. With `beside PID
WORDS…` it becomes them in the namespace of that process. Unix sockets stay reachable.
"""

import array
import ctypes
import fcntl
import os
import select
import socket
import struct
import sys
import threading
from pathlib import Path
from typing import Final

from tests.faults.support.lossy_wire import IFF_TUN_NO_PI, LONGEST, TUNSETIFF
from tests.support.netns import own_address

RECEIVERS: Final = "10.98.0.1"
EVERYBODY: Final = "10.98.0.0/16"
CLONE_NEWNET: Final = 0x40000000


class Cable:
    """Cable number 1 to 250. `is_cut`: all packets are dropped silently. `cut_after`: cut the cable
    after the first packet with these bytes. `lost`: addresses whose packets are dropped. `far`: the
    address of the machine's end."""

    def __init__(self, folder: Path, number: int) -> None:
        self.is_cut = False
        self.cut_after = b""
        self.lost: set[str] = set()
        self.far = f"10.98.{number}.2"
        self._number = number
        self._path = folder / f"cable{number}.sock"
        self._near = device(f"cable{number}")
        own_address(f"cable{number}", f"10.98.{number}.1", "255.255.255.0")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self._path))
        self._listener.listen(1)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    @property
    def words(self) -> list[str]:
        """Return Python's arguments for a machine at the other end, before its own arguments."""
        return ["-m", "tests.faults.healing.cable", str(self._path), str(self._number)]

    def close(self) -> None:
        """Stop carrying packets."""
        self._ended.set()
        self._thread.join(5)
        self._listener.close()

    def _carry(self) -> None:
        self._listener.settimeout(120)
        guest, _ = self._listener.accept()
        with guest:
            _, ancillary, _, _ = guest.recvmsg(1, socket.CMSG_SPACE(4))
            far = array.array("i", ancillary[0][2])[0]
            guest.send(b"1")
        ways = {self._near: far, far: self._near}
        try:
            while not self._ended.is_set():
                for handle in select.select(list(ways), [], [], 0.1)[0]:
                    packet = os.read(handle, LONGEST)
                    if not (self.is_cut or self._is_lost(packet)):
                        os.write(ways[handle], packet)
                        if self.cut_after and self.cut_after in packet:
                            self.is_cut = True
        except OSError:  # the machine has ended and closed its end
            pass
        finally:
            for handle in ways:
                os.close(handle)

    def _is_lost(self, packet: bytes) -> bool:
        ends = {socket.inet_ntoa(packet[12:16]), socket.inet_ntoa(packet[16:20])}
        return packet[0] >> 4 == 4 and not ends.isdisjoint(self.lost)


def device(name: str) -> int:
    """Open a TUN device in this namespace and return its file descriptor."""
    handle = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(handle, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN_NO_PI))
    return handle


def beside(pid: int) -> list[str]:
    """Return Python's arguments for a process on the machine of process `pid`, before its own."""
    return ["-m", "tests.faults.healing.cable", "beside", str(pid)]


def main(path: str, number: str, *words: str) -> None:
    """Create the machine's end and become its program."""
    if path == "beside":
        os.setns(os.open(f"/proc/{number}/ns/net", os.O_RDONLY), CLONE_NEWNET)
        os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - the machine's program
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "no network namespace")
    own_address("lo", "127.0.0.1", "255.0.0.0")
    handle = device("cable")
    own_address("cable", f"10.98.{number}.2", "255.255.0.0")
    with socket.socket(socket.AF_UNIX) as host:
        host.connect(path)
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [handle]))
        host.sendmsg([b"1"], [rights])
        host.recv(1)
    os.close(handle)  # the other end holds a copy
    os.execv(sys.executable, [sys.executable, *words])  # noqa: S606 - the machine's program


if __name__ == "__main__":
    main(*sys.argv[1:])
