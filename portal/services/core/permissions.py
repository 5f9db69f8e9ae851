"""Permissions in one table, and the check that every operation repeats inside its transaction."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy.orm import Session

from portal.engine.events.body import ActorKind, Origin
from portal.models.people import Role, Token, User
from portal.services.core.refusals import NotAllowed
from portal.services.core.unit_of_work import database_time

ADMIN: Final = frozenset({Role.ADMIN})
MANAGERS: Final = frozenset({Role.ADMIN, Role.MANAGER})
EVERYONE: Final = frozenset(Role)
CONTENT: Final = "deliveries.content"

# permission → the roles that have it. No role has one that is missing here. The system actor has
# every permission (`require`).
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
    # Bodies and headers of requests and responses, and all other text from receivers.
    CONTENT: EVERYONE - {Role.VIEWER},
    "deliveries.retry": frozenset({Role.ADMIN, Role.SUPPORT}),
    "deliveries.dismiss": frozenset({Role.ADMIN, Role.SUPPORT}),
    # … and for each task the permission of its kind.
    "tasks.read": EVERYONE,
    "alerts.read": EVERYONE,
    "alerts.acknowledge": MANAGERS,
    "alerts.settings": ADMIN,
    "api.manage": ADMIN,
    "people.manage": ADMIN,
    "people.erase": ADMIN,
    "audit.read": ADMIN,
    "system.read": ADMIN,
    "organization.edit": ADMIN,
    "backups.make": ADMIN,
    "backups.download": ADMIN,
    "sending.switch": ADMIN,
    "sample_data.load": ADMIN,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """The actor as known before the transaction, which is a user, a program's token, or the system.

    `batch_id`: the bulk action that this belongs to. Receivers get it.
    """

    kind: ActorKind
    user_id: int | None
    name: str
    origin: Origin
    batch_id: UUID | None = None
    token_id: int | None = None

    @property
    def wire_id(self) -> int | None:
        """Return the id that receivers get, which is the user's or the token's."""
        return self.user_id if self.token_id is None else self.token_id


SYSTEM: Final = Actor(ActorKind.SYSTEM, None, "Asset register", Origin.CRON)
COMMAND_LINE: Final = Actor(ActorKind.SYSTEM, None, "A command on the server", Origin.COMMAND)
NOBODY: Final = Actor(ActorKind.SYSTEM, None, "Someone not signed in", Origin.UI)
DEMO: Final = Actor(ActorKind.SYSTEM, None, "Sample data", Origin.COMMAND)


def allows(role: str, permission: str) -> bool:
    """Return whether `role` has `permission`. An unknown permission is denied."""
    return role in PERMISSIONS.get(permission, frozenset())


def token_allows(role: str, permission: str, *, read_only: bool) -> bool:
    """Return whether a token with this role has `permission`."""
    reads = permission.endswith(".read") or permission == CONTENT
    return allows(role, permission) and (reads or not read_only)


def require(current: Session, actor: Actor, permission: str) -> User | None:
    """Load the actor under a shared lock and check the permission again.

    Raise `NotAllowed` if the person was disabled, the role changed, or the token has ended.
    The system can do everything and has no row.
    """
    if actor.kind is ActorKind.SYSTEM:
        return None
    if actor.token_id is not None:
        _require_token(current, actor.token_id, permission)
        return None
    user = current.get(User, actor.user_id, with_for_update={"read": True})
    if user is None or not user.is_active or not allows(user.role, permission):
        raise NotAllowed("You can’t do this with your role. Ask an administrator.")
    return user


def _require_token(current: Session, token_id: int, permission: str) -> None:
    token = current.get(Token, token_id, with_for_update={"read": True}, populate_existing=True)
    if token is None or not is_live(token, database_time(current)):
        raise NotAllowed(TOKEN_IS_OVER)
    if not token_allows(token.role, permission, read_only=token.read_only):
        raise NotAllowed("This token doesn’t allow this. Ask an administrator.")


# Also the response to a missing or mistyped token, so that strangers learn nothing.
TOKEN_IS_OVER: Final = "This token doesn’t work. Check it under Settings → API."  # noqa: S105 - a sentence


def is_live(token: Token, now: datetime) -> bool:
    """Return whether programs can use the token."""
    return token.revoked_at is None and (token.ends_at is None or now < token.ends_at)
