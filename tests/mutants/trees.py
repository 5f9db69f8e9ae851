"""Copies of the working tree, and what runs in one: with its own temporary files and processes."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Event
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
TIMED_OUT: Final = -1

_running: set[subprocess.Popen[bytes]] = set()
_is_ended = Event()
_APART: Final = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")


@contextmanager
def copied() -> Iterator[Path]:
    """A copy of the working tree, that is of what git lists; it goes at the end."""
    # A short path, for sockets; PostgreSQL runs as another user and must get through.
    folder = Path(tempfile.mkdtemp(prefix="mutants-"))
    folder.chmod(0o755)
    try:
        tree = folder / "tree"
        for path in listed():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / path, tree / path)
        if (ROOT / ".venv").exists():
            (tree / ".venv").symlink_to((ROOT / ".venv").resolve())
        yield tree
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def listed() -> list[str]:
    """The paths of what git knows of the working tree, and of what it would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.split("\0") if path and (ROOT / path).is_file()]


def pytest_in(
    tree: Path, arguments: Sequence[str], seconds: float, output: Path
) -> tuple[int, float]:
    """Run pytest in a copy; nothing that it started lives on.

    Returns its exit status, or `TIMED_OUT`, and the seconds of processor time that it took.
    """
    output.unlink(missing_ok=True)
    process = pytest_begun(tree, arguments, output)
    status = TIMED_OUT if _is_late(process, seconds) else None
    used = pytest_ended(process)
    return process.returncode if status is None else status, used


def pytest_begun(
    tree: Path, arguments: Sequence[str], output: Path, *sockets: int
) -> subprocess.Popen[bytes]:
    """Begin pytest in a copy; what it says is appended to a file, and it has these sockets.

    Raises InterruptedError when the whole run was ended.
    """
    if _is_ended.is_set():
        raise InterruptedError("The run was ended.")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    with output.open("ab") as file:
        process = subprocess.Popen(
            [*_apart(), sys.executable, "-m", "pytest", *options, *arguments],
            cwd=tree,
            env={**os.environ, "TMPDIR": str(cleared(tree)), "PYTHONPATH": str(tree)},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
            pass_fds=sockets,
        )
    _running.add(process)
    return process


def cleared(tree: Path) -> Path:
    """The folder for the temporary files of a copy's tests, empty; no test knows of one before."""
    temporary = tree.parent / "tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(mode=0o755)
    shutil.rmtree(tree / ".hypothesis", ignore_errors=True)
    return temporary


def pytest_ended(process: subprocess.Popen[bytes]) -> float:
    """End a pytest with all it has started; the seconds of processor time that it took."""
    try:
        _kill(process)
        _, ended, used = os.wait4(process.pid, 0)
    finally:
        _running.discard(process)
    process.returncode = os.waitstatus_to_exitcode(ended)
    return used.ru_utime + used.ru_stime


def _is_late(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for the end and leave it to be read, with the time that it took."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            return True
        time.sleep(0.05)
    return False


def end_all() -> None:
    """End every run of this process at once; none begins any more."""
    _is_ended.set()
    for process in list(_running):
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


@cache
def _apart() -> tuple[str, ...]:
    """What gives a run its own process numbers, where that is allowed: all of it ends with it."""
    if shutil.which("unshare") is None:
        return ()
    tried = subprocess.run([*_APART, "true"], capture_output=True, check=False)
    return _APART if tried.returncode == 0 else ()
