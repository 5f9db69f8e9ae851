"""Months added to a date, as people and warranties count them."""

from calendar import monthrange
from datetime import MAXYEAR, date, timedelta


def add_months(day: date, months: int) -> date:
    """The same day `months` later; the month's last day where it has no such day.

    Raises ValueError when that lies beyond the last year that a date can have.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > MAXYEAR:
        raise ValueError(f"{months} months after {day} there is no date")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def last_day(first: date, months: int) -> date:
    """The last of so many months that begin with `first`: the day before the same day of a later
    month, or that month's last day where it has no such day.

    Raises ValueError as `add_months` does.
    """
    after = add_months(first, months)
    return after if after.day < first.day else after - timedelta(days=1)
