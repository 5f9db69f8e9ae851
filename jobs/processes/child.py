"""One process of the portal as the supervisor sees it: start, output, death, restart, end."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Final

from jobs.processes.plan import Program

# A process that lived this long was well; its next restart comes at once again.
WELL_SECONDS: Final = 10.0
PAUSES: Final = (0.0, 0.5, 1.0, 2.0, 5.0)
PR_SET_PDEATHSIG: Final = 1


class Child:
    """A program, its running process if any, and when to start it next (monotonic seconds)."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.process: subprocess.Popen[bytes] | None = None
        self.start_at: float | None = None
        self._started = 0.0
        self._deaths = 0

    def start(self) -> None:
        """Start the process in a session of its own; it dies with us."""
        self.start_at = None
        self._started = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own fixed command lines
            self.program.argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # Safe here: this process has no second thread that could hold a lock at the fork.
            preexec_fn=dies_with(os.getpid()),
        )

    def has_died(self) -> bool:
        """Whether the process ended since the last look. What it left in its session is ended."""
        if self.process is None or self.process.poll() is None:
            return False
        self.kill()
        return True

    def plan_restart(self) -> float:
        """Decide when to start again; returns the pause in seconds."""
        lived = time.monotonic() - self._started
        self._deaths = 0 if lived > WELL_SECONDS else self._deaths
        pause = PAUSES[min(self._deaths, len(PAUSES) - 1)]
        self._deaths += 1
        self.start_at = time.monotonic() + pause
        return pause

    def terminate(self) -> None:
        """One SIGTERM: a second one would cut short what the first one started."""
        if self.process is not None:
            self.process.terminate()  # nothing where it has ended

    def kill(self) -> None:
        """SIGKILL for the process and all that runs in its session."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)


class LineReader:
    """Passes a child's output on, line by line, with its name."""

    def __init__(self, handle: int, name: str, write: Callable[[str, str], None]) -> None:
        self._handle = handle
        self._name = name
        self._write = write
        self._rest = b""

    def read(self) -> bool:
        """Pass on what is there. False at the end of the output."""
        try:
            data = os.read(self._handle, 65_536)
        except BlockingIOError:
            return True
        *lines, self._rest = (self._rest + data).split(b"\n")
        if self._rest and (not data or len(self._rest) > 65_536):
            lines, self._rest = [*lines, self._rest], b""
        for line in lines:
            self._write(self._name, line.decode(errors="replace").rstrip())
        return bool(data)


def dies_with(parent: int) -> Callable[[], None]:
    """What a fresh child calls so that it is killed when the process `parent` ends (Linux)."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def bind() -> None:
        if libc is not None:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it ended before we could ask
                os._exit(1)

    return bind
