"""Public ids: what stands in addresses and headers in the place of row ids."""

import uuid

import uuid_utils.compat


def public_id() -> uuid.UUID:
    """A new UUID version 7 (RFC 9562), unguessable in its 62 random bits.

    Time-ordered, so that new rows meet at one end of the log's indexes instead of all over them.
    """
    return uuid_utils.compat.uuid7()
