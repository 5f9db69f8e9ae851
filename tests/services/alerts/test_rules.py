"""Alert rules as tables of inputs and the resulting key, or the reason against firing."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from portal.services.alerts import rules as alert_rules
from portal.services.alerts.rules import AlertRules, Firing, Kept, Moment
from portal.services.alerts.settings import is_late, last_slot, next_slot, slot_of

VIENNA = ZoneInfo("Europe/Vienna")


NOW = datetime(2025, 2, 4, 6, 0, tzinfo=UTC)  # 07:00 in Vienna


TODAY = date(2025, 2, 4)


DUE = datetime(2025, 2, 1, 16, 0, tzinfo=UTC)


def at(now: datetime = NOW, zone: ZoneInfo = VIENNA, **rules: object) -> Moment:
    return Moment(AlertRules(**rules), now, zone)  # type: ignore[arg-type]  # a table's own words


def said(verdict: Firing | Kept) -> str:
    """Return the key under which the alert fires, or the reason why it does not."""
    return verdict.key if isinstance(verdict, Firing) else verdict


def test_a_warranty_alert_fires_only_within_its_window() -> None:
    fires = "warranty:7:{}"
    for days, says in (
        (-1, "past"),
        (0, fires),
        (1, fires),
        (29, fires),
        (30, fires),
        (31, "early"),
        (400, "early"),
    ):
        ends = TODAY + timedelta(days=days)
        assert said(alert_rules.warranty(at(), 7, ends, "available")) == says.format(ends), days


def test_missing_gone_disabled_and_early_warranties_do_not_fire() -> None:
    for moment, ends, status, kept in (
        (at(), None, "available", "unset"),
        (at(), TODAY, "lost", "gone"),
        (at(), TODAY, "liquidated", "gone"),
        (at(warranty_on=False), TODAY, "available", "off"),
        (at(warranty_days=5), TODAY + timedelta(days=6), "available", "early"),
    ):
        assert said(alert_rules.warranty(moment, 7, ends, status)) == kept, moment


def test_a_warranty_alert_fires_in_every_status_of_an_owned_asset() -> None:
    for status in ("allocated", "checked_out", "maintenance", "warranty", "broken"):
        assert isinstance(alert_rules.warranty(at(), 7, TODAY, status), Firing), status


def test_maintenance_alerts_fire_when_near_or_late() -> None:
    fires = "maintenance:9:{}"
    for days, state, says in (
        (8, "scheduled", "early"),
        (7, "scheduled", fires),
        (0, "scheduled", fires),
        (-400, "scheduled", fires),
        (0, "in_progress", "started"),
    ):
        due_on = TODAY + timedelta(days=days)
        verdict = alert_rules.maintenance(at(), 9, due_on, state)
        assert said(verdict) == says.format(due_on), days
        off = alert_rules.maintenance(at(maintenance_on=False), 9, due_on, state)
        assert off is Kept.OFF, days


def test_a_check_out_is_overdue_once_its_time_has_passed() -> None:
    for late, says in (
        (timedelta(seconds=-1), "early"),
        (timedelta(0), "early"),
        (timedelta(seconds=1), "checkout:3:2025-02-01T16:00:00+00:00"),
    ):
        assert said(alert_rules.overdue(at(DUE + late), 3, DUE)) == says, late
        assert alert_rules.overdue(at(DUE + late, overdue_on=False), 3, DUE) is Kept.OFF, late
    assert alert_rules.overdue(at(), 3, None) is Kept.UNSET


def test_reminders_repeat_every_set_number_of_days() -> None:
    for every, days_late, reminder in (
        (None, 0.5, 0),
        (None, 90, 0),
        (2, 0.5, 0),
        (2, 1.9, 0),
        (2, 2, 1),
        (2, 3.9, 1),
        (2, 4, 2),
        (1, 21, 21),  # after three missed weeks, only the latest reminder
    ):
        moment = at(DUE + timedelta(days=days_late), repeat_every_days=every)
        verdict = alert_rules.overdue(moment, 3, DUE)
        first = "checkout:3:2025-02-01T16:00:00+00:00"
        assert isinstance(verdict, Firing), every
        assert verdict.matter == first, every
        assert verdict.key == (f"{first}:{reminder}" if reminder else first), every


def test_a_short_day_skips_no_reminder() -> None:
    # Due on Saturday at 07:00. Clocks go forward in the night before the run on Sunday at 07:00.
    due_at = datetime(2025, 3, 29, 7, 0, tzinfo=VIENNA)
    sunday = datetime(2025, 3, 30, 7, 0, 30, tzinfo=VIENNA)
    assert sunday.astimezone(UTC) - due_at.astimezone(UTC) < timedelta(hours=24)
    verdict = alert_rules.overdue(at(sunday, repeat_every_days=1), 3, due_at)
    assert isinstance(verdict, Firing)
    assert verdict.reminder == 1


def test_a_repeated_hour_causes_no_early_reminder() -> None:
    # Due at 02:50 and checked 15 minutes later, when it is 02:05 again.
    due_at = datetime(2025, 10, 26, 0, 50, tzinfo=UTC)
    verdict = alert_rules.overdue(
        at(due_at + timedelta(minutes=15), repeat_every_days=1), 3, due_at
    )
    assert isinstance(verdict, Firing)
    assert verdict.reminder == 0


def test_stock_is_low_below_its_threshold_until_an_alert_was_sent() -> None:
    fires = "stock:8:2025-02-04T06:00:00+00:00"
    for quantity, least, alerted_at, says in (
        (5, 5, None, "enough"),
        (4, 5, None, fires),
        (0, 1, None, fires),
        (0, 0, None, "enough"),
        (0, None, None, "unset"),
        (None, 1, None, fires),
        (4, 5, DUE, "sent"),
    ):
        assert said(alert_rules.low_stock(at(), 8, quantity, least, alerted_at)) == says, quantity
        off = alert_rules.low_stock(at(low_stock_on=False), 8, quantity, least, alerted_at)
        assert off is Kept.OFF, quantity


def test_today_follows_the_time_zone_of_the_organization() -> None:
    late_in_the_evening = datetime(2025, 2, 4, 23, 30, tzinfo=UTC)
    assert at(late_in_the_evening).today == date(2025, 2, 5)
    assert at(late_in_the_evening, ZoneInfo("America/Lima")).today == TODAY


SEVEN, HALF_PAST_TWO = time(7, 0), time(2, 30)


FORWARD, BACK = date(2025, 3, 30), date(2025, 10, 26)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_last_slot_is_the_latest_past_slot() -> None:
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


def test_a_skipped_time_runs_after_the_gap() -> None:
    assert slot_of(FORWARD, HALF_PAST_TWO, VIENNA).due_at == utc("2025-03-30T01:30:00")
    assert last_slot(utc("2025-03-30T01:29:00"), HALF_PAST_TWO, VIENNA).day < FORWARD
    assert last_slot(utc("2025-03-30T01:30:00"), HALF_PAST_TWO, VIENNA).day == FORWARD


def test_a_repeated_time_runs_once() -> None:
    first, second = utc("2025-10-26T00:30:00"), utc("2025-10-26T01:30:00")
    assert slot_of(BACK, HALF_PAST_TWO, VIENNA).due_at == first
    assert last_slot(second, HALF_PAST_TWO, VIENNA) == last_slot(first, HALF_PAST_TWO, VIENNA)


def test_every_day_of_the_year_has_one_slot_in_order() -> None:
    for zone in ("Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "UTC"):
        # Some zones skip midnight. A slot still never moves past the slot of another day.
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


def test_a_run_is_late_15_minutes_after_its_slot() -> None:
    last = slot_of(date(2025, 2, 4), SEVEN, VIENNA)
    on_time, late = last.due_at + timedelta(minutes=15), last.due_at + timedelta(minutes=16)
    assert not is_late(on_time, last, has_run=False)
    assert is_late(late, last, has_run=False)
    assert not is_late(late, last, has_run=True)
