"""Amounts, counts and dates as people and spreadsheets write them; or what is wrong with one."""

import re
from calendar import month_name, monthrange
from datetime import MAXYEAR, date, timedelta
from decimal import Decimal
from typing import Final

LARGEST: Final = 12  # digits of an amount before its decimals
PLAIN: Final = r"\d{1,12}(?:[.,]\d{0,2})?"
# Groups of three. One after a comma is thousands, as our own pages write them; one after a point
# alone may be either.
GROUPED: Final = (
    r"\d{1,3}(?:\.\d{3})+,\d{1,2}"
    r"|[1-9]\d{0,2}(?:\.\d{3}){2,}"
    r"|[1-9]\d{0,2}(?:,\d{3})+"
    r"|\d{1,3}(?:,\d{3})+\.\d{1,2}"
    r"|\d{1,3}(?:[ '\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?"
)
AMOUNT: Final = re.compile(f"{PLAIN}|{GROUPED}", re.ASCII)
EITHER: Final = re.compile(r"[1-9]\d{0,2}\.\d{3}", re.ASCII)
TOO_FINE: Final = re.compile(r"\d+[.,]\d{3,}", re.ASCII)
TOO_LONG: Final = re.compile(r"[\d ']+(?:[.,]\d{0,2})?", re.ASCII)
BELOW_ZERO: Final = re.compile(r"-\s?\d[\d.,' ]*", re.ASCII)
NUMBER: Final = re.compile(r"\d[\d.,' ]*", re.ASCII)
LONGEST_COUNT: Final = 10  # digits
DOTTED: Final = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})", re.ASCII)
SLASHED: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
NO_YEAR: Final = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.?", re.ASCII)
ISO: Final = re.compile(r"(?P<year>\d{4})(-?)(?P<month>\d{2})\2(?P<day>\d{2})", re.ASCII)


class TypedValueError(ValueError):
    """The text is no such value. `expected` follows "Enter the …"; `why`: one more sentence."""

    def __init__(self, expected: str, why: str = "") -> None:
        super().__init__(f"{expected}. {why}" if why else expected)
        self.expected = expected
        self.why = why


def read_amount(text: str) -> Decimal:
    """Read the amount: 1250.00, 1250,00, 1,250, 1,250.00, 1.250,00 or 1 250.

    Raises `TypedValueError`.
    """
    whole, _, cents = re.sub(r"[.,](?=\d{0,2}$)", "|", text).partition("|")
    digits = re.sub(r"\D", "", whole)
    if not AMOUNT.fullmatch(text) or len(digits) > LARGEST:
        raise _no_amount(text)
    return Decimal(f"{digits}.{cents or '0'}")


def read_count(text: str) -> int:
    """Return how many of something. Raises `TypedValueError`."""
    if BELOW_ZERO.fullmatch(text):
        raise TypedValueError("as 0 or more")
    if not (text.isascii() and text.isdigit()):
        expected = "as a whole number" if NUMBER.fullmatch(text) else "in digits"
        raise TypedValueError(f"{expected}, such as 25")
    digits = text.lstrip("0") or "0"
    if len(digits) > LONGEST_COUNT:
        raise TypedValueError(f"with at most {LONGEST_COUNT} digits")
    return int(digits)


def read_day(text: str) -> date:
    """Read the date: ISO 8601, 03.05.2026 with the day first, or 5/29/2026 where one order fits.

    Raises `TypedValueError`.
    """
    if slashed := SLASHED.fullmatch(text):
        text = _in_order(*map(int, slashed.groups()))
    parts = DOTTED.fullmatch(text) or ISO.fullmatch(text)
    try:
        if parts is None:
            return date.fromisoformat(text)
        return date(int(parts["year"]), int(parts["month"]), int(parts["day"]))
    except ValueError:
        raise _no_day(text) from None


def _in_order(first: int, second: int, year: int) -> str:
    """Return the day in ISO 8601. Raises `TypedValueError` where either part may be the month."""
    month_first = f"{year}-{first:02}-{second:02}"
    day_first = f"{year}-{second:02}-{first:02}"
    if first != second and max(first, second) <= 12:
        why = "The month or the day can come first"
        raise TypedValueError(f"as {month_first} or {day_first}", why)
    return day_first if first > 12 else month_first


def _no_amount(text: str) -> TypedValueError:
    example = "such as 1250.00"
    if EITHER.fullmatch(text):
        readings = f"as {text.replace('.', '')}.00 or {text[:-1]}"
        return TypedValueError(readings, "The point can separate thousands or decimals")
    if TOO_FINE.fullmatch(text):
        return TypedValueError(f"with at most 2 decimals, {example}")
    if BELOW_ZERO.fullmatch(text):
        return TypedValueError("as 0 or more")
    if TOO_LONG.fullmatch(text) and len(text) > LARGEST:
        return TypedValueError(f"with at most {LARGEST} digits before the decimals")
    return TypedValueError(f"in digits, {example}")


def impossible_day(text: str) -> str:
    """Return the day that the text names and no calendar has: "February 31, 2026"; empty for any
    other."""
    parts = DOTTED.fullmatch(text) or ISO.fullmatch(text) or NO_YEAR.fullmatch(text)
    if parts is None:
        return ""
    given = parts.groupdict()
    year, month, day = int(given.get("year", 2000)), int(given["month"]), int(given["day"])
    try:
        date(year, month, day)
    except ValueError:
        pass
    else:
        return ""
    if not 1 <= month <= 12:
        return f"month {month}{', as the day comes first' * (parts.re is not ISO)}"
    if not year:
        return "year 0"
    return f"{month_name[month]} {day}" + (f", {year}" if "year" in given else "")


def _no_day(text: str) -> TypedValueError:
    if missing := impossible_day(text):
        return TypedValueError("as a date that exists", f"There is no {missing}")
    if NO_YEAR.fullmatch(text):
        return TypedValueError("with its year, such as 03.05.2026")
    return TypedValueError("as year, month, and day, such as 2026-05-03")


def add_months(day: date, months: int) -> date:
    """Return the same day `months` later; the month's last day where it has no such day.

    Raises ValueError when that lies beyond the last year that a date can have.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > MAXYEAR:
        raise ValueError(f"{months} months after {day}, there’s no date")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def last_day(first: date, months: int) -> date:
    """Return the last of so many months that begin with `first`: the day before the same day of a
    later month, or that month's last day where it has no such day.

    Raises ValueError as `add_months` does.
    """
    after = add_months(first, months)
    return after if after.day < first.day else after - timedelta(days=1)


LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3, as corrected by erratum 1690
# Only mail can tell whether an address is real: names inside a company's network count as well.
# Signs that separate or quote addresses in a mail's head would make two of one.
PART: Final = r"[^@\s\x00-\x1f\x7f,;:<>()\[\]\"\\]+"
SHAPE: Final = re.compile(f"{PART}@{PART}")


def tidy_email(text: str) -> str:
    """Return the address as it is stored and looked up: without spaces around it, in small
    letters."""
    return text.strip().lower()


def is_email(text: str) -> bool:
    """Return whether the text looks like an address at all."""
    return len(text) <= LONGEST and SHAPE.fullmatch(text) is not None
