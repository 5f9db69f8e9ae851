"""The one piece of work that a dispatcher has for the database: who does it, and who waits for
it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from jobs.dispatcher.database_executor import DatabaseExecutor, Done
from tests.support.processes import until

SAID = ContextVar("said", default=0.0)
LONG = 20.0  # seconds, however slow the machine is


@contextmanager
def a_desk(notified: threading.Event, *, works_beside: bool) -> Iterator[DatabaseExecutor]:
    made = DatabaseExecutor(notified.set, works_beside=works_beside)
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    ("works_beside", "beside"), [(True, True), (True, False), (False, True), (False, False)]
)
def test_beside_the_sockets_works_only_who_may_and_is_asked_to(
    works_beside: bool, beside: bool
) -> None:
    notified, doing, noting = threading.Event(), list[threading.Thread](), list[threading.Thread]()

    def note(seconds: float) -> Done:
        noting.append(threading.current_thread())
        return Done([], seconds)

    def work() -> float:
        doing.append(threading.current_thread())
        return SAID.get()

    with a_desk(notified, works_beside=works_beside) as executor:
        before = SAID.set(7.0)
        done = executor.submit(work, note, beside=beside)
        SAID.reset(before)
        is_elsewhere = works_beside and beside
        assert (done is None, executor.is_busy) == (is_elsewhere, is_elsewhere)
        assert is_elsewhere is notified.wait(LONG if is_elsewhere else 0)
        assert (done or executor.poll()) == Done([], 7.0)
        assert (executor.is_busy, executor.poll()) == (False, None)
    assert noting == [threading.current_thread()]
    assert (doing != noting) is is_elsewhere


def test_what_has_not_ended_is_not_waited_for_by_who_takes_up_nor_by_who_leaves() -> None:
    notified, may_end, ended = threading.Event(), threading.Event(), list[threading.Thread]()

    def hang() -> float:
        may_end.wait(2)
        ended.append(threading.current_thread())
        return 7.0

    with a_desk(notified, works_beside=True) as executor:
        assert executor.submit(hang, lambda seconds: Done([], seconds), beside=True) is None
        assert executor.poll() is None
        assert not notified.is_set()
    assert ended == []
    may_end.set()
    assert executor.poll(LONG) == Done([], 7.0)
    assert until(lambda: not ended[0].is_alive(), LONG)
