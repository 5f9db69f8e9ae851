"""Manage users, their roles, and their access."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID
from zoneinfo import available_timezones

from sqlalchemy import case, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.lib.typed_values import tidy_email
from portal.models.audit import ErasedKind
from portal.models.people import Role, User
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core.erasures import erased_among, refuse_erased
from portal.services.core.permissions import PERMISSIONS, Actor, require
from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.services.core.time_zones import refuse_unknown_zone
from portal.services.core.unit_of_work import session, writing
from portal.services.mail import mails
from portal.services.people import (
    account_mails,
    one_time_links,
    passwords,
    sessions,
    sign_in_throttle,
)
from portal.services.people.one_time_links import forget_links, revoke
from portal.services.people.sessions import UNKNOWN_DEVICE, Admission
from portal.services.people.sign_in_throttle import SLOWED

Changes = dict[str, tuple[object, object]]

ROLE_NAMES: Final = {
    Role.ADMIN: "Administrator",
    Role.MANAGER: "Manager",
    Role.SUPPORT: "Support",
    Role.VIEWER: "Viewer",
}


@dataclass(frozen=True, slots=True)
class Person:
    """A user as Settings → Users shows them."""

    public_id: UUID
    name: str
    email: str
    role: str
    is_active: bool
    version: int
    created_at: datetime
    is_erased: bool


def listing() -> list[Person]:
    """List everyone who ever had an account, by name, with erased people last."""
    query = select(User).order_by(func.lower(User.name), User.id)
    people = _persons(session().execute(query).scalars().all())
    return sorted(people, key=lambda person: person.is_erased)


def person(public_id: UUID) -> Person:
    """Return one user. Raises `NotFound`."""
    return _persons([find(session(), public_id)])[0]


def find(current: Session, public_id: UUID, *, lock: bool = False) -> User:
    """Return a user's row. Raises `NotFound`."""
    statement = select(User).where(User.public_id == public_id)
    if lock:
        statement = statement.with_for_update(key_share=True)
    user = current.execute(statement).scalar_one_or_none()
    if user is None:
        raise NotFound("We couldn’t find this person.")
    return user


def change_role(actor: Actor, public_id: UUID, role: Role, version: int) -> None:
    """Change a user's role and end their sessions. `version` is the one that the form showed.

    Refused for the last administrator and for oneself.
    """

    def change(user: User) -> Changes:
        if user.version != version:
            raise Stale(f"Someone else changed {user.name} after you opened this page.")
        before, user.role = user.role, role
        return {} if before == role else {"role": (before, role)}

    _change(actor, public_id, "person.role_changed", change)


def disable(actor: Actor, public_id: UUID) -> None:
    """Block a user from signing in. Refused for the last administrator and for oneself."""
    _change(actor, public_id, "person.disabled", _set_active(False))


def enable(actor: Actor, public_id: UUID) -> None:
    """Let a user sign in again, with the same password."""
    _change(actor, public_id, "person.enabled", _set_active(True))


def close(current: Session, actor: Actor, public_id: UUID) -> User:
    """Close an account permanently, in the caller's transaction.

    Deletes sessions, links, and counted attempts. Refused for the last administrator, for oneself,
    and a second time.
    """
    admins = _locked_admins(current)
    require(current, actor, "people.erase")
    user = find(current, public_id, lock=True)
    if user.id == actor.user_id:
        raise Refusal("This is you. Only another administrator can erase you.")
    refuse_erased(current, ErasedKind.USER, user.id)
    user.is_active = False
    _keep_an_admin(user, admins)
    user.version += 1
    sessions.cut_off(current, user)
    revoke(current, actor, user)
    forget_links(current, user)
    sign_in_throttle.forget(current, user)
    mails.forget(current, user)
    return user


def _set_active(is_active: bool) -> Callable[[User], Changes]:
    def change(user: User) -> Changes:
        before, user.is_active = user.is_active, is_active
        return {} if before == is_active else {"active": (before, is_active)}

    return change


def _change(actor: Actor, public_id: UUID, action: str, change: Callable[[User], Changes]) -> None:
    """Change a user's access, and end their sessions and links. Without a change, write nothing."""
    with writing() as current:
        admins = _locked_admins(current)
        require(current, actor, "people.manage")
        user = find(current, public_id, lock=True)
        refuse_erased(current, ErasedKind.USER, user.id)
        changes = change(user)
        if not changes:
            return
        _keep_an_admin(user, admins)
        if user.id == actor.user_id:
            raise Refusal(
                "You can’t change your own role or disable yourself. Ask another administrator."
            )
        user.version += 1
        sessions.end_all(current, user)
        audit.record_person(current, actor, action, user, **changes)
        revoke(current, actor, user)


def _locked_admins(current: Session) -> set[int]:
    """Lock all active administrators, in one order and before anything else. Return their ids.

    If two of them demote each other at once, the second waits here and finds itself alone.
    """
    query = (
        select(User.id)
        .where(User.role == Role.ADMIN, User.is_active)
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    return set(current.execute(query).scalars())


def _keep_an_admin(user: User, admins: set[int]) -> None:
    still = user.is_active and user.role == Role.ADMIN
    if not still and admins == {user.id}:
        raise Refusal(
            f"{user.name} is the only administrator who can sign in. "
            "Make someone else an administrator first."
        )


def _persons(users: Sequence[User]) -> list[Person]:
    erased = erased_among(session(), ErasedKind.USER, [user.id for user in users])
    return [
        Person(
            public_id=user.public_id,
            name=user.name,
            email=user.email,
            role=user.role,
            is_active=user.is_active,
            version=user.version,
            created_at=user.created_at,
            is_erased=user.id in erased,
        )
        for user in users
    ]


MOST_NAMED: Final = 2


class Contacts(NamedTuple):
    """Names of a few people with a permission. `has_more` means that there are others."""

    names: tuple[str, ...]
    has_more: bool


def who_may(permission: str, webhook: UUID | None = None) -> Contacts:
    """Return people who have `permission` and can sign in.

    The webhook's owner comes first, then non-administrators, then the oldest accounts.
    """
    owner = select(Webhook.owner_id).where(Webhook.public_id == webhook).scalar_subquery()
    roles = PERMISSIONS.get(permission, frozenset())
    query = (
        select(User.name)
        .where(User.is_active.is_(True), User.role.in_(sorted(roles)))
        .order_by(
            case((User.id == owner, 0), else_=1),
            case((User.role == Role.ADMIN, 1), else_=0),
            User.id,
        )
        .limit(MOST_NAMED + 1)
    )
    names = tuple(session().scalars(query))
    return Contacts(names[:MOST_NAMED], len(names) > MOST_NAMED)


def add_user(
    current: Session,
    *,
    name: str,
    email: str,
    password_hash: str,
    role: str,
    by: Actor | None,
    time_zone: str | None = None,
) -> User:
    """Store a new user and the audit entry. Without `by`, they created the account themselves."""
    if find_user(current, email) is not None:
        raise _taken(email)
    user = User(
        name=name,
        email=tidy_email(email),
        password_hash=password_hash,
        role=role,
        time_zone=time_zone,
    )
    current.add(user)
    try:
        current.flush()
    except IntegrityError:  # another transaction was faster
        raise _taken(email) from None
    actor = by or Actor(ActorKind.USER, user.id, user.name, Origin.UI)
    audit.record_person(current, actor, "person.joined", user, role=(None, role))
    return user


def find_user(current: Session, email: str) -> User | None:
    """Return the user with this email address, tidied and ignoring case."""
    query = select(User).where(func.lower(User.email) == tidy_email(email))
    return current.execute(query).scalar_one_or_none()


def _taken(email: str) -> Refusal:
    sentence = f"{tidy_email(email)} already has an account. Sign in with it."
    return Refusal(sentence, field="email")


# Zones to choose from have a region and a city. The rest are older names and offsets.
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
    """A user's own settings. `time_zone` is None for the portal's."""

    name: str
    time_zone: str | None


def time_zones() -> list[str]:
    """Return the zones to choose from, in order: "UTC", "Africa/Abidjan", …"""
    known = available_timezones()
    return ["UTC", *sorted(zone for zone in known if zone.partition("/")[0] in REGIONS)]


def own_details(actor: Actor) -> Details:
    """Return the person's name and time zone."""
    user = session().get(User, actor.user_id)
    if user is None:
        raise NotAllowed("This account no longer exists.")
    return Details(user.name, user.time_zone)


def change_details(actor: Actor, details: Details) -> bool:
    """Save name and time zone. Return whether anything changed."""
    refuse_unknown_zone(details.time_zone)
    with writing() as current:
        user = _own(current, actor)
        before = {"name": user.name, "time_zone": user.time_zone}
        after = {"name": details.name, "time_zone": details.time_zone}
        changes = {key: (before[key], after[key]) for key in before if before[key] != after[key]}
        if not changes:
            return False
        user.name, user.time_zone = details.name, details.time_zone
        user.version += 1
        audit.record_person(current, actor, "person.changed", user, **changes)
    return True


def change_password(actor: Actor, old: str, new: str, device: str = UNKNOWN_DEVICE) -> Admission:
    """Save a new password, and end every session and known browser of the old one.

    Guesses at the old password are throttled. Begins a new session for this browser, because its
    own might have been copied.
    """
    proof = _prove(actor, old, "current_password")
    passwords.check(new, proof.email)
    password_hash = passwords.hashed(new)
    with writing() as current:
        user = _own(current, actor)
        if user.password_hash != proof.stored:
            raise Refusal(
                "Your password was changed in another window. Sign in with the new password."
            )
        user.password_hash = password_hash
        sessions.cut_off(current, user)
        one_time_links.forget_resets(current, proof.email)
        audit.record_person(current, actor, "person.password_changed", user)
        mails.write(current, account_mails.CHANGED, user_id=user.id)
        return sessions.begin(current, user, device)


def confirm(actor: Actor, session_id: UUID, password: str) -> None:
    """Confirm by the password that this is still the person who signed in.

    Guesses are throttled together with those of `change_password`. Raises `Refusal`.
    """
    proof = _prove(actor, password, "own_password")
    with writing() as current:
        user = require(current, actor, "account.edit")
        if user is None or not sessions.confirm(current, actor, session_id):
            raise NotAllowed("You were signed out. Sign in again.")
        wrong = {"wrong_tries_before": (None, proof.wrong_tries)} if proof.wrong_tries else {}
        audit.record_person(current, actor, "person.identity_confirmed", user, **wrong)


def sign_out_elsewhere(actor: Actor, session_id: UUID) -> tuple[User, int]:
    """End every other session of the person, and forget all known browsers.

    Returns the user, to recognize this browser again, and the number of ended sessions.
    """
    with writing() as current:
        user = _own(current, actor)
        ended = sessions.cut_off(current, user, session_id)
        action = "person.signed_out_elsewhere"
        audit.record_person(current, actor, action, user, sessions=(ended, 0))
    return user, ended


class _Proof(NamedTuple):
    stored: str
    email: str
    wrong_tries: int


def _prove(actor: Actor, password: str, field: str) -> _Proof:
    """Check the person's own password. Raises a `Refusal` at `field`, or `Throttled`."""
    key = sign_in_throttle.for_password(actor.user_id)
    _count(actor, key)
    user = session().get_one(User, actor.user_id)
    stored, email = user.password_hash, user.email
    session().rollback()  # hold no transaction while hashing
    if not passwords.matches(password, stored):
        raise Refusal("Enter your current password. This one is wrong", field=field)
    return _Proof(stored, email, sign_in_throttle.forgive(key)[0])


def _count(actor: Actor, key: sign_in_throttle.Key) -> None:
    """Count the attempt, and record in the audit trail when wrong ones begin to cost a pause."""
    sign_in_throttle.check([key])
    with writing() as current:
        if sign_in_throttle.count([key]):
            user = current.get_one(User, actor.user_id)
            audit.record_person(current, actor, SLOWED, user, tries=(None, key.limit))


def _own(current: Session, actor: Actor) -> User:
    """Lock the actor's row for a change before `require` shares the lock, to avoid a deadlock."""
    current.get(User, actor.user_id, with_for_update={"key_share": True})
    user = require(current, actor, "account.edit")
    if user is None:
        raise NotAllowed("The system has no account.")
    return user
