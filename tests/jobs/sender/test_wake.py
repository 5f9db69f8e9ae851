"""Who waits for a pump to rest, and what ends its own waiting."""

import select

from jobs.pump.wake import Wake


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


def test_whoever_rings_or_asks_ends_its_waiting_once() -> None:
    wake = Wake()

    def is_heard() -> bool:
        return bool(select.select([wake.fileno], [], [], 0)[0])

    for call in (wake.ring, wake.ask):
        assert not is_heard()
        for _ in range(2):
            call()
        assert is_heard()
        for _ in range(2):
            wake.clear()
    assert not is_heard()
