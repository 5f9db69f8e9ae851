"""Record heartbeats of this process in their own transaction."""

from portal.services.core import heartbeats
from portal.services.core.unit_of_work import writing


def record_own(kind: str, *notes: str) -> None:
    """Record that this process of `kind` is alive now, with its notes."""
    with writing() as current:
        heartbeats.record_own(current.connection(), kind, notes)
