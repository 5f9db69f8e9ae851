"""The portal, without its jobs."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# Looked through at a time by the collector. Python's 700 cost a worker 5 % of its time, and every
# process a tenth of its start.
YOUNG_OBJECTS: Final = 10_000

# Who sets it has every key of every TLS connection written into a file: OpenSSL obeys it wherever
# it is loaded. Nothing of ours is loaded before this line.
os.environ.pop("SSLKEYLOGFILE", None)
gc.set_threshold(YOUNG_OBJECTS)


@contextmanager
def gc_freeze() -> Iterator[None]:
    """Have no collection look through what is made meanwhile, for it lasts as long as the process:
    neither now, which would be a tenth of a start, nor later, when whatever is on its way would
    wait for that, nor at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
