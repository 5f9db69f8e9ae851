"""Find the events that an unknown name probably means."""

import re
from difflib import get_close_matches
from typing import Final

from portal.engine.events.catalogue import CATALOGUE, EventName

MOST: Final = 3
LONGEST: Final = 60  # characters of a name
_WORD: Final = re.compile(r"[a-z]+")
# Parts of most names, which tell no events apart.
_EVERYWHERE: Final = frozenset({"asset", "assets", "alert", "alerts", "event", "item", "device"})
# Words of other programs, as they are written in names.
_SPELLINGS: Final = {
    EventName.CREATED: "create add added new insert inserted imported registered",
    EventName.UPDATED: "update change changed edit edited modified",
    EventName.DELETED: "delete remove removed destroyed archived",
    EventName.ALLOCATED: "allocate allocation assign assigned assignment given deployed issued",
    EventName.REVOKED: "revoke unassign unassigned deallocated unallocated released returned",
    EventName.CHECKED_OUT: "checkout lend lent loan loaned borrowed assign assigned assignment "
    "issued",
    EventName.CHECKED_IN: "checkin return returned",
    EventName.RESERVED: "reserve reservation booked booking requested",
    EventName.RESERVATION_APPROVED: "approve approved accepted confirmed",
    EventName.RESERVATION_REJECTED: "reject rejected denied declined refused",
    EventName.MAINTENANCE_SCHEDULED: "maintenance planned scheduled service",
    EventName.MAINTENANCE_COMPLETED: "maintenance completed done finished serviced maintained",
    EventName.TRANSFERRED: "transfer move moved relocated location",
    EventName.LOST: "lose loss missing stolen theft",
    EventName.BROKEN: "broke damage damaged defect defective incident failed",
    EventName.WARRANTY: "repair rma claim",
    EventName.LIQUIDATED: "liquidate disposed disposal retired sold scrapped decommissioned "
    "archived",
    EventName.WARRANTY_EXPIRING: "warranty expire expired expires expiring expiry",
    EventName.MAINTENANCE_DUE: "maintenance due upcoming",
    EventName.CHECKOUT_OVERDUE: "overdue late",
    EventName.LOW_STOCK: "low stock reorder threshold inventory",
}


def unknown_event(name: str) -> str:
    """Return a sentence that refuses this name and proposes events."""
    near = likely_events(name[:LONGEST])
    refused = f"There’s no event “{name[:LONGEST]}”."
    if not near:
        return f"{refused} See /event-types"
    *others, last = (f"“{each}”" for each in near)
    before = f"{', '.join(others)} or " if others else ""
    return f"{refused} Did you mean {before}{last}?"


def likely_events(name: str) -> list[EventName]:
    """Return at most `MOST` events, by their words in this or other programs, else by spelling."""
    words = [word for word in _WORD.findall(name.lower()) if word not in _EVERYWHERE]
    found = _spelled("".join(words)) or [event for word in words for event in _spelled(word)]
    if not found:
        close = get_close_matches(name.lower(), list(EventName), 1)
        close = close or get_close_matches("".join(words), list(_BY_SPELLING), 1)
        found = [event for each in close for event in _spelled(_joined(each))]
    return list(dict.fromkeys(found))[:MOST]


def _joined(name: str) -> str:
    return "".join(word for word in _WORD.findall(name) if word not in _EVERYWHERE)


def _spelled(word: str) -> list[EventName]:
    return _BY_SPELLING.get(word, [])


def _by_spelling() -> dict[str, list[EventName]]:
    found: dict[str, list[EventName]] = {}
    for each in CATALOGUE:
        own = (_joined(each.value), _joined(each.name.lower()))
        for word in dict.fromkeys((*own, *_SPELLINGS[each.value].split())):
            found.setdefault(word, []).append(each.value)
    return found


_BY_SPELLING: Final = _by_spelling()
