"""Jobs for the worker's tests. Each writes its observation to the file NOTE."""

import os
import time
from pathlib import Path

from flask import current_app

from jobs.context import job
from jobs.stop_flag import stop


@job
def note() -> None:
    """Write the name of the job's application."""
    _write(current_app.name)


@job
def until_stopped() -> None:
    """Work until the process is asked to stop, then hang."""
    _write("started")
    deadline = time.monotonic() + 20
    while not stop.is_set() and time.monotonic() < deadline:
        time.sleep(0.02)
    _write("stopped" if stop.is_set() else "gave up")
    time.sleep(30)


@job
def end_late() -> None:
    """Work for a while after the process was asked to stop."""
    _write("started")
    stop.wait(20)
    time.sleep(1.5)  # longer than the timeout for signing off in Redis
    _write("ended")


@job
def hang() -> None:
    """Sleep for too long."""
    time.sleep(60)


@job
def fail() -> None:
    """Raise an error with words to find in a log."""
    raise RuntimeError("the lamp is broken")


def called(*_arguments: object) -> None:
    """Record a call. This isn't a job but a stranger's target."""
    _write("called")


def _write(words: str) -> None:
    Path(os.environ["NOTE"]).write_text(words)
