"""The time zone for times in a service's sentences, and the current day."""

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import common_now
from portal.lib.dates import time_words
from portal.models.people import User
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal


def zone_of(current: Session, actor: Actor) -> ZoneInfo:
    """Return the actor's own time zone, or the portal's."""
    user = current.get(User, actor.user_id) if actor.user_id is not None else None
    try:
        return ZoneInfo(user.time_zone) if user and user.time_zone else settings().timezone
    except (ZoneInfoNotFoundError, ValueError):  # a zone that newer data no longer knows
        return settings().timezone


def today() -> date:
    """Return the current day in the portal's own time zone, by which due and late are judged."""
    return common_now().astimezone(settings().timezone).date()


def moment_words(at: datetime, zone: ZoneInfo, now: datetime | None = None) -> str:
    """Return a time in `zone` with its day, such as "May 3, 09:00"."""
    return time_words(at.astimezone(zone), (now or common_now()).astimezone(zone), dated=True)


def refuse_unknown_zone(name: str | None) -> None:
    """Refuse an unknown time zone, at its field. None is the portal's own."""
    if name is not None and name not in available_timezones():
        raise Refusal("Choose a time zone from the list", field="time_zone")
