"""Run the portal as `make run` does, and a receiver, in separate processes."""

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.processes import Process, until

LINK = re.compile(r"Open (\S+) to create the first administrator")


@dataclass(slots=True)
class FreshPortal:
    """A running portal. `link` is the setup link that it printed at its start."""

    url: str
    link: str


@contextmanager
def fresh_portal(folder: Path) -> Iterator[FreshPortal]:
    """Run a portal on a new instance folder until the block ends."""
    port = free_port()
    environment = {
        "LOCAL_TRIAL": "1",
        "PORT": str(port),
        "INSTANCE_DIR": str(folder / "instance"),
        "TIMEZONE": "Europe/Vienna",
    }
    process = Process(folder / "up.log", ["-m", "flask", "--app", "wsgi", "up"], environment)
    try:
        assert process.says("Press Ctrl-C to stop.", 100), process.output.read_text()
        link = LINK.search(process.output.read_text())
        assert link, process.output.read_text()
        yield FreshPortal(f"http://127.0.0.1:{port}", link[1])
    finally:
        _end(process)


def _end(process: Process) -> None:
    try:
        if process.process.poll() is None:
            process.stop(seconds=40)
    finally:
        process.close()


@dataclass(frozen=True, slots=True)
class Message:
    """A request in the receiver's log. `at` is its monotonic time, which processes share."""

    path: str
    headers: list[list[str]]
    body: bytes
    signature_ok: bool
    status: int
    at: float

    def header(self, name: str) -> str | None:
        """Return the value of a header, whose name ignores case."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        return values[0] if values else None

    @property
    def id(self) -> str:
        """Return the delivery's public id."""
        return self.header("X-Asset-Webhook-Id") or ""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Outside:
    """A receiver that keeps its port and its log when it restarts."""

    folder: Path
    secret: str
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def log(self) -> Path:
        """Return the path of the log, with one JSON line per message."""
        return self.folder / "received.jsonl"

    def start(self) -> None:
        """Start the process and wait until it listens."""
        arguments = ["-m", "tests.support.receiver", "--port", str(self.port)]
        arguments += ["--secret", self.secret, "--log", str(self.log)]
        self.process = Process(self.folder / "receiver.log", arguments, {})
        assert until(self.answers, 15), (self.folder / "receiver.log").read_text()

    def stop(self) -> None:
        """End the process, so that connections are refused."""
        if self.process is not None:
            _end(self.process)
            self.process = None

    def answers(self) -> bool:
        """Return whether it listens."""
        try:
            self.order()
        except OSError:
            return False
        return True

    def order(self, **answer: Any) -> None:
        """Set the response to later requests. Without arguments, nothing changes."""
        body = json.dumps(answer).encode() if answer else b""
        url = f"http://127.0.0.1:{self.port}/_control"
        with urllib.request.urlopen(url, data=body, timeout=5) as reply:
            reply.read()

    def received(self) -> list[Message]:
        """Return the messages so far, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [_message(json.loads(line)) for line in lines if line.endswith("}")]

    def wait_for(self, count: int, seconds: float = 15) -> list[Message]:
        """Wait for `count` messages, and return the first `count`."""
        assert until(lambda: len(self.received()) >= count, seconds), (
            f"{len(self.received())} of {count} messages arrived in {seconds} s"
        )
        return self.received()[:count]


@contextmanager
def running_receiver(folder: Path, secret: str) -> Iterator[Outside]:
    """Run a receiver that checks signatures with `secret`."""
    outside = Outside(folder, secret)
    try:
        outside.start()
        yield outside
    finally:
        outside.stop()


def _message(entry: dict[str, Any]) -> Message:
    return Message(
        path=entry["path"],
        headers=entry["headers"],
        body=entry["body"].encode(),
        signature_ok=entry["signature_ok"],
        status=entry["status"],
        at=entry["at"],
    )
