"""Parse amounts, counts, and dates as people and spreadsheets write them, or explain an error.

Some texts are ambiguous, such as 03/04/2026 and 1.250. `days_in` and `amounts_in` return every
reading. This module only chooses one if it is told how. `services/csv/import_readings.py` finds
that out from a whole column.
"""

import re
from calendar import day_name, month_name, monthrange
from collections.abc import Mapping
from datetime import MAXYEAR, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final, TypeVar

V = TypeVar("V")


class DayOrder(StrEnum):
    """The orders of the parts of a date in digits."""

    DAY_FIRST = "day_first"
    MONTH_FIRST = "month_first"
    YEAR_FIRST = "year_first"
    # Day first in dates with dots, as in Europe, and month first in others, as in the US.
    DOTS_DAY_FIRST = "dots_day_first"


class DecimalSign(StrEnum):
    """The signs before the decimals of an amount. The other sign separates thousands."""

    POINT = "."
    COMMA = ","


LONGEST_DAY: Final = 60  # characters
# {order: format of a date in digits}, with placeholders for the separator and the year's format.
# Two-digit years come first only with dashes, as in ISO 8601 before 2004.
ORDERS: Final[Mapping[DayOrder, str]] = {
    DayOrder.DAY_FIRST: "%d{0}%m{0}{1}",
    DayOrder.MONTH_FIRST: "%m{0}%d{0}{1}",
}
SHORT_YEAR_FIRST: Final = "%y-%m-%d"
CLOCK: Final = re.compile(
    r"(.{6,30}?)(?:,? |T)\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d{1,6})?)?(?: ?[AaPp][Mm])?", re.ASCII
)
IN_DIGITS: Final = re.compile(r"(\d{1,4})([./-]) ?\d{1,2}\2 ?(\d{1,4})", re.ASCII)
ORDINAL: Final = re.compile(r"(?<=\d)(?:st|nd|rd|th)\b", re.ASCII)
BETWEEN: Final = re.compile(r"[ ,./-]+")
WEEKDAYS: Final = frozenset(part for name in day_name for part in (name.lower(), name[:3].lower()))
# {month in another language: month in the standard library}
MONTHS: Final = {
    word: name
    for name, words in {
        "January": "januar jänner jän janvier janv enero ene",
        "February": "februar feber feb février févr fév febrero",
        "March": "märz mär mrz mars marzo",
        "April": "avril avr abril abr",
        "May": "mai mayo",
        "June": "juni juin junio",
        "July": "juli juillet juil julio",
        "August": "août agosto ago",
        "September": "sept septembre septiembre",
        "October": "oktober okt octobre octubre",
        "November": "novembre noviembre",
        "December": "dezember dez décembre déc diciembre dic",
    }.items()
    for word in words.split()
}
FILLING: Final = frozenset({"de", "del", "of", "den"})
# The standard library reads the two-digit year 69 as 1969.
LAST_YEAR_OF_TWO_DIGITS: Final = 2069

LARGEST: Final = 12  # digits of an amount before its decimals
LONGEST_AMOUNT: Final = 40  # characters
BLANKS: Final = " \u00a0\u202f\u2009"


def _amount_with(sign: str, other: str) -> re.Pattern[str]:
    """Return the pattern of an amount with this decimal sign and groups of three digits.

    "200,-" has no cents.
    """
    groups = rf"[1-9]\d{{0,2}}(?P<group>[{other}{BLANKS}'\u2019])\d{{3}}(?:(?P=group)\d{{3}})*"
    whole = rf"(?P<whole>{groups}|\d{{1,{LARGEST}}})"
    return re.compile(rf"{whole}(?:[{sign}](?:(?P<cents>\d*)|-{{1,2}}|[–—]))?", re.ASCII)


AMOUNTS: Final = {
    DecimalSign.POINT: _amount_with(".", ","),
    DecimalSign.COMMA: _amount_with(",", "."),
}
TOO_LONG: Final = re.compile(r"[\d ']+(?:[.,]\d{0,2})?", re.ASCII)
BELOW_ZERO: Final = re.compile(r"-\s?\d[\d.,' ]*|\(\d[\d.,' ]*\)", re.ASCII)
NUMBER: Final = re.compile(r"\d[\d.,' ]*", re.ASCII)
LONGEST_COUNT: Final = 10  # digits
DOTTED: Final = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.(?P<year>\d{4})", re.ASCII)
NO_YEAR: Final = re.compile(r"(?P<day>\d{1,2})\.(?P<month>\d{1,2})\.?", re.ASCII)
ISO: Final = re.compile(r"(?P<year>\d{4})(-?)(?P<month>\d{2})\2(?P<day>\d{2})", re.ASCII)
SERIAL: Final = re.compile(r"[2-6]\d{4}(?:\.\d+)?", re.ASCII)


class TypedValueError(ValueError):
    """An unreadable value. `expected` follows "Enter the …". `why`: one more sentence."""

    def __init__(self, expected: str, why: str = "") -> None:
        super().__init__(f"{expected}. {why}" if why else expected)
        self.expected = expected
        self.why = why


class OtherCurrencyError(TypedValueError):
    """An amount in another currency."""

    def __init__(self, currency: str, other: str) -> None:
        super().__init__(f"in {currency}", f"The register has no amounts in {other}")


def amounts_in(text: str) -> dict[str, Decimal]:
    """Return each possible amount by the sign before its decimals, none if unreadable."""
    if len(text) > LONGEST_AMOUNT:
        return {}
    readings: dict[str, Decimal] = {}
    for sign, pattern in AMOUNTS.items():
        if (parts := pattern.fullmatch(text)) is not None:
            digits = re.sub(r"\D", "", parts["whole"])
            if len(digits) <= LARGEST:
                readings[sign] = Decimal(f"{digits}.{parts['cents'] or '0'}")
    return readings


def read_amount(text: str, sign: str = "") -> Decimal:
    """Parse an amount: 1250.00, 1250,00, 1,250, 1,250.00, 1.250,00, or 1 250.

    `sign`: the decimal sign if known. Otherwise, a comma before three digits separates thousands,
    as on our own pages. Raises `TypedValueError`.
    """
    readings = amounts_in(text)
    amount = _said(readings, sign or (DecimalSign.POINT if "," in text else ""))
    if amount is None:
        raise _no_amount(text, readings)
    if amount != round(amount, 2):
        raise TypedValueError("with at most 2 decimals, such as 1,250.00")
    return round(amount, 2)


def _said(found: Mapping[str, V], reading: str) -> V | None:
    """Return the value if all readings agree, else the value of the given reading."""
    values = list(found.values())
    if values and all(value == values[0] for value in values):
        return values[0]
    return found.get(reading)


# {currency: its signs besides its code}. A shared sign means the register's currency.
CURRENCY_SIGNS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("USD", "AUD", "CAD", "NZD", "HKD", "SGD", "MXN", "BRL", "ARS", "CLP"), "$"),
    **dict.fromkeys(("SEK", "NOK", "DKK", "ISK"), "kr"),
    **dict.fromkeys(("JPY", "CNY"), "¥"),
    "EUR": "€ Euro",
    "GBP": "£",
    "CHF": "Fr. SFr.",
    "PLN": "zł",
    "CZK": "Kč",
    "HUF": "Ft",
    "INR": "₹",
    "TRY": "₺",
    "ILS": "₪",
    "KRW": "₩",
    "UAH": "₴",
    "RUB": "₽",
}
CURRENCY_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)
MARKED: Final = re.compile(
    rf"(?P<before>[^\d{BLANKS}(-]{{0,4}})[{BLANKS}]{{0,2}}"
    rf"(?P<amount>[(-]{{0,2}}\d[\d.,'\u2019{BLANKS}]{{0,29}}?(?:[.,](?:-{{1,2}}|[–—]))?\)?)"
    rf"[{BLANKS}]{{0,2}}(?P<after>[^\d\s.,'\u2019)-][^\d\s]{{0,3}})?",
    re.ASCII,
)


def _plain(mark: str) -> str:
    return mark.casefold().strip(".")


def without_currency(text: str, currency: str) -> str:
    """Remove the sign or code of `currency` from an amount.

    Raises `TypedValueError` for an amount in another currency.
    """
    parts = MARKED.fullmatch(text) if len(text) <= LONGEST_AMOUNT else None
    if parts is None:
        return text
    for mark in filter(None, (parts["before"], parts["after"])):
        if _plain(mark) in map(_plain, (currency, *CURRENCY_SIGNS.get(currency, "").split())):
            continue
        if CURRENCY_CODE.fullmatch(mark) or mark in " ".join(CURRENCY_SIGNS.values()).split():
            raise OtherCurrencyError(currency, mark)
        return text
    return parts["amount"]


def read_count(text: str) -> int:
    """Parse a count. Raises `TypedValueError`."""
    if BELOW_ZERO.fullmatch(text):
        raise TypedValueError("as 0 or more")
    if not (text.isascii() and text.isdigit()):
        expected = "as a whole number" if NUMBER.fullmatch(text) else "in digits"
        raise TypedValueError(f"{expected}, such as 25")
    digits = text.lstrip("0") or "0"
    if len(digits) > LONGEST_COUNT:
        raise TypedValueError(f"with at most {LONGEST_COUNT} digits")
    return int(digits)


@lru_cache(maxsize=4096)
def _days_in(text: str) -> Mapping[str, date]:
    clocked = CLOCK.fullmatch(text)
    text = clocked[1] if clocked else text
    digits = IN_DIGITS.fullmatch(text)
    if digits is None:
        day = _named(text) if any(map(str.isalpha, text)) else _iso(text)
        return dict.fromkeys(DayOrder, day) if day else {}
    first, sign, last = digits.groups()
    text = text.replace(" ", "")
    if len(first) == 4:
        day = _by(f"%Y{sign}%m{sign}%d", text)
        return dict.fromkeys(DayOrder, day) if day else {}
    year = _form_of_year(last)
    forms = {order: form.format(sign, year) for order, form in ORDERS.items()}
    forms[DayOrder.DOTS_DAY_FIRST] = forms[
        DayOrder.DAY_FIRST if sign == "." else DayOrder.MONTH_FIRST
    ]
    if sign == "-" and year == "%y":
        forms[DayOrder.YEAR_FIRST] = SHORT_YEAR_FIRST
    return {order: day for order, form in forms.items() if (day := _by(form, text))}


def days_in(text: str) -> Mapping[str, date]:
    """Return each possible day by the order of its parts, none if unreadable.

    A time of day after the date is ignored. Missing parts aren't guessed.
    """
    is_short = len(text) <= LONGEST_DAY
    return _days_in(text) if is_short and all(map(str.isascii, filter(str.isdigit, text))) else {}


def _iso(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _named(text: str) -> date | None:
    """Parse a day whose month is written in letters, with any separators."""
    parts = [part for part in BETWEEN.split(ORDINAL.sub("", text.lower())) if part]
    if parts and parts[0] in WEEKDAYS:
        del parts[0]
    words = [MONTHS.get(part, part) for part in parts if part not in FILLING]
    if len(words) != 3:
        return _iso(text)
    is_day_first = words[0].isdigit()
    month = "%B" if len(words[is_day_first]) > 3 else "%b"
    form = f"%d {month}" if is_day_first else f"{month} %d"
    return _by(f"{form} {_form_of_year(words[2])}", " ".join(words)) or _iso(text)


def _form_of_year(year: str) -> str:
    return "%Y" if len(year) == 4 else "%y"


def _by(form: str, text: str) -> date | None:
    """Parse a day in exactly this format.

    Callers try few formats because the standard library caches only five.
    """
    try:
        day = datetime.strptime(text, form).date()  # noqa: DTZ007 - a day has no zone
    except ValueError:
        return None
    last = LAST_YEAR_OF_TWO_DIGITS
    return day.replace(year=last) if "%y" in form and day.year == last - 100 else day


def read_day(text: str, order: str = "") -> date:
    """Parse a date: ISO 8601, 3.5.2026, 5/29/2026, 29 May 2026, or May 29, 2026.

    `order`: of the parts, if known. Otherwise, a date with dots has its day first, and other dates
    must be unambiguous. Raises `TypedValueError`.
    """
    readings = days_in(text)
    day = _said(readings, order or (DayOrder.DAY_FIRST if "." in text else ""))
    if day is None:
        raise _no_day(text, readings)
    return day


def _no_amount(text: str, found: Mapping[str, Decimal]) -> TypedValueError:
    example = "such as 1,250.00"
    if found:
        one, other = sorted(found.values(), reverse=True)
        called = "point" if "." in text else "comma"
        return TypedValueError(
            f"as {one:.2f} or {other:.2f}", f"The {called} can separate thousands or decimals"
        )
    if BELOW_ZERO.fullmatch(text):
        return TypedValueError("as 0 or more")
    if TOO_LONG.fullmatch(text) and len(text) > LARGEST:
        return TypedValueError(f"with at most {LARGEST} digits before the decimals")
    return TypedValueError(f"in digits, {example}")


def impossible_day(text: str) -> str:
    """Return a day that doesn't exist, "February 31, 2026", empty for any other text."""
    parts = DOTTED.fullmatch(text) or ISO.fullmatch(text) or NO_YEAR.fullmatch(text)
    if parts is None:
        return ""
    numbers = parts.groupdict()
    year, month, day = int(numbers.get("year", 2000)), int(numbers["month"]), int(numbers["day"])
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
    return f"{month_name[month]} {day}" + (f", {year}" if "year" in numbers else "")


def _no_day(text: str, found: Mapping[str, date]) -> TypedValueError:
    if found:
        days = " or ".join(sorted({day.isoformat() for day in found.values()}))
        return TypedValueError(f"as {days}", "The month or the day can come first")
    if missing := impossible_day(_dotted(text)):
        return TypedValueError("as a date that exists", f"There is no {missing}")
    if NO_YEAR.fullmatch(text):
        return TypedValueError("with its year, such as 03.05.2026")
    example = "such as 2026-05-03"
    if SERIAL.fullmatch(text):
        why = "The spreadsheet has a number here. Format the cell as a date"
        return TypedValueError(f"as year, month, and day, {example}", why)
    return TypedValueError(f"as year, month, and day, {example}")


def _dotted(text: str) -> str:
    """Return a date with slashes in ISO order. A first number above 12 is the day."""
    if "/" not in text or not IN_DIGITS.fullmatch(text):
        return text
    first, second, year = text.split("/")
    day, month = (first, second) if int(first) > 12 else (second, first)
    return f"{int(year):04}-{int(month):02}-{int(day):02}"


def add_months(day: date, months: int) -> date:
    """Return the same day `months` later, or the month's last day if it has no such day.

    Raises ValueError beyond the last year of a date.
    """
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    if year > MAXYEAR:
        raise ValueError(f"{months} months after {day}, there’s no date")
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def last_day(first: date, months: int) -> date:
    """Return the last day of a period of `months` that starts on `first`.

    This is the day before the same day of a later month, or that month's last day if it has no such
    day. Raises ValueError as `add_months` does.
    """
    after = add_months(first, months)
    return after if after.day < first.day else after - timedelta(days=1)


LONGEST: Final = 254  # RFC 5321, 4.5.3.1.3, as corrected by erratum 1690
# Only an email can prove that an address is real, and names inside a company's network count too.
# Characters that separate or quote addresses in an email's header would split an address in two. A
# part can't start or end with a dot or contain two dots in a row.
ATOM: Final = r"[^@.\s\x00-\x1f\x7f,;:<>()\[\]\"\\]+"
PART: Final = rf"{ATOM}(?:\.{ATOM})*"
# An encoded word ("=?utf-8?q?…?=") would be decoded into another address (RFC 2047).
SHAPE: Final = re.compile(rf"(?!.*=\?){PART}@{PART}")


def tidy_email(text: str) -> str:
    """Return the address as stored and looked up, in lowercase without spaces around it."""
    return text.strip().lower()


def is_email(text: str) -> bool:
    """Return whether the text looks like an email address."""
    return len(text) <= LONGEST and SHAPE.fullmatch(text) is not None
