"""Limits of asset values, and how months and warranties are counted."""

from datetime import date
from decimal import Decimal
from typing import Any

from portal.lib.typed_values import add_months, last_day
from portal.services.assets.fields import AssetValues, faults


def wrong(**values: Any) -> list[str]:
    """Return the names of the fields with a fault."""
    return [fault.field for fault in faults(AssetValues(**{"name": "Lamp"} | values))]


def test_valid_values_have_no_fault() -> None:
    for values in (
        {},
        {"asset_tag": "AST-00001"},
        {"asset_tag": "a.B_c/d-9" + "x" * 31},
        {"name": "x" * 120, "notes": "n" * 10_000},
        {"purchase_cost": Decimal("0")},
        {"purchase_cost": Decimal("9999999999.99")},
        {"purchase_date": date(2026, 1, 1), "warranty_expires": date(2026, 1, 1)},
        {"purchase_date": date(1900, 1, 1), "warranty_expires": date(2200, 12, 31)},
    ):
        assert wrong(**values) == [], values


def test_an_invalid_value_names_its_field() -> None:
    for values, field in (
        ({"name": ""}, "name"),
        ({"name": "x" * 121}, "name"),
        ({"asset_tag": "with space"}, "asset_tag"),
        ({"asset_tag": "Tür-1"}, "asset_tag"),
        ({"asset_tag": "AST-1\n"}, "asset_tag"),
        ({"asset_tag": "x" * 41}, "asset_tag"),
        ({"serial_number": "x" * 121}, "serial_number"),
        ({"notes": "n" * 10_001}, "notes"),
        ({"condition": "new"}, "condition"),
        ({"purchase_cost": Decimal("-0.01")}, "purchase_cost"),
        ({"purchase_cost": Decimal("10000000000")}, "purchase_cost"),
        ({"purchase_cost": Decimal("1.001")}, "purchase_cost"),
        ({"purchase_cost": Decimal("NaN")}, "purchase_cost"),
        ({"purchase_date": date(206, 1, 1)}, "purchase_date"),
        ({"purchase_date": date(1899, 12, 31)}, "purchase_date"),
        ({"warranty_expires": date(2201, 1, 1)}, "warranty_expires"),
        ({"warranty_expires": date(9999, 1, 1)}, "warranty_expires"),
        (
            {"purchase_date": date(2026, 1, 2), "warranty_expires": date(2026, 1, 1)},
            "warranty_expires",
        ),
    ):
        assert wrong(**values) == [field], values


def test_added_months_end_on_the_same_day_or_the_last_one() -> None:
    for start, months, end in (
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2024, 1, 31), 1, date(2024, 2, 29)),
        (date(2026, 12, 15), 1, date(2027, 1, 15)),
        (date(2026, 3, 15), 24, date(2028, 3, 15)),
    ):
        assert add_months(start, months) == end, start


def test_a_warranty_ends_the_day_before_the_same_day_of_the_month() -> None:
    for first, months, last in (
        (date(2026, 3, 1), 36, date(2029, 2, 28)),
        (date(2025, 3, 1), 36, date(2028, 2, 29)),
        (date(2026, 3, 15), 24, date(2028, 3, 14)),
        (date(2026, 1, 1), 12, date(2026, 12, 31)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),  # February has no 31st
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2026, 1, 28), 1, date(2026, 2, 27)),
    ):
        assert last_day(first, months) == last, first
