"""When the daily look is due, whatever the clocks do in the night."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from portal.services.alerts.settings import is_late, last_slot, next_slot, slot_of

VIENNA = ZoneInfo("Europe/Vienna")
SEVEN, HALF_PAST_TWO = time(7, 0), time(2, 30)
FORWARD, BACK = date(2025, 3, 30), date(2025, 10, 26)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_last_slot_is_the_latest_that_has_come() -> None:
    for now, day in (
        ("2025-02-04T05:59:59", date(2025, 2, 3)),
        ("2025-02-04T06:00:00", date(2025, 2, 4)),
        ("2025-02-04T22:59:59", date(2025, 2, 4)),
        ("2025-02-04T23:30:00", date(2025, 2, 4)),  # the 5th in Vienna, before seven
        ("2025-07-04T05:00:00", date(2025, 7, 4)),  # summer time
    ):
        last = last_slot(utc(now), SEVEN, VIENNA)
        assert last.day == day, now
        assert last.due_at <= utc(now) < next_slot(utc(now), SEVEN, VIENNA).due_at, now
        assert next_slot(utc(now), SEVEN, VIENNA).day == day + timedelta(days=1), now


def test_a_night_without_that_time_has_its_run_after_the_gap() -> None:
    assert slot_of(FORWARD, HALF_PAST_TWO, VIENNA).due_at == utc("2025-03-30T01:30:00")
    assert last_slot(utc("2025-03-30T01:29:00"), HALF_PAST_TWO, VIENNA).day < FORWARD
    assert last_slot(utc("2025-03-30T01:30:00"), HALF_PAST_TWO, VIENNA).day == FORWARD


def test_a_night_with_that_time_twice_has_one_run() -> None:
    first, second = utc("2025-10-26T00:30:00"), utc("2025-10-26T01:30:00")
    assert slot_of(BACK, HALF_PAST_TWO, VIENNA).due_at == first
    assert last_slot(second, HALF_PAST_TWO, VIENNA) == last_slot(first, HALF_PAST_TWO, VIENNA)


def test_every_day_of_the_year_has_one_slot_in_its_turn() -> None:
    for zone in ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC"):
        # Midnight is left out in some places; a slot never moves to another day's place.
        for at in (time(0, 0), HALF_PAST_TWO, time(23, 59)):
            slots = [
                slot_of(date(2025, 1, 1) + timedelta(n), at, ZoneInfo(zone)) for n in range(366)
            ]
            times = [slot.due_at for slot in slots]
            assert times == sorted(set(times))
            for slot in slots[:-1]:
                assert last_slot(slot.due_at, at, ZoneInfo(zone)) == slot
                before = slot.due_at - timedelta(seconds=1)
                assert last_slot(before, at, ZoneInfo(zone)).day == slot.day - timedelta(days=1)


def test_it_is_late_a_quarter_of_an_hour_after_its_time() -> None:
    last = slot_of(date(2025, 2, 4), SEVEN, VIENNA)
    on_time, late = last.due_at + timedelta(minutes=15), last.due_at + timedelta(minutes=16)
    assert not is_late(on_time, last, has_run=False)
    assert is_late(late, last, has_run=False)
    assert not is_late(late, last, has_run=True)
