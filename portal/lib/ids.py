"""Public ids: what stands in addresses and headers in the place of row ids."""

import uuid
from typing import Final

import uuid_utils.compat

DIGITS: Final = 32
SHORTEST_BEGINNING: Final = 8


def public_id() -> uuid.UUID:
    """Return a new UUID version 7 (RFC 9562), unguessable in its 62 random bits.

    Time-ordered, so that new rows meet at one end of the log's indexes instead of all over them.
    """
    return uuid_utils.compat.uuid7()


def ids_beginning(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the first and the last id that can begin so; None for what is no beginning of one.

    Eight digits or more, with the hyphens of an id or without any. They are the time to a minute.
    """
    digits = text.replace("-", "").lower()
    if not (SHORTEST_BEGINNING <= len(digits) <= DIGITS and set(digits) <= set("0123456789abcdef")):
        return None
    first, last = (uuid.UUID(digits.ljust(DIGITS, end)) for end in "0f")
    is_cut_off_id = text.lower() in (str(first)[: len(text)], digits)
    return (first, last) if is_cut_off_id else None
