"""Runs of processes on this machine: which of them are over, however they ended.

Who takes leases locks a file that bears its run's name. The system lets go of the lock when the
process dies; a number of a process may be another's by then, and a lock never is. So nobody waits
for leases of which it is certain that nobody works under them.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from portal.extensions import settings
from portal.lib.file_lock import FileLock

log = logging.getLogger(__name__)

FOLDER: Final = "run"

_own: dict[int, UUID] = {}
_marks: dict[Path, FileLock] = {}


class EndedRun(NamedTuple):
    """A run that is over. Its mark is ours, so that one alone cleans up after it."""

    id: UUID
    path: Path
    lock: FileLock


def own_run() -> UUID:
    """The name of this process's run, by which its leases are known."""
    return _own.setdefault(os.getpid(), uuid4())


def mark() -> None:
    """Show that this run goes on, until the process ends; once more does nothing.

    Where that cannot be written its leases run out, as those of other machines do.
    """
    path = _folder() / str(own_run())
    if path in _marks and path.exists():
        return
    # Locked before it has its name: nobody ever sees a mark of a living run that is free.
    unnamed = path.with_suffix(".new")
    try:
        unnamed.parent.mkdir(mode=0o700, exist_ok=True)
        lock = FileLock.take(unnamed)
        unnamed.rename(path)
    except OSError as error:
        log.warning("A crash of this process will be noticed late: %s", error)
        return
    if lock:
        _marks[path] = lock


@contextmanager
def ended_runs() -> Iterator[list[EndedRun]]:
    """Those whose marks nobody holds; they are let go again at the end."""
    found = [run for path in _marked() if (run := _ended(path))]
    try:
        yield found
    finally:
        for each in found:
            each.lock.release()


def forget(run: EndedRun) -> None:
    """Nothing is left of it: take its mark away."""
    with suppress(OSError):
        run.path.unlink()


def _marked() -> list[Path]:
    try:
        return list(_folder().iterdir())
    except OSError:  # nobody has begun yet
        return []


def _ended(path: Path) -> EndedRun | None:
    try:
        run = UUID(path.name)
        lock = None if run == own_run() else FileLock.take(path, makes=False)
    except (ValueError, OSError):  # no run; cleaned up by another; not ours to open
        return None
    return EndedRun(run, path, lock) if lock else None


def _folder() -> Path:
    return settings().instance_dir / FOLDER
