"""In which orders people may have the register's list."""

from collections.abc import Mapping
from typing import Final

from portal.services.assets.pages import AssetOrder

# The headings that sort, and whether theirs falls when it is pressed first.
FALLS: Final[Mapping[str, bool]] = {
    AssetOrder.NAME: False,
    AssetOrder.TAG: False,
    AssetOrder.STATUS: True,
    AssetOrder.HOLDER: False,
    AssetOrder.CATEGORY: False,
    AssetOrder.LOCATION: False,
    AssetOrder.SERIAL: False,
    AssetOrder.CHANGED: True,
}
ORDERS: Final = (
    ("", "Newest first"),
    ("name", "Name, A to Z"),
    ("-name", "Name, Z to A"),
    ("tag", "Tag, A to Z"),
    ("-tag", "Tag, Z to A"),
    ("-status", "Needs attention first"),
    ("status", "Needs attention last"),
    ("holder", "Who has it, A to Z"),
    ("-holder", "Who has it, Z to A"),
    ("category", "Category, A to Z"),
    ("-category", "Category, Z to A"),
    ("location", "Location, A to Z"),
    ("-location", "Location, Z to A"),
    ("serial", "Serial number, A to Z"),
    ("-serial", "Serial number, Z to A"),
    ("-changed", "Last changed first"),
    ("changed", "Longest unchanged first"),
)
