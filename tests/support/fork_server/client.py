"""Processes of the portal that need not import anything: most of a start is that.

Each is a fork of a process that has done so, in all else as if Python had been started for it.
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
# What the fork server has read most of. Others may do something before they read it.
KNOWN: Final = {
    *("jobs", "flask", "gunicorn"),
    *("tests.faults.support.partial_portal", "tests.jobs.worker.sample_worker"),
    "tests.support.clocks.clock_tasks",
}
# What is obeyed when a process starts, or reads what we import.
STARTING: Final = ("LD_", "COVERAGE_", "PYTHON", "SSLKEYLOGFILE")
# But for this: a server of its own has obeyed it.
CLOCK: Final = {"PYTHONPATH": str(SHIFTED)}
# Characters of a command line: what it starts shows its own in the place of the server's.
ROOM: Final = 1000
# https://man7.org/linux/man-pages/man2/PR_SET_CHILD_SUBREAPER.2const.html
PR_SET_CHILD_SUBREAPER: Final = 36


def can_start(arguments: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether the fork server can start Python with these arguments."""
    others = environ.items() - CLOCK.items()
    is_plain = not any(name.startswith(STARTING) for name, _ in others)
    return is_plain and arguments[0] == "-m" and arguments[1] in KNOWN and _may_adopt()


@cache
def _may_adopt() -> bool:
    """Whether the system makes children of this process of those whose parent has ended."""
    return sys.platform == "linux" and adopt(is_wanted=False)


def adopt(*, is_wanted: bool) -> bool:
    """Have it do so from now on, or no more; whether it does what it is told."""
    return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(is_wanted)) == 0)


class ForkServer:
    """A running one; it ends with this process. `is_shifted`: what it starts may have a wrong
    clock."""

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
        """`python ARGUMENTS`, which writes to the open file `output`; a child of this process."""
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
        """Nobody is asked for any more."""
        self._socket.close()
        self._server.wait(timeout=10)


@cache
def own_server(_pid: int, *, is_shifted: bool = False) -> ForkServer:
    """The one of this process, which a fork of it does not share."""
    return ForkServer(is_shifted=is_shifted)


def start(arguments: Sequence[str], environ: Mapping[str, str], output: int) -> ForkedProcess:
    """`ForkServer.start` by the server of this process."""
    own = own_server(os.getpid(), is_shifted=CLOCK.items() <= environ.items())
    return own.start(arguments, environ, output)
