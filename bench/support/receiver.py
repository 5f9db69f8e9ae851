"""Run the fastest receiver possible in a few lines of Python, on libuv, so that only the sender is
measured.

It answers 200 to everything, after `--delay` seconds. A path that contains "hang" is never
answered. With `--log`, it writes a line for each request, with the delivery's id and the monotonic
time.
"""

import argparse
import asyncio
import re
import ssl
import time
from pathlib import Path
from typing import TextIO, cast

import uvloop

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
ID = re.compile(rb"x-asset-webhook-id: *([0-9a-f-]+)", re.IGNORECASE)


class Connection(asyncio.Protocol):
    """A connection that is kept open."""

    def __init__(self, delay: float, log: TextIO | None) -> None:
        self.delay, self.log = delay, log
        self.waiting = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is not a subclass

    def data_received(self, data: bytes) -> None:
        """Extract whole requests from the received bytes."""
        self.waiting += data
        while (end := self.waiting.find(b"\r\n\r\n")) >= 0:
            head = self.waiting[:end]
            length = LENGTH.search(head)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self.waiting) < size:
                return
            self.waiting = self.waiting[size:]
            self.take(head)

    def take(self, head: bytes) -> None:
        """Respond to one request."""
        if self.log is not None and (found := ID.search(head)):
            self.log.write(f"{found[1].decode()} {time.monotonic()}\n")
            self.log.flush()
        if b"hang" in head[:40]:
            return
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, ANSWER)
        else:
            self.transport.write(ANSWER)


async def serve(options: argparse.Namespace) -> None:
    """Listen on a free port until killed."""
    tls = None
    if options.certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(options.certificate)
    log = options.log.open("w") if options.log else None
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: Connection(options.delay, log), "127.0.0.1", 0, ssl=tls, backlog=4096
    )
    scheme = "https" if tls else "http"
    print(f"listening on {scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--certificate", type=Path)
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
