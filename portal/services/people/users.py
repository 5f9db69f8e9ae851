"""The people of the portal: who there is, their roles, and whether they may sign in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from portal.models.audit import ErasedKind
from portal.models.people import Role, User
from portal.models.webhooks import Webhook
from portal.services import audit
from portal.services.core.erasures import erased_among, refuse_erased
from portal.services.core.permissions import PERMISSIONS, Actor, require
from portal.services.core.refusals import NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from portal.services.people import sessions, sign_in_throttle
from portal.services.people.one_time_links import forget_links, revoke, setup_link

__all__ = [
    "ROLE_NAMES",
    "Person",
    "change_role",
    "close",
    "disable",
    "enable",
    "listing",
    "person",
    "setup_link",
]

ROLE_NAMES: Final = {
    Role.ADMIN: "Administrator",
    Role.MANAGER: "Manager",
    Role.SUPPORT: "Support",
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
    """Everybody who ever had an account, by name; who was erased comes last."""
    wanted = select(User).order_by(func.lower(User.name), User.id)
    people = _persons(session().execute(wanted).scalars().all())
    return sorted(people, key=lambda person: person.is_erased)


def person(public_id: UUID) -> Person:
    """One of them. Raises `NotFound`."""
    user = session().execute(select(User).where(User.public_id == public_id)).scalar_one_or_none()
    if user is None:
        raise NotFound("There is no such person.")
    return _persons([user])[0]


def change_role(actor: Actor, public_id: UUID, role: Role, version: int) -> None:
    """Give somebody another role, and end their sessions. `version`: as the form showed them.

    Refused for the last administrator and for oneself.
    """

    def change(user: User) -> dict[str, object]:
        if user.version != version:
            raise Stale(f"Somebody changed {user.name} meanwhile.")
        before, user.role = user.role, role
        return {} if before == role else {"role": {"from": before, "to": role}}

    _change(actor, public_id, "person.role_changed", change)


def disable(actor: Actor, public_id: UUID) -> None:
    """Keep somebody out from now on. Refused for the last administrator and for oneself."""
    _change(actor, public_id, "person.disabled", _set_active(False))


def enable(actor: Actor, public_id: UUID) -> None:
    """Let somebody in again, with the password they had."""
    _change(actor, public_id, "person.enabled", _set_active(True))


def close(current: Session, actor: Actor, public_id: UUID) -> User:
    """Take an account away for good, in the caller's transaction: sessions, links and tries are
    forgotten. Refused for the last administrator and for oneself, and a second time."""
    admins = _locked_admins(current)
    require(current, actor, "people.erase")
    user = _locked(current, public_id)
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
    return user


def _set_active(is_active: bool) -> Callable[[User], dict[str, object]]:
    def change(user: User) -> dict[str, object]:
        before, user.is_active = user.is_active, is_active
        return {} if before == is_active else {"active": {"from": before, "to": is_active}}

    return change


def _change(
    actor: Actor, public_id: UUID, action: str, change: Callable[[User], dict[str, object]]
) -> None:
    """Change one user's standing; sessions and links end with it. No change: nothing written."""
    with writing() as current:
        admins = _locked_admins(current)
        require(current, actor, "people.manage")
        user = _locked(current, public_id)
        refuse_erased(current, ErasedKind.USER, user.id)
        changes = change(user)
        if not changes:
            return
        _keep_an_admin(user, admins)
        if user.id == actor.user_id:
            raise Refusal("You cannot change your own access. Ask another administrator to do it.")
        user.version += 1
        sessions.end_all(current, user)
        audit.record(
            current, actor, action, target=("person", user.public_id, user.name), changes=changes
        )
        revoke(current, actor, user)


def _locked_admins(current: Session) -> set[int]:
    """The ids of all active administrators, locked in one order before anything else: two of
    them who demote each other at once wait here, and the second finds itself alone."""
    wanted = (
        select(User.id)
        .where(User.role == Role.ADMIN, User.is_active)
        .order_by(User.id)
        .with_for_update(key_share=True)
    )
    return set(current.execute(wanted).scalars())


def _keep_an_admin(user: User, admins: set[int]) -> None:
    still = user.is_active and user.role == Role.ADMIN
    if not still and admins == {user.id}:
        raise Refusal(
            f"{user.name} is the only administrator who can sign in. "
            "Make somebody else an administrator first."
        )


def _locked(current: Session, public_id: UUID) -> User:
    wanted = select(User).where(User.public_id == public_id).with_for_update(key_share=True)
    user = current.execute(wanted).scalar_one_or_none()
    if user is None:
        raise NotFound("There is no such person.")
    return user


def _persons(found: Sequence[User]) -> list[Person]:
    erased = erased_among(session(), ErasedKind.USER, [user.id for user in found])
    return [_person(user, is_erased=user.id in erased) for user in found]


def _person(user: User, *, is_erased: bool) -> Person:
    return Person(
        public_id=user.public_id,
        name=user.name,
        email=user.email,
        role=user.role,
        is_active=user.is_active,
        version=user.version,
        created_at=user.created_at,
        is_erased=is_erased,
    )


MOST_NAMED: Final = 2


class Contacts(NamedTuple):
    """The names of some who may; `has_more`: there are others. None where there is nobody."""

    names: tuple[str, ...]
    has_more: bool


def who_may(permission: str, webhook: UUID | None = None) -> Contacts:
    """Those who have `permission` and can sign in: the webhook's owner first, then whoever looks
    after less than everything, then by how long they are here."""
    owner = select(Webhook.owner_id).where(Webhook.public_id == webhook).scalar_subquery()
    roles = PERMISSIONS.get(permission, frozenset())
    wanted = (
        select(User.name)
        .where(User.is_active.is_(True), User.role.in_(sorted(roles)))
        .order_by(
            case((User.id == owner, 0), else_=1),
            case((User.role == Role.ADMIN, 1), else_=0),
            User.id,
        )
        .limit(MOST_NAMED + 1)
    )
    found = tuple(session().scalars(wanted))
    return Contacts(found[:MOST_NAMED], len(found) > MOST_NAMED)
