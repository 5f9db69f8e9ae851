"""Helpers for tests that start processes of the portal."""

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
# starttime, counted from the third field: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
BEGUN_AT = 17


def until(condition: Callable[[], bool], seconds: float = 20) -> bool:
    """Wait until `condition` is true. Returns False if it isn't in time.

    Checks take at most a fifth of the time, because the process waited for needs the CPU too.
    """
    deadline = time.monotonic() + seconds
    while (asked_at := time.monotonic()) < deadline:
        if condition():
            return True
        time.sleep(min(max(0.02, 4 * (time.monotonic() - asked_at)), 0.5))
    return condition()


def is_alive(pid: int) -> bool:
    """Return True if the process runs. A zombie does not."""
    try:
        return _state(Path(f"/proc/{pid}")) != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_stopped(pid: int) -> bool:
    """Return True if all threads of the process are stopped.

    After SIGSTOP, a thread can still finish a system call, and get a lock by it.
    """
    try:
        return all(_state(thread) == "T" for thread in Path(f"/proc/{pid}/task").iterdir())
    except (FileNotFoundError, ProcessLookupError):
        return False


def _state(folder: Path) -> str:
    return (folder / "stat").read_text().rpartition(")")[2].split()[0]


def children_of(pid: int) -> dict[int, str]:
    """Return the command lines of all living descendants by pid, the oldest first.

    Sorts by start time, because pids wrap around.
    """
    parents: dict[int, int] = {}
    begun: dict[int, int] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        with suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{name}/stat") as file:
            state, parent, *fields = file.read().rpartition(")")[2].split()
            if state != "Z":
                parents[int(name)], begun[int(name)] = int(parent), int(fields[BEGUN_AT])
    family = {pid}
    while more := {child for child, parent in parents.items() if parent in family} - family:
        family |= more
    return {child: command_line(child) for child in sorted(family - {pid}, key=begun.__getitem__)}


def command_line(pid: int) -> str:
    """Return the process's command line, or "" if it is gone."""
    return _said_of(pid, "cmdline")


def processor_seconds(pid: int) -> float:
    """Return the CPU time of a process, including its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    # https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html, from the third field on
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def end_whatever_knows(folder: Path) -> None:
    """Kill each process with the test's own folder in its command line or environment.

    Orphans of a failing test would slow down the tests after it.
    """
    mark, own = str(folder), os.getpid()
    for name in filter(str.isdigit, os.listdir("/proc")):
        pid = int(name)
        if pid != own and any(mark in _said_of(pid, part) for part in ("cmdline", "environ")):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _said_of(pid: int, part: str) -> str:
    """Return a file of /proc with its words separated by spaces, "" if gone or not permitted."""
    try:
        content = Path(f"/proc/{pid}/{part}").read_bytes()
    except (FileNotFoundError, PermissionError, ProcessLookupError):
        return ""
    return content.replace(b"\0", b" ").decode(errors="replace").strip()


class Process:
    """A Python process with its output in a file. `input` is the file descriptor of its stdin."""

    def __init__(
        self,
        output: Path,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        input: int = subprocess.DEVNULL,
    ) -> None:
        self.output = output
        self.process: subprocess.Popen[bytes] | ForkedProcess
        # Keep the variables that `make coverage` needs.
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
        return self.process.pid

    def says(self, text: str, seconds: float = 20) -> bool:
        """Return True if the output contains `text` in time."""
        until(lambda: text in self.output.read_text() or self.process.poll() is not None, seconds)
        return text in self.output.read_text()

    def wait(self, seconds: float = 20) -> int:
        """Wait for the end, and return the exit code."""
        return self.process.wait(timeout=seconds)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """Send one signal, wait for the end, and return the exit code."""
        self.process.send_signal(number)
        return self.wait(seconds)

    def close(self) -> None:
        """Kill the process and its descendants, if it still runs."""
        if self.process.poll() is None:
            family = children_of(self.pid)
            self.process.kill()
            self.process.wait(timeout=5)
            for pid, command in family.items():
                # By now, another process can have the number.
                if command and command_line(pid) == command:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
