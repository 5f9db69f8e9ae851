"""The collector of garbage, and what it need not look through."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def lasting() -> Iterator[None]:
    """What is read and made meanwhile stays as long as the process: no collection looks through it,
    neither now, which would be a tenth of a start, nor later, when whatever is on its way would
    wait for that, nor at the end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
