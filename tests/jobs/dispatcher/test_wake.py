"""Who waits for a dispatcher to rest, and what ends its own waiting."""

import os
import select
import threading

import pytest

from jobs.dispatcher.wake import Wake
from tests.support.processes import until


def test_somebody_waits_from_when_they_ask_until_it_rests() -> None:
    wake = Wake()
    assert not wake.is_awaited
    first, second = wake.ask(), wake.ask()

    def standing() -> tuple[bool, bool, bool]:
        return wake.is_awaited, wake.wait(first), wake.wait(second)

    seen = [standing()]
    for number in (first, second, first):
        wake.rest(number)
        seen.append(standing())
    rested = (False, True, True)
    assert seen == [(True, False, False), (True, True, False), rested, rested]
    third = wake.ask()
    assert (wake.asked, wake.is_awaited, wake.wait(third)) == (third, True, False)


def test_whoever_notifies_or_asks_ends_its_waiting_once() -> None:
    wake = Wake()

    def is_heard() -> bool:
        return bool(select.select([wake.fileno], [], [], 0)[0])

    for call in (wake.notify, wake.ask):
        assert not is_heard()
        for _ in range(2):
            call()
        assert is_heard()
        for _ in range(2):
            wake.clear()
    assert not is_heard()


def test_all_who_wait_for_it_hear_at_once_that_it_rests() -> None:
    wake, heard = Wake(), list[bool]()
    number = wake.ask()
    waiting = [
        threading.Thread(target=lambda: heard.append(wake.wait(number, 120)), daemon=True)
        for _ in range(2)
    ]
    for each in waiting:
        each.start()
    assert until(lambda: len(wake._condition._waiters) == 2)  # type: ignore[attr-defined]
    wake.rest(number)
    for each in waiting:
        each.join(20)
    assert heard == [True, True]


def test_its_file_is_for_its_own_process_and_goes_with_it() -> None:
    wake = Wake()
    number = wake.fileno
    assert not os.get_inheritable(number)
    assert not os.get_blocking(number)
    del wake
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
