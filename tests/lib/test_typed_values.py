"""Dates and numbers as people type them, and precise errors for bad ones."""

import re
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.lib.typed_text import tidy
from portal.lib.typed_values import (
    OtherCurrencyError,
    TypedValueError,
    is_email,
    read_amount,
    read_count,
    read_day,
    without_currency,
)

EXISTS = "as a date that exists"


DAY = "as year, month, and day, such as 2026-05-03"


YEAR = "with its year, such as 03.05.2026"


EITHER = "The point can separate thousands or decimals"


def test_a_day_is_read_in_many_formats() -> None:
    for text in (
        *("2026-05-03", "2026/5/3", "20260503", "2026-W18-7", "03.05.2026", "3.5.2026", "3. 5. 26"),
        *("3 May 2026", "May 3, 2026", "Sun, 3rd May 2026", "3-May-26"),
        *("3. Mai 2026", "3 de mayo de 2026", "3 mai 2026", "3rd of May, 2026"),
        *("Sunday, May 3rd, 2026", "3. MAY 2026", "2026-05-03 10:30", "3.5.26, 10:30 PM"),
    ):
        assert read_day(text) == date(2026, 5, 3), text


def test_two_digit_years_end_in_2069() -> None:
    for text, year in (("13.1.00", 2000), ("13.1.69", 2069), ("13.1.70", 1970), ("13.1.99", 1999)):
        assert read_day(text) == date(year, 1, 13), text


def test_an_ambiguous_day_is_read_in_the_given_order() -> None:
    for text, order, day in (
        ("3/4/2026", "day_first", date(2026, 4, 3)),
        ("3/4/2026", "month_first", date(2026, 3, 4)),
        ("3.4.2026", "month_first", date(2026, 3, 4)),
        ("3.4.2026", "", date(2026, 4, 3)),
        ("03-04-26", "year_first", date(2003, 4, 26)),
        ("13/4/2026", "month_first", date(2026, 4, 13)),
        ("2026-04-03", "month_first", date(2026, 4, 3)),
    ):
        assert read_day(text, order) == day, (text, order)


def test_a_day_with_slashes_is_read_if_unambiguous() -> None:
    for text, day in (
        ("3/15/2024", date(2024, 3, 15)),
        ("15/03/2024", date(2024, 3, 15)),
        ("05/05/2024", date(2024, 5, 5)),
    ):
        assert read_day(text) == day, text


def test_leap_days_are_read() -> None:
    for text in ("29.02.2024", "2024-02-29"):
        assert read_day(text) == date(2024, 2, 29), text


WRONG: Final[list[tuple[Callable[[str], Any], str, str, str]]] = [
    (read_day, "31.02.2026", EXISTS, "There is no February 31, 2026"),
    (read_day, "2026-02-31", EXISTS, "There is no February 31, 2026"),
    (read_day, "20260431", EXISTS, "There is no April 31, 2026"),
    (read_day, "29.2.2026", EXISTS, "There is no February 29, 2026"),
    (read_day, "2026-04-00", EXISTS, "There is no April 0, 2026"),
    (read_day, "13.13.2026", EXISTS, "There is no month 13, as the day comes first"),
    (read_day, "2026-13-05", EXISTS, "There is no month 13"),
    (read_day, "00.00.0000", EXISTS, "There is no month 0, as the day comes first"),
    (read_day, "01.01.0000", EXISTS, "There is no year 0"),
    (read_day, "31.02.", EXISTS, "There is no February 31"),
    (read_day, "30.2", EXISTS, "There is no February 30"),
    (read_day, "29.02.", YEAR, ""),
    (read_day, "24.12.", YEAR, ""),
    (read_day, "yesterday", DAY, ""),
    (read_day, "03/05/2026", "as 2026-03-05 or 2026-05-03", "The month or the day can come first"),
    (read_day, "2/31/2026", EXISTS, "There is no February 31, 2026"),
    (read_day, "13/13/2026", EXISTS, "There is no month 13"),
    (read_day, "3/15/124", DAY, ""),
    (read_day, "29-05-23", "as 2023-05-29 or 2029-05-23", "The month or the day can come first"),
    (read_day, "10", DAY, ""),
    (read_day, "May 2026", DAY, ""),
    (read_day, "5/2026", DAY, ""),
    (read_day, "2026-05-03T10:00Z", DAY, ""),
    (read_day, "45275", DAY, "The spreadsheet has a number here. Format the cell as a date"),
    (read_day, "٣١.٠٢.٢٠٢٦", DAY, ""),
    (read_amount, "1.250", "as 1250.00 or 1.25", EITHER),
    (read_amount, "12.500", "as 12500.00 or 12.50", EITHER),
    (read_amount, "1.000", "as 1000.00 or 1.00", EITHER),
    (read_amount, "1.399", "as 1399.00 or 1.40", EITHER),
    (read_amount, "1250.125", "with at most 2 decimals, such as 1,250.00", ""),
    (read_amount, "0.255", "with at most 2 decimals, such as 1,250.00", ""),
    (read_amount, "0,255", "with at most 2 decimals, such as 1,250.00", ""),
    (read_amount, "(12)", "as 0 or more", ""),
    (read_amount, "1250,125", "with at most 2 decimals, such as 1,250.00", ""),
    (read_amount, "0,12345", "with at most 2 decimals, such as 1,250.00", ""),
    (read_amount, "-12.50", "as 0 or more", ""),
    (read_amount, "1" * 13, "with at most 12 digits before the decimals", ""),
    (read_amount, "a lot", "in digits, such as 1,250.00", ""),
    (read_amount, "", "in digits, such as 1,250.00", ""),
    (read_amount, "1 25", "in digits, such as 1,250.00", ""),
    (read_amount, "EUR 5", "in digits, such as 1,250.00", ""),
    (read_amount, "٣", "in digits, such as 1,250.00", ""),
    (read_amount, "1.250.00", "in digits, such as 1,250.00", ""),
    (read_count, "many", "in digits, such as 25", ""),
    (read_count, "2.5", "as a whole number, such as 25", ""),
    (read_count, "1.000", "as a whole number, such as 25", ""),
    (read_count, "-3", "as 0 or more", ""),
    (read_count, "1" * 11, "with at most 10 digits", ""),
    (read_count, "1" * 5000, "with at most 10 digits", ""),
]


def test_each_bad_value_gets_a_precise_error() -> None:
    for read, text, expected, why in WRONG:
        with pytest.raises(TypedValueError) as raised:
            read(text)
        assert (raised.value.expected, raised.value.why) == (expected, why)
        assert str(raised.value) == (f"{expected}. {why}" if why else expected)


def test_a_count_can_begin_with_zeros() -> None:
    assert read_count("000000000025") == 25


AMOUNTS: Final[list[tuple[str, str]]] = [
    ("1250", "1250"),
    ("1250.5", "1250.50"),
    ("1250,50", "1250.50"),
    ("12.", "12"),
    ("1.250,00", "1250"),
    ("1,250.00", "1250"),
    ("1,250", "1250"),
    ("12,345,678", "12345678"),
    ("12.345.678", "12345678"),
    ("12.345.678,9", "12345678.90"),
    ("1 250", "1250"),
    ("1\u202f250,5", "1250.50"),
    ("1'250.00", "1250"),
    ("1’250.-", "1250"),
    ("200,-", "200"),
    ("200,--", "200"),
    ("0.250", "0.25"),
    ("123456789012", "123456789012"),
]


def test_every_usual_amount_is_read() -> None:
    for text, amount in AMOUNTS:
        assert read_amount(text) == Decimal(amount)


def test_an_ambiguous_amount_is_read_with_the_given_decimal_sign() -> None:
    for text, sign, amount in (
        ("1.250", ",", "1250"),
        ("1.250", ".", "1.25"),
        ("1,250", ".", "1250"),
        ("1,250", ",", "1.25"),
        ("1250.5", ",", "1250.50"),
        ("1.250,5", ".", "1250.50"),
        ("250", ",", "250"),
    ):
        assert read_amount(text, sign) == Decimal(amount), (text, sign)


def test_the_registers_currency_is_stripped_from_an_amount() -> None:
    for text, currency, amount in (
        ("€ 200,00", "EUR", "200,00"),
        ("1.249,50 €", "EUR", "1.249,50"),
        ("EUR 1.249,50", "EUR", "1.249,50"),
        ("200,- euro", "EUR", "200,-"),
        ("$1,399", "AUD", "1,399"),
        ("Fr. 20", "CHF", "20"),
        ("20 CHF", "CHF", "20"),
        ("200", "EUR", "200"),
        ("200 pieces", "EUR", "200 pieces"),
        ("a lot", "EUR", "a lot"),
        ("€", "EUR", "€"),
    ):
        assert without_currency(text, currency) == amount, text


def test_another_currency_is_named() -> None:
    for text, named in (("$1,399", "$"), ("20 CHF", "CHF"), ("kr 20", "kr"), ("USD1.5", "USD")):
        with pytest.raises(OtherCurrencyError, match="in EUR") as raised:
            without_currency(text, "EUR")
        assert raised.value.why == f"The register has no amounts in {named}"


def test_invisible_characters_are_removed() -> None:
    for typed, meant in (
        ("  Projector\t\r\n", "Projector"),
        ("\ufeffPF4X9Z2K", "PF4X9Z2K"),
        ("\u200e\u202aPF4X9Z2K\u202c", "PF4X9Z2K"),
        ("https://erp.example.com/hook\u200b", "https://erp.example.com/hook"),
        ("note\u00adbook", "notebook"),
        ("Ana\u202erebu\u202crG", "AnareburG"),
        ("nothing\0 here", "nothing here"),
        ("half a \ud83d pair", "half a  pair"),
        ("\u200b \u2060\u200d\u3164\u00a0", ""),
        ("नमस्\u200dते", "नमस्\u200dते"),
        ("team 👩\u200d💻", "team 👩\u200d💻"),
        ("two  spaces\nand a line", "two  spaces\nand a line"),
        ("lines of\r\nWindows\rand old\r\u200b\nMacs", "lines of\nWindows\nand old\nMacs"),
        ("\r\r\n.", "."),
        (".\r\r\n.", ".\n\n."),
    ):
        assert tidy(typed) == meant, typed
        assert tidy(meant) == meant, typed


BLANK = r"[\s\u200c\u200d\u2800\u3164\uffa0]+"


@given(
    st.text(
        st.sampled_from("a\t\n\x1c\x85\u00a0\u200c\u200d\u2800\u3000\u3164\uffa0") | st.characters()
    )
)
def test_blanks_at_either_end_are_removed(text: str) -> None:
    whole = tidy(f"a{text}a")[1:-1]
    assert tidy(text) == re.sub(rf"\A{BLANK}|{BLANK}\Z", "", whole)


def test_valid_email_addresses_are_accepted() -> None:
    for text in ("ana@example.com", "o'neil+it@pc-17", "josé@müller.example"):
        assert is_email(text), text


def test_invalid_email_addresses_are_refused() -> None:
    for text in (
        "",
        "ana",
        "@b.c",
        "a b@c.d",
        "a@b@c",
        "a,eve@b.c",
        "a;b@c.d",
        "<a@b.c>",
        '"a@b.c',
        "a\n@b",
        # Mail can't be sent to these.
        "office@example..com",
        "office@example.com.",
        ".a@b.c",
        # Mail would be sent to another address, because these contain encoded words (RFC 2047).
        "x@=?utf-8?q?evil=2eexample=2ecom?=",
        "=?utf-8?b?yq==?=@b.c",
    ):
        assert not is_email(text), text
