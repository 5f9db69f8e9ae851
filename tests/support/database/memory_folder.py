"""Folders that lie in memory where this machine has the room: no test cuts the power, and most of
what tests wait for at a disk is that it has written everything down."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import is_alive

MEMORY = Path("/dev/shm")
ENOUGH = 2 * 1024**3  # a container has 64 MB of it unless it is told otherwise
PREFIX = "asset-webhooks-test-"


def make_memory_folder(name: str) -> Path:
    """A new private folder; whoever makes it takes it away."""
    if not (MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ENOUGH):
        return Path(tempfile.mkdtemp(prefix=f"{name}-"))
    _tidy()
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-{name}-", dir=MEMORY))


@contextmanager
def memory_folder(name: str) -> Iterator[Path]:
    """A private folder while the block runs."""
    folder = make_memory_folder(name)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tidy() -> None:
    """What tests that were killed have left there would take memory until the machine restarts."""
    for folder in MEMORY.glob(f"{PREFIX}*"):
        if not is_alive(int(folder.name.removeprefix(PREFIX).partition("-")[0])):
            shutil.rmtree(folder, ignore_errors=True)
