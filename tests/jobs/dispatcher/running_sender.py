"""A sender in a thread beside the test, as in a worker."""

from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask

from jobs.deliver import new_sender
from jobs.dispatcher.thread import Sender
from jobs.stop_flag import stop


@contextmanager
def running_sender(app: Flask, sender: Sender | None = None) -> Iterator[Sender]:
    """Run the given sender, or a worker's own, during the block."""
    sender = sender or new_sender(app)
    sender.start()
    try:
        yield sender
    finally:
        stop.set()
        sender.join(20)
        app.extensions.pop("sender")
        stop.clear()
        assert not sender.is_alive
