"""Jobs for the worker's tests. Each writes down what it saw."""

import time
from pathlib import Path

from flask import current_app

from jobs.context import job
from jobs.stop_flag import stop


@job
def note(path: str) -> None:
    """Write the name of the application that it runs in."""
    Path(path).write_text(current_app.name)


@job
def until_stopped(path: str) -> None:
    """Work until the process is asked to stop, as the pump does."""
    Path(path).write_text("started")
    deadline = time.monotonic() + 20
    while not stop.is_set() and time.monotonic() < deadline:
        time.sleep(0.02)
    Path(path).write_text("stopped" if stop.is_set() else "gave up")


@job
def fail() -> None:
    """Fail with words that a log can be searched for."""
    raise RuntimeError("the lamp is broken")
