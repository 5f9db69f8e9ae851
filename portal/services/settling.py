"""What the sweep puts right: open deliveries whose webhook is off or deleted.

An event that was being stored while its webhook was turned off can leave one behind.
"""

from sqlalchemy import Connection, or_, select

from portal.models.webhooks import Webhook, WebhookState
from portal.services import switching
from portal.services.dispatch import with_open_rows
from portal.services.unit import session, writing


def settle() -> int:
    """Hold or stop what is open, not being sent, and not wanted; return how many deliveries.

    Tests are left alone. Writes only when there is something to put right.
    """
    if not find_unsettled(session().connection()):
        return 0
    with writing() as current:
        return settle_on(current.connection())


def settle_on(connection: Connection) -> int:
    """The same in the caller's writing transaction."""
    return sum(switching.hold_open(connection, each) for each in find_unsettled(connection))


def find_unsettled(connection: Connection) -> list[int]:
    """The webhooks that are not active and have open deliveries. Reads only."""
    walk = with_open_rows().cte()
    rows = connection.execute(
        select(Webhook.id)
        .join(walk, walk.c.id == Webhook.id)
        .where(or_(Webhook.state != WebhookState.ACTIVE, Webhook.deleted_at.is_not(None)))
    )
    return list(rows.scalars())
