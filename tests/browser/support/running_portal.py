"""The portal as `make run` starts it, and a receiver, each in processes of its own."""

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
    """A running portal. `link` is the set-up link that the start printed."""

    url: str
    link: str


@contextmanager
def fresh_portal(folder: Path) -> Iterator[FreshPortal]:
    """A portal on a clean instance folder, as on its first day; ended when the block ends."""
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
    """One request as the receiver wrote it down; `at` is its monotonic clock, as is ours."""

    path: str
    headers: list[list[str]]
    body: bytes
    signature_ok: bool
    status: int
    at: float

    def header(self, name: str) -> str | None:
        """The value of a header, whatever its case."""
        found = [value for each, value in self.headers if each.lower() == name.lower()]
        return found[0] if found else None

    @property
    def id(self) -> str:
        """The delivery's public id."""
        return self.header("X-Asset-Webhook-Id") or ""

    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass(slots=True)
class Outside:
    """The other system: a receiver that keeps its port and its log when it is restarted."""

    folder: Path
    secret: str
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        """Where it takes messages."""
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def log(self) -> Path:
        """One JSON line a message."""
        return self.folder / "received.jsonl"

    def start(self) -> None:
        """Listen."""
        arguments = ["-m", "tests.support.receiver", "--port", str(self.port)]
        arguments += ["--secret", self.secret, "--log", str(self.log)]
        self.process = Process(self.folder / "receiver.log", arguments, {})
        assert until(self.answers, 15), (self.folder / "receiver.log").read_text()

    def stop(self) -> None:
        """End the process: connections are refused from now on."""
        if self.process is not None:
            _end(self.process)
            self.process = None

    def answers(self) -> bool:
        """Whether it listens."""
        try:
            self.order()
        except OSError:
            return False
        return True

    def order(self, **answer: Any) -> None:
        """Answer like this from now on; without anything, nothing changes."""
        body = json.dumps(answer).encode() if answer else b""
        url = f"http://127.0.0.1:{self.port}/_control"
        with urllib.request.urlopen(url, data=body, timeout=5) as reply:
            reply.read()

    def received(self) -> list[Message]:
        """Everything so far, in its order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [_message(json.loads(line)) for line in lines if line.endswith("}")]

    def wait_for(self, count: int, seconds: float = 15) -> list[Message]:
        """The first `count` messages."""
        assert until(lambda: len(self.received()) >= count, seconds), (
            f"{len(self.received())} of {count} messages arrived in {seconds} s"
        )
        return self.received()[:count]


@contextmanager
def running_receiver(folder: Path, secret: str) -> Iterator[Outside]:
    """A healthy receiver that checks signatures with `secret`."""
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
