"""An erasure in words: what changes, in numbers."""

from collections.abc import Mapping
from typing import Final

from portal.web.frame.wording import plural

# table → one of its rows, many of them
ROWS: Final[Mapping[str, tuple[str, str]]] = {
    "activities": ("line of a timeline", "lines of timelines"),
    "stock_moves": ("move of stock", "moves of stock"),
    "assignments": ("loan or allocation", "loans and allocations"),
    "reservations": ("reservation", "reservations"),
    "maintenances": ("maintenance job", "maintenance jobs"),
    "incidents": ("report of a loss, damage or transfer", "reports of losses, damage or transfers"),
    "alerts": ("alert", "alerts"),
    "alert_runs": ("check for alerts", "checks for alerts"),
    "deliveries": ("delivery", "deliveries"),
    "attempts": ("attempt", "attempts"),
    "tasks": ("import or bulk action", "imports and bulk actions"),
    "task_rows": ("row of an import or a bulk action", "rows of imports and bulk actions"),
    "audit_entries": ("entry of the audit trail", "entries of the audit trail"),
}


def in_words(rows: Mapping[str, int]) -> list[str]:
    """ "12 lines of timelines", "1 alert", … in the order of the table above."""
    return [plural(rows[table], *words) for table, words in ROWS.items() if rows.get(table)]
