"""Amounts of money: every usual way to write one, and nothing that may mean two."""

from decimal import Decimal

import pytest

from portal.lib.amounts import read_amount


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1250", "1250"),
        ("1250.5", "1250.50"),
        ("1250,50", "1250.50"),
        ("12.", "12"),
        ("1.250,00", "1250"),
        ("1,250.00", "1250"),
        ("12.345.678,9", "12345678.90"),
        ("1 250", "1250"),
        ("1\u202f250,5", "1250.50"),
        ("1'250.00", "1250"),
        ("123456789012", "123456789012"),
    ],
)
def test_it_reads_what_people_write(text: str, amount: str) -> None:
    assert read_amount(text) == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    ["", "a lot", "1.250", "1,250", "1.250.00", "12.505", "-1", "1 25", "EUR 5", "٣", "1" * 13],
)
def test_it_refuses_what_is_no_amount_or_may_be_two(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_amount(text)
