"""Find the first steps on the start page that are done."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, select

from portal.models.assets import Asset
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.people import Link, LinkKind, User
from portal.models.webhooks import Webhook, WebhookState
from portal.services.core.unit_of_work import session
from portal.services.webhooks.rows import draft_ids

# A lone user is asked to invite a colleague this long. After that, being alone is a choice.
NEW_FOR: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class FirstRun:
    """The steps done so far. `colleagues` means that another user exists or was invited."""

    assets: bool
    webhooks: bool
    delivered: bool
    colleagues: bool
    is_new: bool

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left to do."""
        works = self.assets and self.webhooks and self.delivered
        return works and (self.colleagues or not self.is_new)


def first_run(now: datetime) -> FirstRun:
    """Return the steps done at `now`."""
    since = session().scalars(select(User.created_at).order_by(User.id).limit(2)).all()
    connected = Webhook.deleted_at.is_(None), Webhook.state != WebhookState.DRAFT
    listed = Delivery.webhook_id.not_in(draft_ids(session()))
    return FirstRun(
        assets=_is_there(select(Asset.id).where(Asset.deleted_at.is_(None))),
        webhooks=_is_there(select(Webhook.id).where(*connected)),
        delivered=_is_there(
            select(Delivery.id).where(Delivery.status == DeliveryStatus.DELIVERED, listed)
        ),
        colleagues=len(since) > 1 or _is_there(select(Link.id).where(Link.kind == LinkKind.INVITE)),
        is_new=not since or since[0] > now - NEW_FOR,
    )


def _is_there(wanted: Select[Any]) -> bool:
    return session().execute(wanted.limit(1)).first() is not None
