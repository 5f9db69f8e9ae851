"""What ends a dispatcher's waiting, and who learns that it has polled."""

import os
import select
import threading

import pytest

from jobs.dispatcher.redis_notifications import Wake
from tests.support.processes import until


def test_whoever_wakes_it_or_has_it_poll_ends_its_waiting_once() -> None:
    wake = Wake()

    def is_awake() -> bool:
        return bool(select.select([wake.fileno], [], [], 0)[0])

    for call, is_request in ((wake.wake, False), (lambda: wake.poll(0), True)):
        assert not is_awake()
        for _ in range(2):
            call()
        assert is_awake()
        assert [wake.read() for _ in range(2)] == [is_request, False]
    assert not is_awake()


def test_who_asked_for_a_poll_waits_for_the_answer_to_one_that_began_after_it() -> None:
    wake, polled = Wake(), list[bool]()
    waiting = [
        threading.Thread(target=lambda: polled.append(wake.poll(120)), daemon=True)
        for _ in range(2)
    ]
    for thread in waiting:
        thread.start()
    assert until(lambda: len(wake._requests) == 2)
    wake.polled()
    assert wake.read()
    assert polled == []
    wake.polled()
    for thread in waiting:
        thread.join(20)
    assert polled == [True, True]


def test_nobody_waits_longer_than_they_said() -> None:
    assert not Wake().poll(0.01)


def test_its_file_is_for_its_own_process_and_goes_with_it() -> None:
    wake = Wake()
    number = wake.fileno
    assert not os.get_inheritable(number)
    assert not os.get_blocking(number)
    del wake
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
