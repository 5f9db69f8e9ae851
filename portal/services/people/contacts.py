"""Whom to ask: who may do what the reader may not."""

from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import case, select

from portal.models.people import Role, User
from portal.models.webhooks import Webhook
from portal.services.core.permissions import PERMISSIONS
from portal.services.core.unit_of_work import session

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
