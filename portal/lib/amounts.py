"""Amounts of money as people and spreadsheets write them."""

import re
from decimal import Decimal
from typing import Final

LARGEST: Final = 12  # digits before the decimals
PLAIN: Final = r"\d{1,12}(?:[.,]\d{0,2})?"
# Groups of three: with points only before a decimal comma, and the other way round, since 1.250
# alone may be either.
GROUPED: Final = (
    r"\d{1,3}(?:\.\d{3})+,\d{1,2}"
    r"|\d{1,3}(?:,\d{3})+\.\d{1,2}"
    r"|\d{1,3}(?:[ '\u00a0\u202f]\d{3})+(?:[.,]\d{1,2})?"
)
AMOUNT: Final = re.compile(f"{PLAIN}|{GROUPED}", re.ASCII)


def read_amount(text: str) -> Decimal:
    """The amount: 1250.00, 1250,00, 1,250.00, 1.250,00 or 1 250. Raises ValueError."""
    if not AMOUNT.fullmatch(text):
        raise ValueError(text)
    whole, _, cents = re.sub(r"[.,](?=\d{0,2}$)", "|", text).partition("|")
    digits = re.sub(r"\D", "", whole)
    if len(digits) > LARGEST:
        raise ValueError(text)
    return Decimal(f"{digits}.{cents or '0'}")
