"""A worker whose main thread hangs in a job no longer reports itself as healthy."""

import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from flask import Flask

from jobs import context
from jobs import progress as module
from jobs.progress import STUCK_AFTER, Progress
from jobs.stop_flag import StopFlag

pytestmark = pytest.mark.both_databases


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_for_the_stop_flag_lasts_until_the_flag_is_set() -> None:
    flag, began = StopFlag(), monotonic()
    assert not flag.wait(0.05)
    assert monotonic() - began >= 0.05
    flag.set()
    assert flag.wait()
    flag.clear()
    assert not flag.wait(0.0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(module, "monotonic", made)
    return made


def test_a_job_must_report_progress_in_time(clock: Clock) -> None:
    progress = Progress()
    progress.begin()
    clock.now += STUCK_AFTER - 1
    progress.note()
    clock.now += STUCK_AFTER - 1
    assert progress.is_going_on()
    clock.now += 2
    assert not progress.is_going_on()
    progress.end()
    assert progress.is_going_on()


@pytest.mark.parametrize("fails", [False, True])
def test_a_job_is_in_progress_until_it_returns_or_fails(
    app: Flask, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    monkeypatch.setattr(context, "application", lambda: app)
    seen = []

    @context.job
    def work() -> None:
        seen.append(module.progress.last is not None)
        if fails:
            raise RuntimeError("the lamp is broken")

    with ThreadPoolExecutor(1) as beside:  # a thread without an application context
        error = beside.submit(work).exception()
    assert (seen, module.progress.last, error is not None) == ([True], None, fails)


def test_another_thread_cannot_report_progress_for_a_hanging_one(clock: Clock) -> None:
    progress = Progress()
    progress.begin()
    clock.now += STUCK_AFTER + 1
    other = threading.Thread(target=progress.note)
    other.start()
    other.join()
    assert not progress.is_going_on()
