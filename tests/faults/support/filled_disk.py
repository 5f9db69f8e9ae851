"""A disk that is full to the last byte."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Fill the disk during the block."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(b"x" * 4096)
        assert os.statvfs(disk).f_bavail == 0
        yield
    finally:
        filler.unlink()
