"""The portal, without its jobs."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# The collector's threshold. Python's 700 cost a worker 5 % of its time and every process a tenth of
# its startup.
YOUNG_OBJECTS: Final = 10_000

# With this variable, OpenSSL writes the keys of every TLS connection into a file. None of our code
# is loaded before this line.
os.environ.pop("SSLKEYLOGFILE", None)
gc.set_threshold(YOUNG_OBJECTS)


@contextmanager
def gc_freeze() -> Iterator[None]:
    """Exempt this block's objects from garbage collection because they live as long as the process.

    Collecting them would take a tenth of the startup, and later delay requests and the exit.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
