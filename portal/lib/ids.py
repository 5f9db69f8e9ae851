"""Public IDs, which replace row IDs in URLs and headers."""

import uuid
from typing import Final

import uuid_utils.compat

DIGITS: Final = 32
SHORTEST_BEGINNING: Final = 8


def public_id() -> uuid.UUID:
    """Return a new UUID version 7 (RFC 9562) with 62 random bits, which no one can guess.

    IDs are ordered by time, so that new rows are together at one end of the log's indexes.
    """
    return uuid_utils.compat.uuid7()


def ids_beginning(text: str) -> tuple[uuid.UUID, uuid.UUID] | None:
    """Return the first and the last ID with this prefix, or None for an invalid prefix.

    A prefix has eight digits or more, with the hyphens of an ID or without any. Eight digits are
    the time to a minute.
    """
    digits = text.replace("-", "").lower()
    if not (SHORTEST_BEGINNING <= len(digits) <= DIGITS and set(digits) <= set("0123456789abcdef")):
        return None
    first, last = (uuid.UUID(digits.ljust(DIGITS, end)) for end in "0f")
    is_cut_off_id = text.lower() in (str(first)[: len(text)], digits)
    return (first, last) if is_cut_off_id else None
