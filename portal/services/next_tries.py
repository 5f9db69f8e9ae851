"""When a delivery is tried next by itself, in the terms of `dispatch`: due, and not left alone."""

from datetime import datetime

from portal.models.deliveries import Priority


def paused_until(
    priority: int, *, in_order: bool, not_before: datetime | None, now: datetime
) -> datetime | None:
    """Until when it waits because its webhook's receiver is in trouble; None where it does not.

    A test and a person's own Retry wait for nobody, and in order the oldest goes when it is due.
    """
    waits = priority == Priority.BULK or (priority == Priority.NORMAL and not in_order)
    return not_before if waits and not_before is not None and not_before > now else None


def next_try_at(due_at: datetime, paused: datetime | None) -> datetime:
    """The earliest moment at which it can go. `paused`: what `paused_until` said."""
    return max(due_at, paused) if paused else due_at
