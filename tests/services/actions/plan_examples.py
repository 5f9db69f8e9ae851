"""Shared helpers for reservation and maintenance tests: times, event bodies, rows."""

import json
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import select

from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.models.assets import Asset
from portal.models.deliveries import Event
from portal.models.planning import Maintenance, Reservation
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues
from portal.services.core.permissions import SYSTEM, Actor
from portal.services.core.unit_of_work import session, writing


@cache
def tomorrow() -> datetime:
    """Return one fixed full hour tomorrow, so that adjacent intervals meet exactly."""
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(days=1)


def at(hours: float) -> datetime:
    """Return the time this many hours after tomorrow()."""
    return tomorrow() + timedelta(hours=hours)


def wish(
    staff_id: int | None, start: float = 0, end: float = 8, **others: Any
) -> ReservationValues:
    """Build a reservation request. `start` and `end` are hours after tomorrow()."""
    return ReservationValues(staff_id=staff_id, starts_at=at(start), ends_at=at(end), **others)


def make_reservation(
    asset_id: int, staff_id: int, start: float = 0, end: float = 8, *, approved: bool = False
) -> UUID:
    """Create a reservation through the services and return its public id."""
    public_id = planning_reservations.reserve(SYSTEM, asset_id, wish(staff_id, start, end))
    if approved:
        planning_reservations.approve(SYSTEM, public_id)
    return public_id


def make_maintenance(
    asset_id: int, *, by: Actor = SYSTEM, started: bool = False, **values: Any
) -> UUID:
    """Schedule maintenance through the services and return its public id."""
    known: dict[str, Any] = {"title": "Battery check", "due_on": date(2030, 5, 3)}
    public_id = planning_maintenance.schedule(by, asset_id, PlanValues(**known | values))
    if started:
        planning_maintenance.start(by, public_id)
    return public_id


def put_in(asset_id: int, status: str, **columns: Any) -> None:
    """Set the asset's status and columns directly, without an action."""
    with writing() as current:
        asset = current.get_one(Asset, asset_id)
        for name, value in {"status": status, **columns}.items():
            setattr(asset, name, value)


def reservation(public_id: UUID) -> Reservation:
    """Reload the row by its public id."""
    session().rollback()
    return session().scalars(select(Reservation).where(Reservation.public_id == public_id)).one()


def maintenance(public_id: UUID) -> Maintenance:
    """Reload the row by its public id."""
    session().rollback()
    return session().scalars(select(Maintenance).where(Maintenance.public_id == public_id)).one()


def status_of(asset_id: int) -> str:
    """Reload the asset's status."""
    session().rollback()
    return session().scalars(select(Asset.status).where(Asset.id == asset_id)).one()


def told() -> list[str]:
    """Return the names of all events except asset.created."""
    session().rollback()
    names = session().scalars(select(Event.event).order_by(Event.id)).all()
    return [name for name in names if name != "asset.created"]


def bodies() -> list[dict[str, Any]]:
    """Return the bodies of all events, oldest first."""
    session().rollback()
    return [json.loads(body) for body in session().scalars(select(Event.body).order_by(Event.id))]


def last_body() -> dict[str, Any]:
    """Return the body of the latest event."""
    session().rollback()
    latest = session().scalars(select(Event.body).order_by(Event.id.desc()).limit(1)).one()
    body: dict[str, Any] = json.loads(latest)
    return body


def keys_of(event: EventName) -> list[str]:
    """Return the keys of the event's data in the order of the catalog."""
    return list(json.loads(sample_body(event))["data"])
