"""The end of a dispatcher's wait, and the answer to requested polls."""

import os
import select
import threading

import pytest

from jobs.dispatcher.redis_notifications import Wake
from tests.support.processes import until


def test_a_wake_or_a_poll_request_ends_the_wait_once() -> None:
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


def test_a_poll_request_waits_for_a_poll_that_starts_later() -> None:
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


def test_a_poll_request_times_out() -> None:
    assert not Wake().poll(0.01)


def test_the_wake_file_is_not_inherited_and_is_closed_with_its_owner() -> None:
    wake = Wake()
    number = wake.fileno
    assert not os.get_inheritable(number)
    assert not os.get_blocking(number)
    del wake
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
