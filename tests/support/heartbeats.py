"""Heartbeats of this process, in a transaction of their own."""

from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing


def record_own(kind: str, *notes: str) -> None:
    """This process, one of `kind`, is alive now, and noticed that."""
    with writing() as current:
        heartbeats.record_own(current.connection(), kind, notes)
