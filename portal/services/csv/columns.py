"""The columns of the register's CSV, the same for export and import."""

from typing import Final

# In the order of the file; an import knows these, in any order.
COLUMNS: Final = (
    "asset_tag",
    "name",
    "kind",
    "category",
    "manufacturer",
    "model",
    "serial_number",
    "location",
    "supplier",
    "order_number",
    "purchase_date",
    "purchase_cost",
    "warranty_expires",
    "condition",
    "reservable",
    "quantity",
    "min_quantity",
    "unit",
    "notes",
    "assigned_to_email",
)
# What only actions change.
MOVED: Final = ("status", "assigned_to", "due_at")
# What an export says besides. An import leaves these alone.
READ_ONLY: Final = (*MOVED, "id", "created_at", "updated_at")
# What the file of failed rows says besides.
PROBLEM: Final = "problem"
