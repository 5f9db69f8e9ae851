"""Who changed a thing last, for a person whose form came too late."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from portal.models.records import AuditEntry
from portal.services.unit import session


@dataclass(frozen=True, slots=True)
class LastChange:
    """By whom and when."""

    by: str
    at: datetime


def last_change(kind: str, target_id: object) -> LastChange | None:
    """The youngest entry of the audit trail about this thing."""
    wanted = (
        select(AuditEntry.actor_name, AuditEntry.at)
        .where(AuditEntry.target_kind == kind, AuditEntry.target_id == str(target_id))
        .order_by(AuditEntry.id.desc())
        .limit(1)
    )
    found = session().execute(wanted).first()
    return LastChange(*found) if found else None
