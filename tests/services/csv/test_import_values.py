"""What may stand in the cells of a row, column by column, and the sentence about what may not."""

from datetime import date
from decimal import Decimal

import pytest

from portal.services.assets.fields import AssetValues
from portal.services.core.refusals import Refusal
from portal.services.csv.import_rows import filled, kind_of, quantity_of

BEFORE = AssetValues(name="Lamp", notes="By the door", condition="fair", min_quantity=2)


def read(**cells: str) -> AssetValues:
    return filled(BEFORE, cells)


def test_a_text_is_taken_as_it_is_and_a_blank_leaves_what_was() -> None:
    for column in (
        "asset_tag",
        "name",
        "manufacturer",
        "model",
        "serial_number",
        "supplier",
        "order_number",
        "unit",
        "notes",
    ):
        assert getattr(read(**{column: "As it is"}), column) == "As it is", column
        assert read(**{column: ""}) == BEFORE, column


def test_every_way_of_writing_it_is_understood() -> None:
    for column, text, value in (
        ("purchase_date", "2026-05-03", date(2026, 5, 3)),
        ("purchase_date", "03.05.2026", date(2026, 5, 3)),
        ("warranty_expires", "3.5.2026", date(2026, 5, 3)),
        ("purchase_cost", "1.250,00", Decimal("1250.00")),
        ("condition", "Good", "good"),
        ("condition", "DAMAGED", "damaged"),
        ("reservable", "Yes", True),
        ("reservable", "y", True),
        ("reservable", "TRUE", True),
        ("reservable", "1", True),
        ("reservable", "No", False),
        ("reservable", "n", False),
        ("reservable", "false", False),
        ("reservable", "0", False),
        ("min_quantity", "0", 0),
        ("min_quantity", "1000000000", 1_000_000_000),
    ):
        assert getattr(read(**{column: text}), column) == value, column


def test_the_kind_and_how_many_there_are_count_for_new_rows_alone() -> None:
    assert read(kind="stock", quantity="9") == BEFORE
    assert (kind_of({}), kind_of({"kind": ""}), kind_of({"kind": "Stock"})) == (
        "item",
        "item",
        "stock",
    )
    assert (quantity_of({}), quantity_of({"quantity": ""})) == (None, None)
    assert quantity_of({"quantity": "012"}) == 12
    with pytest.raises(Refusal, match="Enter quantity"):
        quantity_of({"quantity": "many"})
