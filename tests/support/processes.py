"""Helpers for tests that start the portal's own processes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.support.fork_server import client
from tests.support.fork_server.forked_process import ForkedProcess

ROOT = Path(__file__).resolve().parents[2]
# Counted from the third field, after two others: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
BEGUN_AT = 17


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Whether `condition` became true in time.

    Asking takes a fifth of the time at most: what is waited for needs the processor too.
    """
    deadline = time.monotonic() + seconds
    while (asked_at := time.monotonic()) < deadline:
        if condition():
            return True
        time.sleep(min(max(0.02, 4 * (time.monotonic() - asked_at)), 0.5))
    return condition()


def is_alive(pid: int) -> bool:
    """Whether the process runs (a zombie does not)."""
    try:
        return _state(Path(f"/proc/{pid}")) != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid: int) -> bool:
    """Whether each of its threads stands still. After SIGSTOP one may still be at the end of a call
    of the system, and get a lock by it."""
    try:
        return all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _state(folder: Path) -> str:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0]


def children_of(pid: int) -> dict[int, str]:
    """The command lines of all living descendants, the oldest first: numbers say nothing of that,
    for after the last one they begin anew."""
    parents: dict[int, int] = {}
    begun: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat") as file:
            state, parent, *said = file.read().rpartition(")")[2].split()
            if state != "Z":
                parents[int(name)], begun[int(name)] = int(parent), int(said[BEGUN_AT])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return {child: command_line(child) for child in sorted(found - {pid}, key=begun.__getitem__)}


def command_line(pid: int) -> str:
    """What the process was started with."""
    return _said_of(pid, "cmdline")


def processor_seconds(pid: int) -> float:
    """The processor's time that a process has used, with its children that have ended."""
    try:
        said = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, from the third field on
    return sum(map(int, said[11:15])) / os.sysconf("SC_CLK_TCK")


def end_whatever_knows(folder: Path) -> None:
    """Kill each process that was started with a test's own folder in its words or its environment.

    What a failing test left behind, however it was orphaned, is no load on those that follow.
    """
    mark, own = str(folder), os.getpid()
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        if pid != own and any(mark in _said_of(pid, part) for part in ("cmdline", "environ")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _said_of(pid: int, part: str) -> str:
    """A part of /proc, its words with a space between; nothing of what is gone or another's."""
    try:
        said = Path(f"/proc/{pid}/{part}").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return ""
    return said.replace(b"\0", b" ").decode(errors="replace").strip()


class Process:
    """A Python process of ours, its output in a file. `input`: an open file, where it reads any."""

    def __init__(
        self,
        output: Path,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        input: int = subprocess.DEVNULL,
    ) -> None:
        self.output = output
        self.process: subprocess.Popen[bytes] | ForkedProcess
        # What `make coverage` counts with goes along.
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in {"PATH", "HOME"} or name.startswith("COVERAGE_")
        }
        whole = inherited | dict(environ)
        with output.open("ab") as file:
            if client.can_start(arguments, whole):
                self.process = client.start(arguments, whole, file.fileno())
                return
            self.process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=ROOT,
                env=whole,
                stdin=input,
                stdout=file,
                stderr=file,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def says(self, text: str, seconds: float = 20) -> bool:
        """Whether its output contains `text` in time."""
        until(lambda: text in self.output.read_text() or self.process.poll() is not None, seconds)
        return text in self.output.read_text()

    def wait(self, seconds: float = 20) -> int:
        """Its exit code."""
        return self.process.wait(timeout=seconds)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Send one signal and wait for the end."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def close(self) -> None:
        """Whatever is left goes, with what it has started."""
        if self.process.poll() is None:
            family = children_of(self.pid)
            self.process.kill()
            self.process.wait(timeout=5)
            for pid, command in family.items():
                # By then another process may have the number.
                if command and command_line(pid) == command:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
