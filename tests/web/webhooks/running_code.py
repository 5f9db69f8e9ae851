"""Run the receiver code samples as developers would, each receiver on its own port."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from uuid import uuid4

from portal.engine.signing.signatures import request_headers
from tests.support.ports import free_port
from tests.support.required import needs

Command = list[str | Path]
BODY: Final = '{"event":"asset.updated","asset":{"asset_tag":"AST-00001","name":"Größe"}}'.encode()
PATH: Final = "/in/here?key=1"
# Go compiles its standard library once per machine, which takes two cores half a minute.
COMPILES: Final = 200.0  # seconds
STARTS: Final = 60.0  # seconds, on a machine that may be busy


@cache
def built(source: Path) -> Path:
    """Compile a Go program using only the standard library."""
    program = source.with_suffix("")
    environment = {**os.environ, "GOTOOLCHAIN": "local", "GOPROXY": "off", "GO111MODULE": "off"}
    command = ["go", "build", "-o", program, source]
    subprocess.run(command, env=environment, timeout=COMPILES, check=True)
    return program


@cache
def compiled(source: Path) -> Command:
    """Compile a Java class once, because `java FILE` would compile it at each start."""
    subprocess.run(["javac", "-d", source.parent, source], timeout=COMPILES, check=True)
    return ["java", "-cp", source.parent, source.stem]


COMMANDS: Final[Mapping[str, Callable[[Path, int], Command]]] = {
    "python": lambda path, _port: [sys.executable, path],
    "node": lambda path, _port: ["node", path],
    "php": lambda path, port: ["php", "-S", f"127.0.0.1:{port}", path],
    "go": lambda path, _port: [built(path)],
    "java": lambda path, _port: compiled(path),
}


# The command whose presence shows that a language is installed.
NEEDED: Final = {language: language for language in COMMANDS} | {
    "python": sys.executable,
    "java": "javac",
}


class RunningCode:
    """A running receiver with its own `port`, which writes its output to `folder`."""

    def __init__(self, language: str, source: Path, secret: str | None, folder: Path) -> None:
        needs(shutil.which(NEEDED[language]), language)
        self.folder, self.port = folder, free_port()
        command = COMMANDS[language](source, self.port)
        settings = {"PORT": str(self.port), "PYTHONIOENCODING": "utf-8", "LC_ALL": "C.UTF-8"}
        settings |= {} if secret is None else {"WEBHOOK_SECRET": secret}
        with self._file("printed").open("wb") as out, self._file("logged").open("wb") as logged:
            self.process = subprocess.Popen(
                command,
                env={"TMPDIR": str(self.folder), "PATH": os.environ["PATH"], **settings},
                stdout=out,
                stderr=logged,
            )

    def listens(self) -> bool:
        """Wait until the receiver accepts connections. Return False if it exits instead."""
        give_up = time.monotonic() + STARTS
        while self.process.poll() is None and time.monotonic() < give_up:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return True
        assert self.process.poll() is not None, f"it did not start in {STARTS:.0f} s"
        return False

    def handled(self, count: int) -> int:
        """Return how many messages it handled, waiting a few seconds for `count` of them."""
        seen = 0
        for _ in range(100):
            output = "".join(self._file(name).read_text() for name in ("printed", "logged"))
            seen = output.count("asset.updated")
            if seen >= count:
                break
            time.sleep(0.05)
        return seen

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)

    def _file(self, name: str) -> Path:
        return self.folder / name


def signed(secret: str, next_secret: str | None = None) -> dict[str, str]:
    """Return the headers of a new message, as the portal sends them now."""
    return request_headers(
        event="asset.updated",
        timestamp="2025-02-04T12:00:00+00:00",
        message_id=str(uuid4()),
        version="0",
        body=BODY,
        sent_at=int(time.time()),
        secret=secret,
        next_secret=next_secret,
    )


def send(port: int, headers: Mapping[str, str], body: bytes = BODY, path: str = PATH) -> int:
    """Post the body and return the response's status code."""
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("POST", path, body, dict(headers))
    status = connection.getresponse().status
    connection.close()
    return status
