"""Amounts of data in words."""

from typing import Final

UNITS: Final = ("bytes", "KB", "MB", "GB", "TB")


def size_in_words(count: int) -> str:
    """How much that is: "912 bytes", "4.2 MB", "118 GB" (a KB is 1024 bytes)."""
    value, unit = float(max(0, count)), 0
    while value >= 1023.5 and unit < len(UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 1 if unit and value < 9.95 else 0
    return f"{value:.{digits}f} {UNITS[unit]}"
