"""Fill the demo register, add the records that it lacks, and find records to open."""

from dataclasses import replace
from typing import Final, TypeVar

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute

from portal.models.assets import Action, Asset, AssetKind, AssetStatus, Category, Location
from portal.models.assignments import Staff
from portal.models.deliveries import Delivery, DeliveryStatus
from portal.models.people import Role
from portal.models.planning import Maintenance, MaintenanceState, Reservation, ReservationState
from portal.models.tasks import Task
from portal.models.webhooks import OffReason, Webhook
from portal.services.actions import bulk
from portal.services.actions.rules import RULES
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry
from portal.services.demo import seed
from portal.services.people import invitations, tokens
from tests.browser.support.sample_register import Filled, checked_import, kept_backup, tested_draft
from tests.support.factories import Person, make_user

T = TypeVar("T")
OF_RESERVATION: Final = (
    Action.APPROVE_RESERVATION,
    Action.REJECT_RESERVATION,
    Action.CANCEL_RESERVATION,
)
OF_MAINTENANCE: Final = (
    Action.START_MAINTENANCE,
    Action.COMPLETE_MAINTENANCE,
    Action.CANCEL_MAINTENANCE,
)


def fill_demo(by: Person) -> Filled:
    """Store the demo and the records that it lacks as `by`, and return records to open."""
    seed.seed(by.actor)
    return filled_of_demo(by)


def filled_of_demo(by: Person) -> Filled:
    """Add the records that the stored demo lacks, and return the richest record of each kind."""
    lent = list(session().scalars(select(Asset.id).where(Asset.status == AssetStatus.CHECKED_OUT)))
    colleague = make_user(Role.SUPPORT, name="Ben Novak", email="ben.novak@example.com")
    checked, draft = checked_import(by.actor), tested_draft(by.actor)
    many = bulk.start(by.actor, Action.CHECK_IN, lent[:20], {})
    failing = (Webhook.off_reason == OffReason.FAILING) | (Webhook.failures_in_row > 0)
    return Filled(
        assets=lent[0],
        stock=_one(Asset.id, Asset.kind == AssetKind.STOCK),
        tasks=many,
        importing=checked,
        bulk=many,
        batches=_one(Task.public_id, Task.kind == bulk_retry.NAME),
        staff=_one(Staff.public_id),
        reservation=_one(Reservation.public_id, Reservation.state == ReservationState.PENDING),
        maintenance=_one(Maintenance.public_id, Maintenance.state == MaintenanceState.SCHEDULED),
        categories=_one(Category.public_id),
        locations=_one(Location.public_id),
        webhooks=_one(Webhook.public_id, failing),
        webhook_drafts=draft,
        deliveries=_one(
            Delivery.public_id, Delivery.status == DeliveryStatus.FAILED, Delivery.tries > 3
        ),
        people=colleague.public_id,
        invitations=invitations.invite(by.actor, "cleo.marin@example.com", Role.MANAGER),
        tokens=tokens.create(by.actor, "MDM", Role.MANAGER, read_only=False, days=365)[0],
        backups=kept_backup(by.actor),
    )


def filled_for(endpoint: str, filled: Filled) -> Filled:
    """Return `filled` with an asset that allows the action of the endpoint, if it is one."""
    family, _, name = endpoint.partition(".")
    if family != "actions" and endpoint != "assets.delete":
        return filled
    if name in OF_RESERVATION:
        of_it = Reservation.public_id == filled.reservation
        return replace(filled, assets=_one(Reservation.asset_id, of_it))
    if name in OF_MAINTENANCE:
        of_it = Maintenance.public_id == filled.maintenance
        return replace(filled, assets=_one(Maintenance.asset_id, of_it))
    rule = RULES[Action(name)]
    is_there = Asset.deleted_at.is_not(None) if rule.on_deleted else Asset.deleted_at.is_(None)
    fit = select(Asset.id).where(is_there, Asset.status.in_(rule.legal))
    asset_id = session().scalar(fit.where(Asset.kind.in_(rule.kinds)).order_by(Asset.id).limit(1))
    return replace(filled, assets=asset_id or filled.assets)


def _one(column: InstrumentedAttribute[T], *wanted: ColumnElement[bool]) -> T:
    """Return the column of the newest row that meets the conditions."""
    newest = select(column).where(*wanted).order_by(column.class_.id.desc()).limit(1)
    return session().scalars(newest).one()
