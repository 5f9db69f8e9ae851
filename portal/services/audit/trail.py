"""The audit trail: one row in the transaction of every change. Secrets never enter it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from portal.models.audit import AuditEntry
from portal.services.core.permissions import Actor


def record(
    current: Session,
    actor: Actor,
    action: str,
    *,
    target: tuple[str, object, str],
    changes: Mapping[str, Any] | None = None,
) -> None:
    """Write who did `action` to `target` (kind, id, name). `changes`: {field: {from, to}}."""
    kind, target_id, name = target
    current.add(
        AuditEntry(
            actor_id=actor.user_id,
            actor_name=actor.name,
            origin=actor.origin,
            action=action,
            target_kind=kind,
            target_id=str(target_id),
            target_name=name,
            changes=dict(changes or {}),
        )
    )
