"""What a process says of whether it is ready, from what its beats have found."""

from datetime import UTC, datetime
from typing import Any

import pytest

from portal.database.trouble import Kind, Trouble, book
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import BROKEN_AFTER, Life, worker_of
from portal.services.operations.readiness import SILENT, Need, Pulse, Surroundings
from tests.services.operations.test_readiness import Clock

AWAY = Trouble(Kind.AWAY, "the road is gone")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def nothing_is_wrong() -> None:
    book.forget()


@pytest.fixture
def clock() -> Clock:
    return Clock()


def life(kind: str, trouble: Trouble | None = None, *, is_alive: bool = True) -> Life:
    return Life(kind, kind, "host", 7, AT, is_alive, trouble=trouble)


def beating(clock: Clock, **seen: Any) -> Pulse:
    pulse = Pulse(clock)
    pulse.begin()
    pulse.beat(None)
    pulse.look = Surroundings(has_tables=True, **seen)
    return pulse


@pytest.mark.parametrize("kind", [Kind.FULL, Kind.DISK])
def test_a_beat_that_found_no_room_came_all_the_same(clock: Clock, kind: Kind) -> None:
    pulse = beating(clock)
    clock.now += SILENT
    pulse.beat(AWAY)
    pulse.beat(Trouble(kind, "no"))
    clock.now += SILENT
    pulse.beat(AWAY)
    assert pulse.read().database == "ok"


def test_before_the_first_beat_there_is_no_answer_yet_and_after_two_none(clock: Clock) -> None:
    pulse = Pulse(clock)
    assert (pulse.is_beating, pulse.read().database) == (False, "no answer")
    pulse.begin()
    assert (pulse.is_beating, pulse.read().database) == (True, "no answer yet")
    clock.now += SILENT + 0.1
    assert pulse.read().database == "no answer"
    pulse.end()
    assert not pulse.is_beating


@pytest.mark.parametrize(
    ("kind", "is_alive", "is_told"),
    [
        (Kind.FULL, True, True),
        (Kind.DISK, True, True),
        (Kind.READ_ONLY, True, True),
        (Kind.LOCKED, True, False),
        (Kind.AWAY, True, False),
        (Kind.FULL, False, False),
    ],
)
def test_what_does_not_pass_is_told_of_another_living_process(
    clock: Clock, kind: Kind, is_alive: bool, is_told: bool
) -> None:
    other = life(worker_of(BACKGROUND), Trouble(kind, "no"), is_alive=is_alive)
    pulse = beating(clock, lives=[life(worker_of(DELIVERIES)), other])
    assert pulse.read().database == (f"{kind}: no" if is_told else "ok")


SENDER, OTHER = life(worker_of(DELIVERIES)), life(worker_of(DELIVERIES), AWAY)


@pytest.mark.parametrize(
    ("lives", "sending"),
    [
        ([SENDER], "ok"),
        ([life(heartbeats.DISPATCHER)], "ok"),
        ([SENDER, OTHER], "ok"),
        ([OTHER, life(heartbeats.DISPATCHER)], "away: the road is gone"),
        ([OTHER, OTHER], "away: the road is gone"),
        ([life(worker_of(BACKGROUND)), life(heartbeats.WEB)], "no process is sending"),
        ([life(worker_of(DELIVERIES), is_alive=False)], "no process is sending"),
        ([], "no process is sending"),
    ],
)
def test_deliveries_are_sent_while_one_sender_has_no_trouble(
    clock: Clock, lives: list[Life], sending: str
) -> None:
    ready = beating(clock, lives=lives).read()
    assert ready.sending == sending
    assert ready.is_ready(Need.PAGES)
    assert ready.is_ready(Need.SENDING) is ready.is_ready() is (sending == "ok")


def test_redis_and_a_stop_are_told_and_not_missed(clock: Clock) -> None:
    ready = beating(clock, lives=[SENDER], redis="no such file", stopped_at=AT).read()
    assert (ready.redis, ready.is_ready()) == ("no such file", True)
    assert ready.switch == "a person stopped all sending at 2026-03-01T12:00:00+00:00"
    pulse = beating(clock, lives=[SENDER])
    assert (pulse.read().redis, pulse.read().switch) == ("ok", "ok")
    pulse.look = Surroundings(lives=[SENDER])
    assert (pulse.read().migrations, pulse.read().is_ready(Need.PAGES)) == ("not known", False)


def test_it_is_overdue_once_a_beat_was_missed_and_one_that_found_no_room_is_none(
    clock: Clock,
) -> None:
    late = BROKEN_AFTER.total_seconds()
    pulse = Pulse(clock)
    clock.now += 2 * late
    assert not pulse.is_overdue  # it has no beats
    pulse.begin()
    clock.now += late
    assert not pulse.is_overdue
    clock.now += 0.1
    assert pulse.is_overdue
    for found in (None, Trouble(Kind.FULL, "no")):
        pulse.beat(found)
        clock.now += late
        assert not pulse.is_overdue
        pulse.beat(AWAY)
        clock.now += 0.1
        assert pulse.is_overdue
    pulse.end()
    assert not pulse.is_overdue
