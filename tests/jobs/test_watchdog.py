"""A hanging thread ends its process with a stack trace. A paused process doesn't end."""

from pathlib import Path

import pytest

from jobs.heartbeat import MOST, TICK, Watchdog
from jobs.progress import Progress
from tests.conftest import ENVIRONMENT
from tests.support.processes import Process

HANGING = """
import threading, time
from jobs.heartbeat import Watchdog
from jobs.progress import Progress

turns, ended = Progress(), threading.Event()

def wait_for_ever():
    turns.begin()
    ended.wait()

threading.Thread(target=wait_for_ever, daemon=True).start()
Watchdog([turns], tick=0.05).begin()
time.sleep(30)
"""


@pytest.fixture
def progress() -> Progress:
    return Progress()


def test_the_watchdog_waits_for_two_minutes_of_its_own_ticks(progress: Progress) -> None:
    dog = Watchdog([progress])
    progress.begin()
    assert MOST * TICK == 120
    assert not any(dog.is_stuck() for _ in range(MOST))
    assert dog.is_stuck()


def test_the_watchdog_prints_all_stacks_and_ends_the_process(tmp_path: Path) -> None:
    process = Process(tmp_path / "output.txt", ("-c", HANGING), ENVIRONMENT)
    try:
        assert process.wait(20) == 1
        output = process.output.read_text()
        assert "This process hangs" in output
        for function in ("wait_for_ever", "<module>", "_run"):  # the hanging thread and the others
            assert f" in {function}" in output
    finally:
        process.close()
