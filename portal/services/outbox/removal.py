"""Deliveries that are no longer kept go with all that belongs to them."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from portal.models.deliveries import Attempt, AttemptBody, Delivery, Lease


def remove_deliveries(current: Session, ids: Collection[int] | Select[*tuple[Any, ...]]) -> None:
    """Remove these, by their row ids: nothing else removes what attempts have left.

    The caller has locked them, or their webhooks, so that no attempt is stored meanwhile.
    """
    theirs = Attempt.delivery_id.in_(ids)
    current.execute(delete(Lease).where(Lease.delivery_id.in_(ids)))
    bodies = AttemptBody.attempt_id.in_(select(Attempt.id).where(theirs))
    current.execute(delete(AttemptBody).where(bodies))
    current.execute(delete(Attempt).where(theirs))
    current.execute(delete(Delivery).where(Delivery.id.in_(ids)))
