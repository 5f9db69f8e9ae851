"""A dispatcher's executor for database work: its threads, and locked or unavailable databases."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest
from flask import Flask

from jobs.deliver import equip
from jobs.dispatcher import database as database_module
from jobs.dispatcher.database import DatabaseExecutor
from portal.extensions import db
from tests.jobs.outage import Clock, refused
from tests.support.processes import until

SAID = ContextVar("said", default=0.0)
LONG = 20.0  # seconds, enough for a slow machine


@contextmanager
def an_executor(woken: threading.Event, *, has_background: bool) -> Iterator[DatabaseExecutor]:
    made = DatabaseExecutor(equip().engine, woken.set, has_background=has_background)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("has_background", [True, False])
@pytest.mark.parametrize("in_background", [True, False])
def test_only_background_work_on_a_background_executor_leaves_the_thread(
    app: Flask, has_background: bool, in_background: bool
) -> None:
    del app
    woken, doing, noting = threading.Event(), list[threading.Thread](), list[threading.Thread]()
    answers = list[float]()

    def note(seconds: float) -> None:
        noting.append(threading.current_thread())
        answers.append(seconds)

    def work() -> float:
        doing.append(threading.current_thread())
        return SAID.get()

    with an_executor(woken, has_background=has_background) as executor:
        before = SAID.set(7.0)
        executor.submit(work, note, in_background=in_background)
        SAID.reset(before)
        is_elsewhere = has_background and in_background
        assert executor.is_busy is is_elsewhere
        assert is_elsewhere is woken.wait(LONG if is_elsewhere else 0)
        executor.poll()
        assert (answers, executor.is_busy) == ([7.0], False)
    assert noting == [threading.current_thread()]
    assert (doing != noting) is is_elsewhere


def test_poll_does_not_wait_for_unfinished_work(app: Flask) -> None:
    del app
    woken, may_end, ended = threading.Event(), threading.Event(), list[threading.Thread]()
    answers = list[float]()

    def hang() -> float:
        may_end.wait(LONG)
        ended.append(threading.current_thread())
        return 7.0

    with an_executor(woken, has_background=True) as executor:
        executor.submit(hang, answers.append, in_background=True)
        waits = []
        for _ in range(3):  # a busy machine can delay one of them
            before = time.monotonic()
            executor.poll()
            waits.append(time.monotonic() - before)
        assert min(waits) < 0.2
        assert not woken.is_set()
    assert (ended, answers, executor.is_busy) == ([], [], True)
    may_end.set()
    executor.poll(LONG)
    assert (answers, executor.is_busy) == ([7.0], False)
    assert until(lambda: not ended[0].is_alive(), LONG)


@pytest.mark.both_databases
def test_start_and_end_of_a_long_outage_are_logged_once_each(
    app: Flask, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    del app
    clock = Clock()
    monkeypatch.setattr(database_module, "monotonic", clock.monotonic)
    database = DatabaseExecutor(equip().engine)
    with refused():
        for seconds in (0.0, 5.0):
            clock.now += seconds
            assert database.write(lambda _: "done") is None
    clock.now += 0.2
    assert database.write(lambda _: "done") == "done"
    assert caplog.messages == [], "a short one is not said"
    with refused():
        for seconds in (0.0, 5.1, 1.1):
            clock.now += seconds
            assert database.write(lambda _: "done") is None
    clock.now += 1.1
    assert [database.write(lambda _: "done") for _ in range(2)] == ["done"] * 2
    began, ended = caplog.messages
    assert began.startswith("The database has taken nothing for 5 seconds. It keeps the results: ")
    assert ended == "The database accepts results again."
    assert {record.levelname for record in caplog.records} == {"WARNING"}


@pytest.mark.both_databases
def test_commits_are_uncertain_for_half_a_minute_after_a_lost_answer(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    del app
    clock = Clock()
    monkeypatch.setattr(database_module, "monotonic", clock.monotonic)
    database = DatabaseExecutor(db.engine)
    assert not database.is_unsure
    with refused(db.engine):
        database.write(lambda _: None)
    clock.now += 29.9
    assert database.is_unsure
    clock.now += 0.2
    assert not database.is_unsure
