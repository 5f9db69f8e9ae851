"""Deliveries at the end of their attempts, as they stood before it."""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, literal_column, select

from portal.models.deliveries import Delivery, Priority
from portal.services.core.rowset import as_json, given_ids

# A success changes nothing of such a delivery but its status, as of nearly all.
IS_PLAIN: Final[ColumnElement[bool]] = and_(
    Delivery.priority == literal_column(str(int(Priority.NORMAL))),
    Delivery.prior_status.is_(None),
    Delivery.requested_by.is_(None),
    Delivery.stopped_by.is_(None),
    Delivery.reason.is_(None),
)


class LeasedDelivery(NamedTuple):
    """A delivery that was being sent, which nobody else changes before we have.

    `attempts`: how many have ended before. `is_plain`: a success changes nothing of it but the
    status.
    """

    id: int
    attempts: int
    priority: int
    prior_status: str | None
    is_plain: bool


def read(connection: Connection, ids: Sequence[int]) -> dict[int, LeasedDelivery]:
    """These deliveries, by their ids. Their webhooks are locked."""
    found = connection.execute(_by_id(connection.dialect.name), {"ids": as_json(ids)})
    return {row[0]: LeasedDelivery._make(row) for row in found.all()}


@cache
def _by_id(dialect: str) -> Select[*tuple[Any, ...]]:
    """The columns of `LeasedDelivery`."""
    columns = (Delivery.id, Delivery.attempts, Delivery.priority, Delivery.prior_status)
    return select(*columns, IS_PLAIN).where(Delivery.id.in_(given_ids(dialect)))
