"""Fill a demo register with 200 assets, three months of history, and a month of deliveries.

Everything goes through the services and the engine, by the same rules as manual actions, with the
clock set to the simulated times. The result is nearly the same every time, so that demos are
repeatable.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.models.alerts import Alert
from portal.models.assets import Asset
from portal.models.assignments import Staff
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.alerts import settings as alert_settings
from portal.services.core import vault
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session, writing
from portal.services.demo.data import PRODUCTS, STOCK
from portal.services.demo.deliveries import Sender, note_deliveries
from portal.services.demo.register import Story, note_register
from portal.services.operations import retention


@dataclass(frozen=True, slots=True)
class Seeded:
    """The numbers of rows afterwards."""

    assets: int
    staff: int
    webhooks: int
    deliveries: int
    alerts: int


def seed(actor: Actor) -> Seeded:
    """Fill an empty register and add its webhooks, in one transaction. Raises `Refusal`."""
    with writing() as current:
        seeded = fill(current, actor)
    retention.prune()
    return seeded


def fill(current: Session, actor: Actor) -> Seeded:
    """Fill the register in the caller's transaction.

    Raises `Refusal` if there are assets already, or webhooks that would get all the events. One
    transaction keeps people from seeing a partial register, and workers from sending the simulated
    deliveries.
    """
    # If two requests arrive at once, the second finds the rows that the first one stored.
    alert_settings.locked(current)
    check()
    vault.refuse_other_keys()  # fail now, not after minutes of work
    story = Story(current, actor)
    sender = Sender(story)
    note_register(story)
    note_deliveries(story, sender)
    story.tell(before=sender.send_until)
    sender.leave_one_under_way()
    tables = (Asset, Staff, Webhook, Delivery, Alert)
    counts = (current.scalar(select(func.count()).select_from(table)) for table in tables)
    return Seeded(*(count or 0 for count in counts))


def check() -> int:
    """Return the number of assets that `seed` would add. Raises `Refusal` if it can't run."""
    current = session()
    if current.scalar(select(Asset.id).limit(1)) is not None:
        raise Refusal("Sample data needs an empty register. This register already has assets.")
    if current.scalar(select(Webhook.id).where(Webhook.deleted_at.is_(None)).limit(1)) is not None:
        raise Refusal(
            "Load the sample data before you add a webhook. Otherwise, the webhook gets every "
            "sample asset."
        )
    return sum(pieces for *_, pieces in PRODUCTS) + len(STOCK)
