"""A portal in which two people left their names in every place where the portal stores names.

Zoë holds assets and Quentin signs in. Their actions go through the services, so that a new place
that stores names shows up here as soon as an action fills it.
"""

import json
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from portal.extensions import Base
from portal.lib.clock import utcnow
from portal.models.alerts import Alert
from portal.models.assets import Action
from portal.models.assignments import Assignment, Staff
from portal.models.mails import Mail
from portal.models.people import Link, Role, User
from portal.models.planning import MaintenanceOutcome
from portal.models.webhooks import Webhook
from portal.services import tasks
from portal.services.actions import assignments, bulk, incidents, stock
from portal.services.actions.planning import maintenance, reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.alerts import ledger, runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.settings import Emails
from portal.services.assets import staff
from portal.services.assets.staff import StaffValues
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals, retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending
from portal.services.people import accounts, invitations, password_resets, sessions, sign_in
from portal.services.people.accounts import Details
from portal.services.people.invitations import NewPerson
from portal.services.webhooks import crud, drafts, notes, queries, takes
from portal.services.webhooks.rules import WebhookValues
from tests.services.alerts.due_things import decided, work
from tests.services.csv.import_steps import check
from tests.support.database.kept_filling import filled_once
from tests.support.deliveries import lease, make_attempt, make_delivery
from tests.support.factories import PASSWORD, Hook, Person, make_asset, make_user, make_webhook

ZOE = StaffValues(
    name="Zoë Quillfeather",
    email="zoe.quillfeather@example.com",
    employee_no="ZQ-7781",
    department="Ornithology",
    phone="+43 7781 55",
)
FORMER = StaffValues(name="Zoë Maidenhair", email="zoe.maidenhair@example.com")
QUENTIN, OLD_QUENTIN = "Quentin Vexmark", "Q. Oldmark"
ADDRESS = "quentin.vexmark@example.com"
NETWORK = "203.0.113.77"
# The texts that name each of them.
NAMES = {
    "staff": [*(ZOE.name, ZOE.email, "ZQ-7781", "7781 55"), FORMER.name, FORMER.email],
    "user": [QUENTIN, OLD_QUENTIN, ADDRESS],
}


@dataclass(frozen=True, slots=True)
class Filled:
    """`zoe` and `quentin` are their public ids. `admin` is a third person."""

    admin: Person
    zoe: UUID
    zoe_id: int
    quentin: UUID
    quentin_id: int


def fill() -> Filled:
    """Fill the portal with traces of both people."""
    return filled_once(_fill)


def _fill() -> Filled:
    admin = make_user(name="Ada Root")
    decided()
    quentin = _joined(admin)
    zoe = _on_the_list(admin)
    webhook = make_webhook(events=("asset.checked_out", "asset.checked_in"), owner_id=quentin.id)
    _things(quentin, zoe)
    _plans(quentin, zoe)
    _long_work(admin, quentin, zoe)
    _alerts(quentin, zoe)
    _deliveries(quentin, webhook)
    _owners(admin, quentin, webhook)
    _troubled(admin, quentin)
    _account(admin, quentin)
    sending.stop(quentin.actor)
    public_id = session().scalars(select(Staff.public_id).where(Staff.id == zoe)).one()
    return Filled(admin, public_id, zoe, quentin.public_id, quentin.id)


def places_of(names: list[str]) -> set[str]:
    """Return every "table.column" that contains one of `names`, in any case."""
    current = session()
    current.rollback()
    places = set()
    for table in Base.metadata.sorted_tables:
        for row in current.execute(select(table)).mappings():
            for column, value in row.items():
                text = _text_of(value).casefold()
                if any(name.casefold() in text for name in names):
                    places.add(f"{table.name}.{column}")
    current.rollback()
    return places


def _text_of(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


def _joined(admin: Person) -> Person:
    address = invitations.invitation_link(admin.actor, ADDRESS, Role.ADMIN)
    values = NewPerson(name=OLD_QUENTIN, email=ADDRESS, password=PASSWORD)
    admission = invitations.accept(address.partition("token=")[2], uuid4(), values)
    assert admission is not None
    public_id, user_id = admission.user.public_id, admission.user.id
    old = Person(user_id, public_id, OLD_QUENTIN, ADDRESS, Role.ADMIN, PASSWORD)
    accounts.change_details(old.actor, Details(QUENTIN, "Europe/Vienna"))
    return Person(user_id, public_id, QUENTIN, ADDRESS, Role.ADMIN, PASSWORD)


def _on_the_list(admin: Person) -> int:
    public_id = staff.create(admin.actor, FORMER)
    staff.edit(admin.actor, public_id, 1, ZOE)
    return staff.find(public_id).id


def _things(by: Person, zoe: int) -> None:
    asset, due_at = make_asset(by=by.actor), utcnow() + timedelta(days=1)
    assignments.allocate(by.actor, asset, staff_id=zoe, note=f"For {ZOE.name}")
    assignments.revoke(by.actor, asset, reason=f"{ZOE.email} is on leave")
    assignments.check_out(
        by.actor, asset, staff_id=zoe, due_at=due_at, purpose=f"{ZOE.name} travels"
    )
    incidents.report_lost(by.actor, asset, description=f"{ZOE.name} lost it")
    cables = make_asset("Cable", by=by.actor, kind="stock", quantity=9)
    stock.issue(by.actor, cables, quantity=1, note=f"Taken by {ZOE.name}")


def _plans(by: Person, zoe: int) -> None:
    asset, now = make_asset(by=by.actor), utcnow()
    wish = ReservationValues(
        staff_id=zoe,
        starts_at=now + timedelta(days=2),
        ends_at=now + timedelta(days=3),
        purpose=f"For {ZOE.name}",
    )
    reservation = reservations.reserve(by.actor, asset, wish)
    reservations.approve(by.actor, reservation)
    reservations.cancel(by.actor, reservation, f"{ZOE.name} fell ill")
    plan = PlanValues(title=f"Adjust for {ZOE.name}", due_on=today(), assignee_id=zoe)
    work_ = WorkValues(
        outcome=MaintenanceOutcome.OK,
        completed_on=today(),
        performed_by_id=zoe,
        note=f"{ZOE.name} did it",
    )
    maintenance.complete(by.actor, maintenance.schedule(by.actor, asset, plan), work_)


def _long_work(admin: Person, by: Person, zoe: int) -> None:
    held, other = make_asset(by=by.actor), make_asset(by=by.actor)
    assignments.allocate(by.actor, held, staff_id=zoe)
    bulk.start(by.actor, Action.ALLOCATE, [held, other], {"staff_id": zoe, "note": ZOE.name})
    work()
    for asset in (held, other):
        assignments.revoke(by.actor, asset)
    check(by, f"name,assigned_to_email\nLamp,{ZOE.email}\nDesk,{ADDRESS}\n")
    stopped = check(admin, "name\nChair\n")
    task = tasks.find(stopped)
    assert task.state == "done"
    started = bulk.start(admin.actor, Action.DELETE, [other], {})
    tasks.stop(by.actor, started, bulk.BULK)


def _alerts(by: Person, zoe: int) -> None:
    asset = make_asset(by=by.actor)
    soon = utcnow() + timedelta(minutes=1)
    assignments.check_out(by.actor, asset, staff_id=zoe, due_at=soon)
    with writing() as current:
        late = {"started_at": soon - timedelta(days=9), "due_at": soon - timedelta(days=2)}
        current.execute(update(Assignment).where(Assignment.asset_id == asset).values(late))
    plan = PlanValues(title="Clean", due_on=today(), assignee_id=zoe)
    maintenance.schedule(by.actor, make_asset(by=by.actor), plan)
    runs.request_run(by.actor)
    work()
    public_id = session().scalars(select(Alert.public_id).order_by(Alert.id)).first()
    assert public_id is not None
    ledger.acknowledge(by.actor, public_id)
    assignments.check_in(by.actor, asset)
    stored, own = alert_settings.read(), f"Bring it to {ZOE.name}, or ask {ADDRESS}."
    emails = Emails(mail_overdue=[ZOE.email, ADDRESS], mail_low_stock=[ADDRESS], holder_text=own)
    alert_settings.save(by.actor, stored.version, stored.rules, emails)
    with writing() as current:
        current.execute(update(Alert).values(mailed_to=[ZOE.email, ADDRESS]))
        for to in (ZOE.email, ADDRESS):
            current.add(Mail(kind="alerts", address=to, due_at=soon))


def _deliveries(by: Person, webhook: Any) -> None:
    again = make_delivery(webhook, status="failed", finished_at=utcnow())
    retry.retry(by.actor, again)
    make_attempt(again, kind="manual", actor=by.name, response_text=f"Thank you, {by.name}")
    why = f"{ZOE.name} asked {ADDRESS}"
    dismissals.dismiss(by.actor, Selection(ticked=(make_delivery(webhook),)), why)
    lease(make_delivery(webhook), 600, kind="manual", actor=by.name)


def _owners(admin: Person, by: Person, webhook: Hook) -> None:
    """Hand Quentin's webhook over to the administrator and back."""
    for owner in (admin, by):
        values = replace(queries.stored_values(webhook.public_id), owner=owner.public_id)
        crud.edit(admin.actor, webhook.public_id, None, values)


def _troubled(admin: Person, by: Person) -> None:
    """Have Quentin get a failing webhook, hand it back, and note who knows it."""
    failing = make_webhook(name="Failing")
    webhook = failing.public_id
    make_delivery(failing, status="failed", reason="server", code=500)
    takes.take(admin.actor, webhook)
    for giver, getter in ((admin, by), (by, admin), (admin, by)):
        taken_at = session().scalars(select(Webhook.taken_at).where(Webhook.id == failing.id)).one()
        takes.hand_over(giver.actor, webhook, getter.public_id, taken_at)
    notes.save(by.actor, webhook, f"{ZOE.name} asked {ADDRESS}", None)


def _account(admin: Person, by: Person) -> None:
    admission = sign_in.sign_in(ADDRESS, PASSWORD, NETWORK)
    sessions.end(by.actor, admission.session_id)
    assert admission.user.id == by.id
    with pytest.raises(sign_in.WrongPassword):
        sign_in.sign_in(ADDRESS, "a wrong pass phrase", NETWORK)
    accounts.change_role(admin.actor, by.public_id, Role.SUPPORT, 2)
    accounts.change_role(admin.actor, by.public_id, Role.ADMIN, 3)
    sign_in.sign_in(ADDRESS, PASSWORD, NETWORK)
    password_resets.offer(admin.actor, by.public_id)
    invitations.invite(by.actor, "newcomer@example.com", Role.SUPPORT)
    values = WebhookValues(name="Mine", url="https://erp.example.com/hook", events=("asset.lost",))
    drafts.send_test(by.actor, uuid4(), values, "asset.lost")
    assert session().scalars(select(Link).where(Link.email == ADDRESS)).first() is not None
    assert session().get(User, by.id) is not None
