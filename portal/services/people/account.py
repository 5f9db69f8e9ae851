"""What people change about their own account."""

from dataclasses import dataclass
from zoneinfo import available_timezones

from sqlalchemy.orm import Session

from portal.models.people import User
from portal.services.audit import trail
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.people import devices, one_time_links, passwords, sign_in_throttle

# Choosable zones: a region and a city. The rest of the data are older names and offsets.
REGIONS = (
    "Africa",
    "America",
    "Antarctica",
    "Arctic",
    "Asia",
    "Atlantic",
    "Australia",
    "Europe",
    "Indian",
    "Pacific",
)


@dataclass(frozen=True, slots=True)
class Details:
    """`time_zone`: None is the portal's own."""

    name: str
    time_zone: str | None


def time_zones() -> list[str]:
    """The zones that a person may choose, in order: "UTC", "Africa/Abidjan", …"""
    known = available_timezones()
    return ["UTC", *sorted(zone for zone in known if zone.partition("/")[0] in REGIONS)]


def own_details(actor: Actor) -> Details:
    """What the person's account says now."""
    user = session().get(User, actor.user_id)
    if user is None:
        raise NotAllowed("This account does not exist any more.")
    return Details(user.name, user.time_zone)


def change_details(actor: Actor, details: Details) -> bool:
    """Save name and time zone; whether anything changed."""
    if details.time_zone is not None and details.time_zone not in available_timezones():
        raise Refusal("Choose a time zone from the list.", field="time_zone")
    with writing() as current:
        user = _own(current, actor)
        before = {"name": user.name, "time_zone": user.time_zone}
        after = {"name": details.name, "time_zone": details.time_zone}
        changes = {
            key: {"from": before[key], "to": after[key]}
            for key in before
            if before[key] != after[key]
        }
        if not changes:
            return False
        user.name, user.time_zone = details.name, details.time_zone
        user.version += 1
        target = ("person", user.public_id, user.name)
        trail.record(current, actor, "person.changed", target=target, changes=changes)
    return True


def change_password(actor: Actor, old: str, new: str) -> User:
    """Save a new password, end every session that was opened with the old one, and know no
    browser any more.

    Guesses at the old one are throttled. Returns the user, to go on with in this session.
    """
    key = sign_in_throttle.Key(f"account:{actor.user_id}", 5)
    sign_in_throttle.check([key])
    sign_in_throttle.count([key])
    user = session().get_one(User, actor.user_id)
    stored, email = user.password_hash, user.email
    session().rollback()  # the database does not wait while we hash
    if not passwords.matches(old, stored):
        raise Refusal("This is not your current password.", field="current_password")
    sign_in_throttle.forgive(key)
    passwords.check(new, email)
    password_hash = passwords.hashed(new)
    with writing() as current:
        user = _own(current, actor)
        if user.password_hash != stored:
            raise Refusal("Your password was changed in another window. Sign in with that one.")
        user.password_hash = password_hash
        user.session_version += 1
        devices.forget_devices(current, user)
        one_time_links.forget_resets(current, email)
        target = ("person", user.public_id, user.name)
        trail.record(current, actor, "person.password_changed", target=target)
    return user


def _own(current: Session, actor: Actor) -> User:
    """The actor's row, locked for a change before `require` shares it: no deadlock with itself."""
    current.get(User, actor.user_id, with_for_update={"key_share": True})
    user = require(current, actor, "account.edit")
    if user is None:
        raise NotAllowed("The system itself has no account.")
    return user
