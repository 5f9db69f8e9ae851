"""The rules of alerts as tables: dates and numbers in, fires or not and under which key out."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from portal.services.alerts import rules as alert_rules
from portal.services.alerts.rules import AlertRules, Moment

VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2025, 2, 4, 6, 0, tzinfo=UTC)  # 07:00 in Vienna
TODAY = date(2025, 2, 4)
DUE = datetime(2025, 2, 1, 16, 0, tzinfo=UTC)


def at(now: datetime = NOW, zone: ZoneInfo = VIENNA, **rules: object) -> Moment:
    return Moment(AlertRules(**rules), now, zone)  # type: ignore[arg-type]  # a table's own words


def test_a_warranty_is_told_of_within_its_window_and_not_afterwards() -> None:
    for days, fires in (
        (-1, False),
        (0, True),
        (1, True),
        (29, True),
        (30, True),
        (31, False),
        (400, False),
    ):
        ends = TODAY + timedelta(days=days)
        found = alert_rules.warranty(at(), 7, ends, "available")
        assert (found.key if found else None) == (f"warranty:7:{ends}" if fires else None), days


def test_some_warranties_are_nobodys_concern() -> None:
    for moment, ends, status in (
        (at(), None, "available"),
        (at(), TODAY, "lost"),
        (at(), TODAY, "liquidated"),
        (at(warranty_on=False), TODAY, "available"),
        (at(warranty_days=5), TODAY + timedelta(days=6), "available"),
    ):
        assert alert_rules.warranty(moment, 7, ends, status) is None, moment


def test_the_warranty_of_whatever_is_still_ours_is() -> None:
    for status in ("allocated", "checked_out", "maintenance", "warranty", "broken"):
        assert alert_rules.warranty(at(), 7, TODAY, status) is not None, status


def test_maintenance_is_told_of_when_near_or_late() -> None:
    for days, state, fires in (
        (8, "scheduled", False),
        (7, "scheduled", True),
        (0, "scheduled", True),
        (-400, "scheduled", True),
        (0, "in_progress", False),
        (0, "completed", False),
        (0, "cancelled", False),
    ):
        due_on = TODAY + timedelta(days=days)
        found = alert_rules.maintenance(at(), 9, due_on, state)
        assert (found.key if found else None) == (f"maintenance:9:{due_on}" if fires else None), (
            days
        )
        assert alert_rules.maintenance(at(maintenance_on=False), 9, due_on, state) is None, days


def test_a_new_date_is_a_new_key() -> None:
    keys = {
        found.key
        for day in (TODAY, TODAY + timedelta(days=1))
        for found in (
            alert_rules.warranty(at(), 7, day, "available"),
            alert_rules.maintenance(at(), 7, day, "scheduled"),
        )
        if found
    }
    assert len(keys) == 4


def test_a_check_out_is_overdue_once_its_time_has_passed() -> None:
    for late, fires in (
        (timedelta(seconds=-1), False),
        (timedelta(0), False),
        (timedelta(seconds=1), True),
    ):
        found = alert_rules.overdue(at(DUE + late), 3, DUE)
        assert (found is not None) is fires, late
        assert alert_rules.overdue(at(DUE + late, overdue_on=False), 3, DUE) is None, late


def test_reminders_come_every_so_many_days() -> None:
    for every, days_late, reminder in (
        (None, 0.5, 0),
        (None, 90, 0),
        (2, 0.5, 0),
        (2, 1.9, 0),
        (2, 2, 1),
        (2, 3.9, 1),
        (2, 4, 2),
        (1, 21, 21),  # three missed weeks: the latest reminder alone
    ):
        moment = at(DUE + timedelta(days=days_late), repeat_every_days=every)
        found = alert_rules.overdue(moment, 3, DUE)
        first = "checkout:3:2025-02-01T16:00:00+00:00"
        assert found is not None, every
        assert found.matter == first, every
        assert found.key == (f"{first}:{reminder}" if reminder else first), every


def test_a_shorter_day_costs_no_reminder() -> None:
    # Due on Saturday at 07:00; the clocks go forward in the night, the run is on Sunday at 07:00.
    due_at = datetime(2025, 3, 29, 7, 0, tzinfo=VIENNA)
    sunday = datetime(2025, 3, 30, 7, 0, 30, tzinfo=VIENNA)
    assert sunday.astimezone(UTC) - due_at.astimezone(UTC) < timedelta(hours=24)
    found = alert_rules.overdue(at(sunday, repeat_every_days=1), 3, due_at)
    assert found is not None
    assert found.reminder == 1


def test_an_hour_that_comes_twice_makes_no_reminder_before_the_first() -> None:
    # Due at 02:50, and looked at a quarter of an hour later, when it is 02:05 again.
    due_at = datetime(2025, 10, 26, 0, 50, tzinfo=UTC)
    found = alert_rules.overdue(at(due_at + timedelta(minutes=15), repeat_every_days=1), 3, due_at)
    assert found is not None
    assert found.reminder == 0


def test_stock_is_low_below_its_threshold_until_the_latch_has_fallen() -> None:
    for quantity, least, alerted_at, fires in (
        (5, 5, None, False),
        (4, 5, None, True),
        (0, 1, None, True),
        (0, 0, None, False),
        (0, None, None, False),
        (None, 1, None, True),
        (4, 5, DUE, False),
    ):
        found = alert_rules.low_stock(at(), 8, quantity, least, alerted_at)
        assert (found.key if found else None) == (
            "stock:8:2025-02-04T06:00:00+00:00" if fires else None
        ), quantity
        assert (
            alert_rules.low_stock(at(low_stock_on=False), 8, quantity, least, alerted_at) is None
        ), quantity


def test_the_day_is_that_of_the_organisation() -> None:
    late_in_the_evening = datetime(2025, 2, 4, 23, 30, tzinfo=UTC)
    assert at(late_in_the_evening).today == date(2025, 2, 5)
    assert at(late_in_the_evening, ZoneInfo("America/Lima")).today == TODAY
