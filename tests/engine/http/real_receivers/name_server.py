"""A scripted name server, for DNS rebinding and for names of private addresses."""

import socket
import struct
import threading
from collections.abc import Collection, Mapping, Sequence
from types import TracebackType
from typing import Self

_TYPE_A = 1
_ANSWER = 0x8180
_NO_SUCH_NAME = 0x8183


class NameServer:
    """A server for A queries at port 53 of `host`. It returns several addresses of a name in turn.

    Queries for a name in `silent` or from an address in `silent_to` get no answer. `asked` lists
    the names that were resolved.
    """

    def __init__(
        self,
        names: Mapping[str, Sequence[str]],
        silent: Collection[str] = (),
        host: str = "127.0.0.1",
    ) -> None:
        self._silent = frozenset(silent)
        self.silent_to: set[str] = set()
        self._names = {name: list(addresses) for name, addresses in names.items()}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 53))
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        # An empty datagram wakes the thread and ends it.
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while True:
            query, asker = self._socket.recvfrom(512)
            if not query:
                return
            name, _ = _read_name(query)
            if name not in self._silent and asker[0] not in self.silent_to:
                self._socket.sendto(self._reply(query), asker)

    def _reply(self, query: bytes) -> bytes:
        name, end = _read_name(query)
        kind = int.from_bytes(query[end : end + 2], "big")
        question = query[12 : end + 4]
        addresses = self._names.get(name, [])
        if kind != _TYPE_A or not addresses:
            flags = _ANSWER if addresses else _NO_SUCH_NAME
            return query[:2] + struct.pack("!HHHHH", flags, 1, 0, 0, 0) + question
        self.asked.append(name)
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        record = struct.pack("!HHHIH", 0xC00C, _TYPE_A, 1, 0, 4) + socket.inet_aton(address)
        return query[:2] + struct.pack("!HHHHH", _ANSWER, 1, 1, 0, 0) + question + record


def _read_name(query: bytes) -> tuple[str, int]:
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode("ascii").lower())
        at += query[at] + 1
    return ".".join(labels), at + 1
