"""The rows behind transfers, losses, damage, claims and disposals: inside `writing()`."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.events.facts import Facts
from portal.engine.events.wire import wire_value
from portal.extensions import settings
from portal.models.assets import Asset
from portal.models.assignments import Incident, IncidentKind

# What is over when an asset is fit for use again.
TROUBLE = (IncidentKind.LOST, IncidentKind.BROKEN, IncidentKind.WARRANTY)
STANDING_KINDS = (*TROUBLE, IncidentKind.LIQUIDATION)


def open_incident(current: Session, asset: Asset, kind: IncidentKind, at: datetime) -> Incident:
    """Note that it happened; flushed, so that it has its id. Call it before the status moves."""
    incident = Incident(asset_id=asset.id, kind=kind, at=at, status_from=asset.status)
    if kind is IncidentKind.TRANSFER:
        incident.closed_at = at
    current.add(incident)
    current.flush()
    return incident


def keep_details(incident: Incident, facts: Facts) -> None:
    """Keep what its event tells, for the asset's page."""
    incident.details = wire_value(facts)


def close_incidents(current: Session, asset: Asset, *kinds: IncidentKind) -> list[Incident]:
    """What was open of these kinds is over; the latest first."""
    found = open_incidents(current, asset.id, *kinds)
    for incident in found:
        incident.closed_at = asset.updated_at
    return found


def open_incidents(current: Session, asset_id: int, *kinds: IncidentKind) -> list[Incident]:
    """What is not over yet, of these kinds; the latest first."""
    wanted = (
        select(Incident)
        .where(
            Incident.asset_id == asset_id,
            Incident.kind.in_(kinds),
            Incident.closed_at.is_(None),
        )
        .order_by(Incident.id.desc())
    )
    return list(current.scalars(wanted))


def under_warranty(asset: Asset) -> bool:
    """Whether the warranty still runs on the installation's today."""
    today = asset.updated_at.astimezone(settings().timezone).date()
    return asset.warranty_expires is not None and asset.warranty_expires >= today
