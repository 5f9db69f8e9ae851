"""Folders in memory, if this machine has the room.

No test cuts the power, and tests would mostly wait for the disk to sync.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

MEMORY = Path("/dev/shm")
ENOUGH = 2 * 1024**3  # a container has 64 MB by default
PREFIX = "asset-webhooks-tests-"
# Locked while this process lives, so that others can tell, even from a container.
_held: Final[list[int]] = []


def make_memory_folder(name: str) -> Path:
    """Create a private folder. The caller removes it."""
    if not (MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH):
        return Path(tempfile.mkdtemp(prefix=f"{name}-"))
    _tidy()
    folder = MEMORY / f"{PREFIX}{name}-{uuid4().hex}"
    lock = os.open(folder.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    _held.append(lock)
    folder.mkdir(mode=0o700)
    return folder


@contextmanager
def memory_folder(name: str) -> Iterator[Path]:
    """Yield a private folder while the block runs."""
    folder = make_memory_folder(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy() -> None:
    """Remove folders of killed tests, which would take up memory until the machine restarts."""
    for path in MEMORY.glob(f"{PREFIX}*.lock"):
        with suppress(OSError), path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink()
