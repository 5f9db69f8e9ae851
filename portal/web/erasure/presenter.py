"""An erasure in words: what changes, in numbers."""

from collections.abc import Mapping
from typing import Final

from portal.services.erasure.preview import MOST_READ, Mention
from portal.web.frame.wording import number, plural

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


def places_in_words(found: Mention) -> str:
    """ "3 places, for example “the battery burns” (line of a timeline)" """
    whose = "Somebody else has this name. " if found.is_shared else ""
    if not found.places:
        none = f"none of the first {number(MOST_READ)} texts" if found.is_more else "no text"
        return f"{whose}In {none}"
    many = f"{'At least ' if found.is_more else ''}{plural(found.places, 'place')}"
    return f"{whose}{many}, for example “{found.example}” ({ROWS[found.table][0]})"
