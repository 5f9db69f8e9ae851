"""Times inside a service's sentences: in the zone of whoever reads them."""

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.people import User
from portal.services.permissions import Actor


def zone_of(current: Session, actor: Actor) -> ZoneInfo:
    """The actor's own time zone, or the portal's."""
    user = current.get(User, actor.user_id) if actor.user_id is not None else None
    try:
        return ZoneInfo(user.time_zone) if user and user.time_zone else settings().timezone
    except (ZoneInfoNotFoundError, ValueError):  # a zone that newer data no longer knows
        return settings().timezone


def told(at: datetime, zone: ZoneInfo) -> str:
    """A time for a sentence: "3 May 09:00", with the year where it is not this one."""
    local, this_year = at.astimezone(zone), utcnow().astimezone(zone).year
    year = "" if local.year == this_year else f" {local.year}"
    return f"{local.day} {local:%B}{year} {local:%H:%M}"


def today() -> date:
    """The day it is in the portal's own time zone: what is due and late is judged by it."""
    return utcnow().astimezone(settings().timezone).date()
