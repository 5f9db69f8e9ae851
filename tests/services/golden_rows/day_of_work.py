"""A day in which people take every action once, with every optional field filled in."""

from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy import select

from jobs import tasks as job
from portal.engine.reasons import Reason
from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.assets import Action, AssetStatus
from portal.models.audit import ErasedKind
from portal.models.deliveries import Delivery
from portal.models.people import Role
from portal.models.webhooks import Webhook
from portal.services.actions import assignments, bulk, incidents, stock
from portal.services.actions.incidents import ClaimValues, DisposalValues
from portal.services.actions.planning import maintenance, reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.assets import named_lists, staff
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import Actor
from portal.services.core.unit_of_work import session
from portal.services.csv import import_task
from portal.services.deliveries import dismissals, retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.erasure import erase
from portal.services.operations import sending
from portal.services.people import accounts, invitations, password_resets, sign_in
from portal.services.people.accounts import Details
from portal.services.people.invitations import NewPerson
from portal.services.task_kinds import KINDS
from portal.services.webhooks import crud, secrets, turn_on_off
from portal.services.webhooks.rules import SecretMode, WebhookValues
from tests.jobs.dispatcher.delivery_clock import claim, ended, make_due, write_down
from tests.services.actions.every_action import asset_in
from tests.support.factories import make_asset, make_location, make_staff

ANSWERED = ("asset.created", "asset.updated", "asset.lost")


def live_a_day(by: Actor) -> None:
    """Take all actions of the day as this person."""
    webhook = connect(by)
    move(by)
    plan(by)
    count(by)
    look_after_lists(by)
    send(by, webhook)
    look_after_webhooks(by, webhook)
    look_after_people(by)
    do_many(by)
    sending.stop(by)


def connect(by: Actor) -> UUID:
    """Create a webhook with every setting filled in, and return its public id."""
    values = WebhookValues(
        name="Ledger",
        url="https://ledger.example.com/hooks/9?key=4711",
        events=ANSWERED,
        url_is_secret=True,
        secret_mode=SecretMode.OWN,
        secret="what only the two of us know",
        headers=(("X-Tenant", "4711"), ("X-Area", "North")),
    )
    return crud.create(by, values)


def move(by: Actor) -> None:
    """Take every asset action, with all its texts."""
    now, day = utcnow(), timedelta(days=1)
    maria, ben = make_staff("Maria Lopez 2"), make_staff("Ben Fox")
    store, studio = make_location("Store"), make_location("Studio 2")
    held, lent, moved, lost = (make_asset(f"Thing {n}", by=by) for n in range(4))
    assignments.allocate(by, held, staff_id=maria, note="With charger")
    assignments.reassign(by, held, staff_id=ben, reason="New team", note="As it is")
    assignments.revoke(
        by, held, condition_in="fair", location_id=store, reason="New device", note="Scratched"
    )
    assignments.check_out(
        by, lent, staff_id=maria, due_at=now + 3 * day, purpose="Fair", note="With bag"
    )
    assignments.change_due_date(by, lent, due_at=now + 4 * day, note="The fair is longer")
    assignments.check_in(by, lent, condition_in="fair", location_id=studio, note="Late")
    incidents.transfer(by, moved, location_id=store, reason="Move", note="By car")
    incidents.report_lost(by, lost, description="On the train", lost_at=now - day, note="Told them")
    incidents.come_back(
        by, lost, Action.FIND, condition="fair", location_id=studio, note="It was there"
    )
    incidents.report_broken(
        by, lost, description="It fell", broken_at=now - day, note="From a desk"
    )
    claim_ = ClaimValues(
        problem="No picture",
        supplier="Acme",
        rma_number="R-1",
        expected_back_on=date(2026, 4, 1),
        note="In its box",
    )
    incidents.send_to_warranty(by, lost, claim_)
    incidents.come_back(by, lost, Action.RECEIVE_BACK, condition="good", location_id=store)
    sold = DisposalValues(method="sold", proceeds=Decimal(180), recipient="Ben Fox", note="Cash")
    incidents.liquidate(by, moved, sold)
    incidents.undo_liquidation(by, moved, note="It was the other one")


def plan(by: Actor) -> None:
    """Bring reservations and maintenance to each of their ends."""
    now, day = utcnow(), timedelta(days=1)
    thing, maria = make_asset("Camera 2", by=by), make_staff("Mia Berg")
    wishes = [
        reservations.reserve(
            by,
            thing,
            ReservationValues(
                staff_id=maria,
                starts_at=now + n * day,
                ends_at=now + n * day + day / 2,
                purpose="Shooting",
                note="With lights",
            ),
        )
        for n in range(1, 5)
    ]
    reservations.approve(by, wishes[0])
    reservations.reject(by, wishes[1], "It is away then")
    reservations.cancel(by, wishes[2], "It rains")
    values = PlanValues(
        title="Clean it",
        type="inspection",
        due_on=(now + 9 * day).date(),
        repeat_every_days=90,
        assignee_id=maria,
        supplier="Acme",
        estimated_cost=Decimal(40),
        note="Twice",
    )
    works = [maintenance.schedule(by, thing, values) for _ in range(3)]
    maintenance.start(by, works[0], "In the morning")
    done = WorkValues(
        outcome="ok",
        completed_on=now.date(),
        cost=Decimal("35.50"),
        performed_by_id=maria,
        note="As new",
    )
    maintenance.complete(by, works[0], done)
    maintenance.cancel(by, works[1], "Not worth it")


def count(by: Actor) -> None:
    """Receive, issue and adjust a consumable."""
    paper = make_asset("Paper", by=by, kind="stock", quantity=9, min_quantity=5, unit="packs")
    stock.receive(by, paper, quantity=20, note="Order 4711")
    stock.issue(by, paper, quantity=27, note="Exam week")
    stock.adjust(by, paper, quantity=3, note="Counted")
    stock.adjust(by, paper, quantity=1, is_loss=True, note="Wet")


def look_after_lists(by: Actor) -> None:
    """Edit categories, locations and staff."""
    for kind in (named_lists.CATEGORIES, named_lists.LOCATIONS):
        made = named_lists.create(kind, by, "Old name")
        named_lists.rename(kind, by, made, 1, "New name")
        named_lists.delete(kind, by, named_lists.create(kind, by, "Spare"))
    values = StaffValues(
        name="Zoe Hall", email="zoe@example.com", employee_no="17", department="IT", phone="12"
    )
    ivo = staff.create(by, StaffValues(name="Ivo Lang", email="ivo@example.com"))
    erase.erase(by, ErasedKind.STAFF, ivo, 1, "ivo@example.com")
    job.work(KINDS)
    zoe = staff.create(by, values)
    staff.edit(by, zoe, 1, StaffValues(name="Zoe Hill", email="zoe@example.com", phone="13"))
    staff.deactivate(by, zoe)


def send(by: Actor, webhook: UUID) -> None:
    """Record attempts of every kind, and dismiss, retry and restore failures."""
    row = session().scalars(select(Webhook.id).where(Webhook.public_id == webhook)).one()
    claims = [attempt for attempt in claim() if attempt.webhook.id == row]
    for attempt, reason in zip(claims, (None, Reason.SERVER, Reason.READ_TIMEOUT), strict=False):
        write_down(ended(attempt, reason))
    make_due()
    newest = select(Delivery.public_id).where(Delivery.webhook_id == row).order_by(Delivery.id)
    open_ones = session().scalars(newest.where(Delivery.status == "queued")).all()
    session().rollback()
    dismissals.dismiss(by, Selection(ticked=tuple(open_ones[:2])), "Sent by hand")
    retry.retry(by, open_ones[0])
    failed = session().scalars(select(Delivery.public_id).where(Delivery.code == 500)).all()
    session().rollback()
    dismissals.dismiss(by, Selection(ticked=tuple(failed)))
    dismissals.restore(by, failed[:1])


def look_after_webhooks(by: Actor, webhook: UUID) -> None:
    """Edit, re-key, turn off and on, and delete webhooks, and pause all sending for a while."""
    version = session().scalars(select(Webhook.version).where(Webhook.public_id == webhook)).one()
    session().rollback()
    values = WebhookValues(
        name="Ledger 2",
        url="https://ledger.example.com/hooks/9?key=4711",
        events=ANSWERED[:2],
        secret_mode=SecretMode.OWN,
        secret="another that the two of us know",
        headers=(("X-Tenant", ""),),
        in_order=True,
    )
    crud.edit(by, webhook, version, values)
    secrets.switch_now(by, webhook)
    turn_on_off.turn_off(by, webhook)
    dismissals.turn_on(by, webhook, "Out of date")
    gone = WebhookValues(name="Gone", url="https://gone.example.com/", events=ANSWERED)
    crud.delete(by, crud.create(by, gone))
    sending.stop(by)
    sending.start(by)


def look_after_people(by: Actor) -> None:
    """Invite, promote, disable and enable a person, and change the own account."""
    token = invitations.invitation_link(by, "ida@example.com", Role.SUPPORT).partition("token=")[2]
    ida = NewPerson(
        name="Ida Moe",
        email="ida@example.com",
        password="a long enough pass phrase",
        time_zone="Europe/Oslo",
    )
    invitations.accept(token, uuid4(), ida, "Firefox on Linux")
    (person,) = [user for user in accounts.listing() if user.name == "Ida Moe"]
    accounts.change_role(by, person.public_id, Role.MANAGER, person.version)
    link = password_resets.offer_by_email(by, "ida@example.com").partition("token=")[2]
    password_resets.use(link, uuid4(), "another long pass phrase", "10.0.0.9", "Safari on iOS")
    accounts.disable(by, person.public_id)
    accounts.enable(by, person.public_id)
    with suppress(sign_in.WrongPassword):
        sign_in.sign_in("ida@example.com", "not this one", "10.0.0.9")
    sign_in.sign_in("ida@example.com", "another long pass phrase", "10.0.0.9", device="Edge")
    accounts.change_details(by, Details("Ana Gruber", "Europe/Berlin"))
    rules = AlertRules(warranty_days=45, repeat_every_days=3, low_stock_on=False)
    alert_settings.save(by, alert_settings.read().version, rules)


def do_many(by: Actor) -> None:
    """Run an import and a bulk action."""
    content = b"name,category,purchase_cost\nLamp 1,Lamps,12.50\nLamp 2,Lamps,13\n"
    check = import_task.upload(by, read_csv(content), file_name="lamps.csv")
    job.work(KINDS)
    import_task.confirm(by, check)
    job.work(KINDS)
    ids = [asset_in(AssetStatus.CHECKED_OUT) for _ in range(2)]
    bulk.start(by, Action.CHECK_IN, ids, {"condition_in": "fair", "note": "All at once"})
    job.work(KINDS)
