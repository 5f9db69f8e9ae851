"""Jobs for the worker's tests. Each writes down what it saw, where NOTE says."""

import os
import time
from pathlib import Path

from flask import current_app

from jobs.context import job
from jobs.stop_flag import stop


@job
def note() -> None:
    """Write the name of the application that it runs in."""
    _write(current_app.name)


@job
def until_stopped() -> None:
    """Work until the process is asked to stop, and hang then."""
    _write("started")
    deadline = time.monotonic() + 20
    while not stop.is_set() and time.monotonic() < deadline:
        time.sleep(0.02)
    _write("stopped" if stop.is_set() else "gave up")
    time.sleep(30)


@job
def end_late() -> None:
    """Work on for a while after the process was asked to stop."""
    _write("started")
    stop.wait(20)
    time.sleep(1.5)  # longer than the farewell to Redis may take
    _write("ended")


@job
def hang() -> None:
    """Never come round."""
    time.sleep(60)


@job
def fail() -> None:
    """Fail with words that a log can be searched for."""
    raise RuntimeError("the lamp is broken")


def called(*_arguments: object) -> None:
    """No job of anybody: what a stranger would like to have called."""
    _write("called")


def _write(words: str) -> None:
    Path(os.environ["NOTE"]).write_text(words)
