"""Fill a register with realistic records of some days, for page checks and pictures."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy import select, update

from jobs import tasks as job
from portal.engine.events.samples import sample_body
from portal.lib.clock import utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.models.alerts import RunKind
from portal.models.assets import Action
from portal.models.deliveries import Priority
from portal.models.people import Role
from portal.models.webhooks import Webhook
from portal.services.actions import bulk, lifecycle, stock
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.alerts import ledger, runs
from portal.services.alerts import queries as alert_queries
from portal.services.alerts.queries import AlertFilter
from portal.services.assets import named_lists, staff
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import Actor
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.services.csv import import_task
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import backups
from portal.services.operations.backups import Copy
from portal.services.outbox import rollups
from portal.services.outbox.rollups import StatusChange
from portal.services.people import invitations, tokens
from portal.services.webhooks import crud, drafts, inbox, turn_on_off
from portal.services.webhooks.rows import token_of
from portal.services.webhooks.rules import WebhookValues
from tests.services.alerts.due_things import decided, lent, with_maintenance, with_warranty
from tests.support.deliveries import change, make_attempt, make_delivery
from tests.support.factories import Hook, Person, make_asset, make_user

LIFE: Final = ("asset.created", "asset.updated", "asset.deleted")
THINGS: Final = (
    ("ThinkPad T14", "Laptops", "Head office, room 204", "PF4X9Z2K"),
    ("MacBook Air 13", "Laptops", "Head office, room 117", "C02XK1LZ"),
    ("Epson L210W", "Projectors", "Training centre", "X8KP0304"),
    ("Canon EOS R7", "Cameras", "Studio", "033021000417"),
    ("Makita drill", "Tools", "Workshop", None),
)
PHASES: Final = {"name": 3.0, "connect": 11.0, "tls": 40.0, "first_byte": 130.0, "total": 143.0}
HOOKS: Final = (
    ("Helpdesk", "https://helpdesk.example.com/hooks/assets"),
    ("Sync to ERP", "https://erp.example.com/api/webhooks/4711"),
    ("Room booking", "https://rooms.example.com/incoming"),
    ("Payroll", "https://payroll.example.com/events"),
)
TOOK: Final = {"refused": 31, "blocked": 4, "on_hold": None}
# Tries made → minutes until the next one.
MINUTES_LEFT: Final = {2: 1.5, 4: 117}
# Newest first; see `Line`.
LOG: Final = (
    ("asset.updated", 0, "Helpdesk", "retrying", "refused", None, 2, 4),
    ("asset.updated", 0, "Sync to ERP", "delivered", None, 200, 1, 4),
    ("asset.updated", 2, "Room booking", "failed", "blocked", None, 1, 12),
    ("asset.created", 4, "Helpdesk", "retrying", "refused", None, 4, 38),
    ("asset.created", 4, "Sync to ERP", "delivered", None, 202, 1, 38),
    ("asset.updated", 2, "Payroll", "on_hold", None, None, 0, 97),
    ("asset.created", 3, "Helpdesk", "delivered", None, 204, 1, 171),
    ("asset.created", 3, "Sync to ERP", "delivered", None, 200, 2, 171),
    ("asset.updated", 1, "Sync to ERP", "delivered", None, 200, 1, 260),
    ("asset.deleted", 1, "Sync to ERP", "dismissed", None, None, 1, 1300),
)
# Hours ago, webhook, number delivered, number failed.
DAYS: Final = (
    (0, "Room booking", 0, 1),
    (0, "Sync to ERP", 2, 0),
    (3, "Helpdesk", 6, 0),
    (4, "Sync to ERP", 9, 0),
    (7, "Sync to ERP", 14, 2),
    (20, "Helpdesk", 4, 1),
    (50, "Room booking", 12, 0),
    (75, "Helpdesk", 29, 11),
)

DISMISSED = {"dismissed_by": "Ana Gruber", "dismissed_reason": "Sent by hand"}


class Line(NamedTuple):
    """A delivery in the log. `thing` is an index of `THINGS`."""

    event: str
    thing: int
    webhook: str
    status: str
    reason: str | None
    code: int | None
    tries: int
    minutes_ago: int


@dataclass(frozen=True, slots=True)
class Filled:
    """A record of each kind to open, by the first part of its pages' endpoint names."""

    assets: int
    stock: int
    tasks: UUID
    importing: UUID
    bulk: UUID
    batches: UUID
    staff: UUID
    reservation: UUID
    maintenance: UUID
    categories: UUID
    locations: UUID
    webhooks: UUID
    webhook_drafts: UUID
    deliveries: UUID
    people: UUID
    invitations: UUID
    tokens: UUID
    backups: str
    help: str = "alerts"


def fill(by: Person) -> Filled:
    """Store all records as `by`, and return one of each kind to open."""
    ids = _things(by.actor)  # before the webhooks, whose deliveries are stored below
    paper = _consumable(by.actor)
    maria, reservation, maintenance = _plans(by.actor, ids[0])
    _alerts(by.actor)
    checked = checked_import(by.actor)
    many = bulk.start(by.actor, Action.CHECK_IN, ids, {})
    hooks = _webhooks(by.actor)
    made = [_delivery(hooks, ids, Line(*each)) for each in reversed(LOG)]
    _days(hooks)
    _inbox(by.actor)
    colleague = make_user(Role.SUPPORT, name="Ben Novak", email="ben.novak@example.com")
    return Filled(
        assets=ids[0],
        stock=paper,
        tasks=many,
        importing=checked,
        bulk=many,
        batches=bulk_retry.start(by.actor, Selection(ticked=tuple(made[:7]))),
        staff=maria,
        reservation=reservation,
        maintenance=maintenance,
        categories=named_lists.choices(named_lists.CATEGORIES)[0][1],
        locations=named_lists.choices(named_lists.LOCATIONS)[0][1],
        webhooks=hooks["Helpdesk"].public_id,
        webhook_drafts=tested_draft(by.actor),
        deliveries=made[-1],
        people=colleague.public_id,
        invitations=invitations.invite(by.actor, "cleo.marin@example.com", Role.MANAGER),
        tokens=tokens.create(by.actor, "MDM", Role.MANAGER, read_only=False, days=365)[0],
        backups=kept_backup(by.actor),
    )


def kept_backup(by: Actor) -> str:
    """Store a dummy backup where this machine keeps them, and return its file name."""
    backups.folder().mkdir(mode=0o700, exist_ok=True)
    path = backups.folder() / "portal-2026-11-30-020000.backup"
    path.write_bytes(bytes(1200 * 1024))
    rows = {"assets": 200, "events": 3400, "deliveries": 5100, "webhooks": 8, "users": 3}
    with writing() as current:
        backups.record(current, by, Copy(path, path.stat().st_size, rows))
    return path.name


def checked_import(by: Actor) -> UUID:
    """Upload and check a file with a good row and a bad row, and return the task's id."""
    content = b"name,purchase_date\nDesk lamp,2026-01-02\nOffice chair,yesterday\n"
    public_id = import_task.upload(by, read_csv(content), file_name="assets.csv")
    job.work({import_task.CHECK_NAME: import_task.CHECK})
    return public_id


def _things(by: Actor) -> list[int]:
    """Add the assets, change the first one once, and return their ids."""
    ids = [_thing(by, *each) for each in THINGS]
    first = lifecycle.find_asset(ids[0])
    changed = replace(lifecycle.values_of(first), serial_number="PF4X9Z2L")
    lifecycle.edit_asset(by, ids[0], first.version, changed)
    return ids


def _consumable(by: Actor) -> int:
    """Add a consumable, receive and issue some of it, and return its id."""
    paper = make_asset(
        "Copy paper A4", by=by, kind="stock", quantity=40, min_quantity=10, unit="packs"
    )
    stock.receive(by, paper, quantity=20, note="Order 4711")
    stock.issue(by, paper, quantity=52, note="Exam week")
    return paper


def _plans(by: Actor, asset_id: int) -> tuple[UUID, UUID, UUID]:
    """Return a person, a pending reservation beside an approved one, and late maintenance."""
    person = StaffValues(name="Maria Lopez", email="maria.lopez@example.com")
    maria, noon = staff.create(by, person), utcnow().replace(hour=12, minute=0, second=0)
    row_id, day = staff.find(maria).id, timedelta(days=1)
    wishes = [
        ReservationValues(
            staff_id=row_id, starts_at=noon + start * day, ends_at=noon + end * day, purpose="Fair"
        )
        for start, end in ((20, 24), (3, 9))
    ]
    made = [planning_reservations.reserve(by, asset_id, each) for each in wishes]
    planning_reservations.approve(by, made[0])
    late = PlanValues(title="Battery check", due_on=noon.date() - day, assignee_id=row_id)
    ended = planning_maintenance.schedule(by, asset_id, late)
    planning_maintenance.complete(by, ended, WorkValues(outcome="ok", completed_on=today()))
    return maria, made[1], planning_maintenance.schedule(by, asset_id, late)


def _thing(by: Actor, name: str, category: str, location: str, serial: str | None) -> int:
    kept = {
        "category_id": _listed(named_lists.CATEGORIES, by, category),
        "location_id": _listed(named_lists.LOCATIONS, by, location),
    }
    return make_asset(name, by=by, serial_number=serial, manufacturer=name.split()[0], **kept)


def _listed(kind: named_lists.NamedList, by: Actor, name: str) -> int:
    known = {label: row_id for row_id, _, label in named_lists.choices(kind)}
    if name in known:
        return known[name]
    row_id: int = named_lists.find(kind, named_lists.create(kind, by, name)).id
    return row_id


def _alerts(by: Actor) -> None:
    """Add an acknowledged alert, an open alert, and one that is due in the next run."""
    decided()
    lent(30)
    runs.run(RunKind.MANUAL)
    with_warranty(12)
    runs.run(RunKind.MANUAL)
    newest, *_ = alert_queries.list_alerts(AlertFilter()).rows
    ledger.acknowledge(by, newest.public_id)
    with_maintenance(3)


def _inbox(by: Actor) -> None:
    """Open the built-in inbox and receive an unsigned message."""
    token, body = token_of(inbox.open_inbox(by)), sample_body(LIFE[0], test=True)
    headers = [("Content-Type", "application/json"), ("X-Asset-Webhook-Event", LIFE[0])]
    assert inbox.receive(token, headers, body)


def _webhooks(by: Actor) -> dict[str, Hook]:
    """Add four webhooks: one failing, one off, and two healthy."""
    hooks = {name: _webhook(by, name, url) for name, url in HOOKS}
    now = utcnow()
    minutes = {"Helpdesk": 171, "Sync to ERP": 4, "Room booking": 3000}
    for name, ago in minutes.items():
        _set(hooks[name], last_delivered_at=now - timedelta(minutes=ago))
    _set(hooks["Helpdesk"], failures_in_row=7, failing_since=now - timedelta(minutes=38))
    turn_on_off.turn_off(by, hooks["Payroll"].public_id)
    return hooks


def _webhook(by: Actor, name: str, url: str) -> Hook:
    headers = (("X-Tenant", "4711"),) if name == "Helpdesk" else ()
    values = WebhookValues(name=name, url=url, events=LIFE, headers=headers)
    public_id = crud.create(by, values)
    row_id = session().scalar(select(Webhook.id).where(Webhook.public_id == public_id))
    assert row_id is not None
    return Hook(row_id, public_id, name, url, None)


def tested_draft(by: Actor) -> UUID:
    """Add a tested webhook form that isn't saved, and return its id."""
    form = uuid4()
    values = WebhookValues(name="Helpdesk 2", url=HOOKS[0][1], events=LIFE)
    drafts.send_test(by, form, values, LIFE[0])
    (test,) = drafts.find(by, form).tests
    make_attempt(test, kind="test", url=values.url, outcome="delivered", code=200, phases=PHASES)
    change(test, status="delivered", code=200, took_ms=143)
    return form


def _set(hook: Hook, **columns: object) -> None:
    with writing() as current:
        current.execute(update(Webhook).where(Webhook.id == hook.id).values(**columns))


def _delivery(hooks: dict[str, Hook], ids: list[int], line: Line) -> UUID:
    """Add a delivery and its attempts."""
    hook, at = hooks[line.webhook], utcnow() - timedelta(minutes=line.minutes_ago)
    is_over = line.status != "retrying"
    made = make_delivery(
        hook,
        event=line.event,
        asset_id=ids[line.thing],
        asset_tag=f"AST-{line.thing + 1:05}",
        asset_name=THINGS[line.thing][0],
        body=sample_body(line.event),
        occurred_at=at,
        created_at=at,
        due_at=utcnow() + timedelta(minutes=MINUTES_LEFT.get(line.tries, 0)),
        status=line.status,
        tries=line.tries,
        reason=line.reason,
        code=line.code,
        took_ms=TOOK.get(line.reason or line.status, 143),
        **(DISMISSED | {"dismissed_at": at} if line.status == "dismissed" else {}),
        finished_at=at if is_over else None,
    )
    for number in range(line.tries):
        _attempt(made, hook, line, at + timedelta(minutes=line.minutes_ago / 12 * number))
    change(made, attempts=line.tries)
    return made


def _days(hooks: dict[str, Hook]) -> None:
    """Count the deliveries that the charts show."""
    now = utcnow()
    with writing() as current:
        for hours_ago, webhook, delivered, failed in DAYS:
            entries = [StatusChange(hooks[webhook].id, "delivered", Priority.NORMAL)] * delivered
            ended = StatusChange(hooks[webhook].id, "failed", Priority.NORMAL, has_failed=True)
            entries += [ended] * failed
            rollups.count(current.connection(), entries, now - timedelta(hours=hours_ago))


def _attempt(made: UUID, hook: Hook, line: Line, at: datetime) -> None:
    arrived = line.status == "delivered"
    make_attempt(
        made,
        url=hook.url,
        started_at=at,
        finished_at=at + timedelta(milliseconds=143),
        outcome="delivered" if arrived else "failed",
        reason=line.reason if not arrived else None,
        code=line.code,
        phases=PHASES if line.code else {"name": 3.0, "total": 31.0},
        detail="Connection refused" if line.reason == "refused" else "",
        response_text="stored" if line.code == 202 else "",
        response_headers=[["Server", "nginx"]] if line.code else [],
        request_headers=[["Content-Type", "application/json"], ["X-Tenant", "••••"]],
    )
