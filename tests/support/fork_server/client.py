"""Start processes of the portal without their imports, which take most of a start.

Each process is a fork of one that has imported everything. Otherwise it looks like a new Python.
"""

import atexit
import ctypes
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.support.clocks.wrong_clock import SHIFTED
from tests.support.fork_server.forked_process import ForkedProcess

ROOT: Final = Path(__file__).resolve().parents[3]
# Modules whose imports the fork server has mostly done. Others can do something before importing.
KNOWN: Final = {
    *("jobs", "flask", "gunicorn"),
    *("tests.faults.support.partial_portal", "tests.jobs.worker.sample_worker"),
    "tests.support.clocks.clock_tasks",
}
# Prefixes of variables that take effect when a process starts or imports our modules.
STARTING: Final = ("LD_", "COVERAGE_", "PYTHON", "SSLKEYLOGFILE")
# The exception: a second fork server runs with these variables.
CLOCK: Final = {"PYTHONPATH": str(SHIFTED)}
# Length of the server's command line, over which a fork writes its own.
ROOM: Final = 1000
# https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
PR_SET_CHILD_SUBREAPER: Final = 36


def can_start(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Return True if the fork server can start Python with these arguments."""
    others = environ.items() - CLOCK.items()
    is_plain = not any(name.startswith(STARTING) for name, _ in others)
    return is_plain and arguments[0] == "-m" and arguments[1] in KNOWN and _may_adopt()


@cache
def _may_adopt() -> bool:
    """Return True if this process can adopt orphans among its descendants."""
    return sys.platform == "linux" and adopt(is_wanted=False)


def adopt(*, is_wanted: bool) -> bool:
    """Turn the adoption of orphaned descendants on or off. Returns True on success."""
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(is_wanted)) == 0)


class ForkServer:
    """A running fork server, which ends with this process.

    With `is_shifted`, the processes that it starts can have a wrong clock.
    """

    def __init__(self, *, is_shifted: bool = False) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            words = [sys.executable, "-m", "tests.support.fork_server.server", str(theirs.fileno())]
            words.append(ROOM * ".")
            self._server = subprocess.Popen(
                words,
                cwd=ROOT,
                env=CLOCK if is_shifted else {},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self._asking = threading.Lock()
        atexit.register(self.close)

    def start(
        self, arguments: Sequence[str], environ: Mapping[str, str], output: int
    ) -> ForkedProcess:
        """Start `python ARGUMENTS` as a child of this process that writes to the file `output`."""
        _, module, *words = arguments
        asked = json.dumps({"module": module, "words": words, "environ": dict(environ)}).encode()
        with self._asking:
            adopt(is_wanted=True)
            try:
                socket.send_fds(self._socket, [len(asked).to_bytes(4), asked], [output])
                return ForkedProcess(int.from_bytes(self._socket.recv(4, socket.MSG_WAITALL)))
            finally:
                adopt(is_wanted=False)

    def close(self) -> None:
        """Stop the server. No more processes can be started."""
        self._socket.close()
        self._server.wait(timeout=10)


@cache
def own_server(_pid: int, *, is_shifted: bool = False) -> ForkServer:
    """Return the fork server of this process, which its forks don't share."""
    return ForkServer(is_shifted=is_shifted)


def start(arguments: Sequence[str], environ: Mapping[str, str], output: int) -> ForkedProcess:
    """Start a process by the fork server of this process. See `ForkServer.start`."""
    own = own_server(os.getpid(), is_shifted=CLOCK.items() <= environ.items())
    return own.start(arguments, environ, output)
