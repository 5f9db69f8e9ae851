"""What people change about their own account."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy.orm import Session

from portal.models.people import User
from portal.services import audit
from portal.services.core.permissions import Actor, require
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.time_zones import refuse_unknown_zone
from portal.services.core.unit_of_work import session, writing
from portal.services.people import one_time_links, passwords, sessions, sign_in_throttle
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission
from portal.services.people.sign_in import SLOWED

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
    refuse_unknown_zone(details.time_zone)
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
        audit.record(current, actor, "person.changed", target=target, changes=changes)
    return True


def change_password(actor: Actor, old: str, new: str, device: str = UNKNOWN_DEVICE) -> Admission:
    """Save a new password, end every session that was opened with the old one, and know no
    browser any more.

    Guesses at the old one are throttled. Begins the session to go on with in this browser, whose
    own may have been copied.
    """
    proof = _prove(actor, old, "current_password")
    passwords.check(new, proof.email)
    password_hash = passwords.hashed(new)
    with writing() as current:
        user = _own(current, actor)
        if user.password_hash != proof.stored:
            raise Refusal("Your password was changed in another window. Sign in with that one.")
        user.password_hash = password_hash
        sessions.cut_off(current, user)
        one_time_links.forget_resets(current, proof.email)
        target = ("person", user.public_id, user.name)
        audit.record(current, actor, "person.password_changed", target=target)
        return sessions.begin(current, user, device)


def confirm(actor: Actor, session_id: UUID, password: str) -> None:
    """Take the password as the proof that it is still the person who signed in.

    Guesses are throttled, together with those of `change_password`. Raises `Refusal`.
    """
    proof = _prove(actor, password, "own_password")
    with writing() as current:
        user = require(current, actor, "account.edit")
        if user is None or not sessions.confirm(current, actor, session_id):
            raise NotAllowed("You were signed out meanwhile. Sign in again.")
        wrong = {"wrong_tries_before": {"from": None, "to": proof.wrong_tries}}
        audit.record(
            current,
            actor,
            "person.identity_confirmed",
            target=("person", user.public_id, user.name),
            changes=wrong if proof.wrong_tries else {},
        )


def sign_out_elsewhere(actor: Actor, session_id: UUID) -> tuple[User, int]:
    """End every session of the person but this one, and know no browser any more. Returns the
    user, to know this browser by, and how many sessions there were."""
    with writing() as current:
        user = _own(current, actor)
        ended = sessions.cut_off(current, user, session_id)
        changes = {"sessions": {"from": ended, "to": 0}}
        target = ("person", user.public_id, user.name)
        audit.record(current, actor, "person.signed_out_elsewhere", target=target, changes=changes)
    return user, ended


class _Proof(NamedTuple):
    stored: str
    email: str
    wrong_tries: int


def _prove(actor: Actor, password: str, field: str) -> _Proof:
    """Check the person's own password. Raises a `Refusal` at `field`, or `Throttled`."""
    key = sign_in_throttle.Key(f"account:{actor.user_id}", 5)
    _count(actor, key)
    user = session().get_one(User, actor.user_id)
    stored, email = user.password_hash, user.email
    session().rollback()  # the database does not wait while we hash
    if not passwords.matches(password, stored):
        raise Refusal("This is not your current password.", field=field)
    return _Proof(stored, email, sign_in_throttle.forgive(key)[0])


def _count(actor: Actor, key: sign_in_throttle.Key) -> None:
    """Count the try; where many wrong ones begin to cost a pause, the audit trail says so."""
    sign_in_throttle.check([key])
    with writing() as current:
        if sign_in_throttle.count([key]):
            user = current.get_one(User, actor.user_id)
            target = ("person", user.public_id, user.name)
            tries = {"tries": {"from": None, "to": key.limit}}
            audit.record(current, actor, SLOWED, target=target, changes=tries)


def _own(current: Session, actor: Actor) -> User:
    """The actor's row, locked for a change before `require` shares it: no deadlock with itself."""
    current.get(User, actor.user_id, with_for_update={"key_share": True})
    user = require(current, actor, "account.edit")
    if user is None:
        raise NotAllowed("The system itself has no account.")
    return user
