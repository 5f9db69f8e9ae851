"""Permissions: the one table, and the check that every verb repeats inside its transaction."""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.models.people import Role, User
from portal.services.core.refusals import NotAllowed

ADMIN: Final = frozenset({Role.ADMIN})
MANAGERS: Final = frozenset({Role.ADMIN, Role.MANAGER})
EVERYONE: Final = frozenset(Role)

# permission → the roles that have it. A permission that is not here is nobody's.
PERMISSIONS: Final[dict[str, frozenset[Role]]] = {
    "home.read": EVERYONE,
    "account.edit": EVERYONE,
    "assets.read": EVERYONE,
    "assets.edit": MANAGERS,
    "assets.undo_liquidation": ADMIN,
    "webhooks.read": EVERYONE,
    "webhooks.edit": ADMIN,
    "webhooks.switch": ADMIN,
    "webhooks.secret": ADMIN,
    "webhooks.test": frozenset({Role.ADMIN, Role.SUPPORT}),
    "deliveries.read": EVERYONE,
    "deliveries.retry": frozenset({Role.ADMIN, Role.SUPPORT}),
    "deliveries.dismiss": frozenset({Role.ADMIN, Role.SUPPORT}),
    # … and for each task what its kind asks for.
    "tasks.read": EVERYONE,
    "alerts.read": EVERYONE,
    "alerts.acknowledge": MANAGERS,
    "alerts.settings": ADMIN,
    "people.manage": ADMIN,
    "people.erase": ADMIN,
    "audit.read": ADMIN,
    "system.read": ADMIN,
    "sending.switch": ADMIN,
    "sample_data.load": ADMIN,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor, as known before the transaction: a user, or the system itself.

    `batch_id`: the bulk action that this is a part of; receivers get it.
    """

    kind: ActorKind
    user_id: int | None
    name: str
    origin: Origin
    batch_id: UUID | None = None


SYSTEM: Final = Actor(ActorKind.SYSTEM, None, "Asset register", Origin.CRON)


def allows(role: str, permission: str) -> bool:
    """Return whether `role` has `permission`; deny by default."""
    return role in PERMISSIONS.get(permission, frozenset())


def require(current: Session, actor: Actor, permission: str) -> User | None:
    """Load the actor under a shared lock and check the permission again.

    Raises `NotAllowed` when the person was disabled, or the role changed meanwhile. The system
    itself may do everything and has no row.
    """
    if actor.kind is ActorKind.SYSTEM:
        return None
    user = current.get(User, actor.user_id, with_for_update={"read": True})
    if user is None or not user.is_active or not allows(user.role, permission):
        raise NotAllowed("You can’t do this with your role. Ask an administrator.")
    return user
