"""The maximum of each value is accepted, and one more is refused with a sentence."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import pytest

from portal.lib.dates import FIRST_DAY, LAST_DAY
from portal.services.assets.fields import AssetValues, Fault, faults
from portal.web.actions.planning_pages import read_days
from portal.web.forms.parsing import number_or_none, read_begin, read_months, row_id

pytestmark = pytest.mark.both_databases

DEAREST: Final = Decimal("9999999999.99")
A_CENT: Final = Decimal("0.01")


def said(found: Sequence[Fault]) -> list[tuple[str, str]]:
    return [(fault.field, fault.sentence) for fault in found]


def asset(**values: Any) -> list[tuple[str, str]]:
    return said(faults(AssetValues(**{"name": "Toner"} | values)))


def test_the_purchase_cost_is_limited_by_its_column() -> None:
    sentence = "Enter a purchase cost from 0 to 9,999,999,999.99"
    assert asset(purchase_cost=DEAREST) == []
    assert asset(purchase_cost=DEAREST + A_CENT) == [("purchase_cost", sentence)]


def test_numbers_in_forms_and_addresses_are_limited_by_columns() -> None:
    assert [row_id(str(each)) for each in (1, 2**31 - 1, 2**31)] == [1, 2**31 - 1, 0]
    assert [number_or_none("9" * length) for length in (9, 10)] == [999_999_999, None]
    for read, most in ((read_months, 600), (read_days, 3650)):
        assert (read("1"), read(str(most))) == (1, most)
        for text in ("0", str(most + 1), f"0{most}", "", "-1", "1.5", "²"):
            with pytest.raises(ValueError, match=f"from 1 to {most:,}"):
                read(text)


def test_days_can_be_searched_that_every_time_zone_can_show(app: object) -> None:
    for inside, outside in ((FIRST_DAY, "1899-12-31"), (LAST_DAY, "2201-01-01")):
        assert read_begin(f"{inside}"), inside
        with pytest.raises(ValueError, match="as a day from 1900-01-01 to 2200-12-31"):
            read_begin(outside)
