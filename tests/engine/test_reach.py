"""Who is in trouble when nobody answers, of every constellation of two and three machines."""

from datetime import UTC, datetime, timedelta

import pytest

from portal.engine.reach import (
    Doubt,
    goes_back,
    is_refuted,
    is_sick,
    left_to_others,
    next_pause,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(minutes=5), NOW + timedelta(minutes=5)
OTHERS = frozenset({"m2", "m3"})


def doubt(machine: str, at: datetime = NOW, *, refuted: bool = False, webhook: int = 7) -> Doubt:
    return Doubt(webhook, machine, at, at, refuted)


@pytest.mark.parametrize(
    ("doubts", "delivered_at", "goes"),
    [
        ([], None, True),
        ([], EARLIER, True),
        ([doubt("m2")], None, False),
        ([doubt("m2")], EARLIER, False),
        # Something has arrived since, or its machine is known to be the one in trouble.
        ([doubt("m2")], NOW, True),
        ([doubt("m2")], LATER, True),
        ([doubt("m2", refuted=True)], EARLIER, True),
        ([doubt("m4")], EARLIER, True),
        # Nobody is left who has no doubt of its own.
        ([doubt("m2", refuted=True), doubt("m3", refuted=True)], EARLIER, False),
        ([doubt("m2"), doubt("m3", refuted=True)], EARLIER, False),
    ],
)
def test_it_goes_back_while_another_machine_may_judge_and_none_that_is_well_has(
    doubts: list[Doubt], delivered_at: datetime | None, goes: bool
) -> None:
    assert goes_back(doubts, OTHERS, delivered_at) is goes


def test_to_others_is_left_what_one_of_them_has_no_doubt_about() -> None:
    doubts = [doubt("m1", webhook=number) for number in (1, 2, 3, 4)]
    doubts += [doubt("m2", webhook=number) for number in (2, 3, 5)]
    doubts += [doubt("m3", webhook=3), doubt("m9", webhook=2)]
    assert left_to_others(doubts, "m1", OTHERS) == {1, 2, 4}
    assert left_to_others(doubts, "m1", frozenset()) == set()


@pytest.mark.parametrize(
    ("delivered_at", "others", "refuted"),
    [
        (None, [], False),
        (EARLIER, [], False),
        (NOW, [], False),
        (LATER, [], True),
        (LATER, [doubt("m2")], True),
        (LATER, [doubt("m2", LATER)], True),
        (LATER, [doubt("m2", LATER + timedelta(seconds=1))], False),
        (LATER, [doubt("m2", LATER + timedelta(seconds=1), refuted=True)], True),
    ],
)
def test_a_doubt_is_refuted_by_what_arrives_after_it_began_if_nobody_who_is_well_fails_since(
    delivered_at: datetime | None, others: list[Doubt], refuted: bool
) -> None:
    assert is_refuted(doubt("m1"), others, delivered_at) is refuted


def test_three_refuted_doubts_are_an_illness_where_somebody_else_can_send() -> None:
    assert [is_sick(count, {"m2"}) for count in (2, 3, 4)] == [False, True, True]
    assert not is_sick(9, set())


def test_a_pause_doubles_from_five_seconds_to_a_minute() -> None:
    assert [next_pause(each) for each in (0, 2, 5, 20, 40, 60)] == [5, 5, 10, 40, 60, 60]
