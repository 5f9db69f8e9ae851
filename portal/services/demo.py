"""A register as it would be after two years: 200 assets, their people, and what became of them.

Everything goes through the services, in the names of the same rules as by hand; afterwards the
times are moved into the past. The same every time: what is shown to one can be shown to another.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from portal.lib.calendar_months import add_months
from portal.lib.clock import utcnow
from portal.models.alerts import FirstAnswer, RunKind
from portal.models.assets import Activity, Asset, Condition
from portal.models.holdings import Assignment
from portal.models.planning import MaintenanceType
from portal.models.webhooks import Webhook
from portal.services import (
    alert_settings,
    alerts,
    assets,
    holdings,
    incidents,
    maintaining,
    named_lists,
    reserving,
    stock,
)
from portal.services import staff as people
from portal.services.asset_rules import AssetValues
from portal.services.demo_data import (
    DEPARTMENTS,
    FATES,
    LOCATIONS,
    PEOPLE,
    PRODUCTS,
    STOCK,
    Product,
)
from portal.services.incident_values import ClaimValues
from portal.services.permissions import Actor
from portal.services.planning_rules import PlanValues, ReservationValues
from portal.services.refusals import Refusal
from portal.services.staff import StaffValues
from portal.services.told_times import today
from portal.services.unit import session, writing

SEED: Final = 1848
CONDITIONS: Final = (Condition.EXCELLENT, Condition.GOOD, Condition.GOOD, Condition.FAIR)

Rows = Mapping[str, int]


def seed(actor: Actor) -> int:
    """Fill an empty register; how many assets it has then.

    Refused where there are assets already, or webhooks that would be told of all of it.
    """
    check()
    chance = Random(SEED)  # noqa: S311 - a likeness of chance, the same every time
    categories = _listed(actor, named_lists.CATEGORIES, sorted({p.category for p in PRODUCTS}))
    _listed(actor, named_lists.CATEGORIES, ["Consumables"])
    locations = _listed(actor, named_lists.LOCATIONS, LOCATIONS)
    staff = [_person(actor, name, number) for number, name in enumerate(PEOPLE)]
    for product in PRODUCTS:
        for _ in range(product.pieces):
            values = _values(product, chance, categories, locations)
            _thing(actor, values, chance, staff)
    for number in range(len(STOCK)):
        _stock(actor, number, chance, locations)
    _look_for_alerts(actor)
    return session().execute(select(func.count(Asset.id))).scalar_one()


def _look_for_alerts(actor: Actor) -> None:
    """As if always: no first question, and a system connected later hears of no old news."""
    with writing() as current:
        alert_settings.answer(current, actor, FirstAnswer.SEND)
    alerts.run(RunKind.MANUAL)


def check() -> int:
    """How many assets `seed` would add. Raises `Refusal` where it may not."""
    current = session()
    if current.scalar(select(Asset.id).limit(1)) is not None:
        raise Refusal("The register holds assets already. The demo is for an empty one.")
    if current.scalar(select(Webhook.id).where(Webhook.deleted_at.is_(None)).limit(1)) is not None:
        raise Refusal("A webhook would be told of all of it. Fill the register first, then add it.")
    return sum(product.pieces for product in PRODUCTS) + len(STOCK)


def _listed(actor: Actor, kind: named_lists.NamedList, names: Iterable[str]) -> Rows:
    known = {name for _, _, name in named_lists.choices(kind)}
    for name in names:
        if name not in known:
            named_lists.create(kind, actor, name)
    return {name: row_id for row_id, _, name in named_lists.choices(kind)}


def _person(actor: Actor, name: str, number: int) -> int:
    address = f"{name.lower().replace(' ', '.')}@example.com"
    department = DEPARTMENTS[number % len(DEPARTMENTS)]
    values = StaffValues(
        name=name, email=address, employee_no=f"E-{1001 + number}", department=department
    )
    return people.find(people.create(actor, values)).id


def _values(product: Product, chance: Random, categories: Rows, locations: Rows) -> AssetValues:
    bought = today() - timedelta(days=chance.randrange(20, 900))
    return AssetValues(
        name=product.name,
        category_id=categories[product.category],
        location_id=chance.choice(sorted(locations.values())),
        manufacturer=product.manufacturer,
        model=product.model,
        serial_number=f"{product.model[:2].upper()}{chance.randrange(16**8):08X}".replace(" ", ""),
        condition=chance.choice(CONDITIONS),
        supplier=product.supplier,
        order_number=f"PO-{bought:%y%m}-{chance.randrange(100, 999)}",
        purchase_date=bought,
        purchase_cost=Decimal(product.cost),
        warranty_expires=_warranty(bought, product),
        reservable=product.category not in {"Furniture", "Phones"},
    )


def _warranty(bought: date, product: Product) -> date:
    return add_months(bought, 12 * product.warranty_years)


def _thing(actor: Actor, values: AssetValues, chance: Random, staff: list[int]) -> None:
    """One asset with its fate, in one transaction, so that nobody sees it half made."""
    (fate,) = chance.choices([name for name, _ in FATES], [share for _, share in FATES])
    days = (today() - (values.purchase_date or today())).days
    with writing() as current:
        asset_id = assets.create_asset(actor, values)
        _made_past(current, asset_id, timedelta(days=days))
        if chance.random() < 0.3:
            _had_before(current, actor, asset_id, chance, staff)
        _meet(current, actor, asset_id, fate, chance, staff)


def _had_before(
    current: Session, actor: Actor, asset_id: int, chance: Random, staff: list[int]
) -> None:
    before = _last_line(current, asset_id)
    holdings.allocate(actor, asset_id, staff_id=chance.choice(staff))
    holdings.revoke(actor, asset_id, reason="Changed teams")
    # After it was bought, which is 20 days ago at the latest, and before what becomes of it now.
    _made_past(current, asset_id, timedelta(days=19, hours=chance.randrange(12)), after=before)


def _meet(
    current: Session,
    actor: Actor,
    asset_id: int,
    fate: str,
    chance: Random,
    staff: list[int],
) -> None:
    who, before, now = chance.choice(staff), _last_line(current, asset_id), utcnow()
    if fate == "allocated":
        holdings.allocate(actor, asset_id, staff_id=who)
        _made_past(current, asset_id, timedelta(days=chance.randrange(1, 5)), after=before)
    elif fate in {"lent", "late"}:
        due_at = now + timedelta(days=chance.randrange(1, 14), hours=chance.randrange(8))
        holdings.check_out(actor, asset_id, staff_id=who, due_at=due_at, purpose="Client visit")
        back = timedelta(days=chance.randrange(15, 19) if fate == "late" else 1)
        _made_past(current, asset_id, back, after=before, due=fate == "late")
    elif fate == "planned":
        due_on = today() + timedelta(days=chance.randrange(2, 40))
        plan = PlanValues(title="Safety check", type=MaintenanceType.INSPECTION, due_on=due_on)
        maintaining.schedule(actor, asset_id, plan)
    elif fate == "reserved":
        starts_at = now + timedelta(days=chance.randrange(2, 20))
        wish = ReservationValues(
            staff_id=who, starts_at=starts_at, ends_at=starts_at + timedelta(days=2)
        )
        reservation = reserving.reserve(actor, asset_id, wish)
        if chance.random() < 0.5:
            reserving.approve(actor, reservation)
    else:
        _suffer(actor, asset_id, fate)


def _suffer(actor: Actor, asset_id: int, fate: str) -> None:
    if fate == "broken":
        incidents.report_broken(actor, asset_id, description="It does not switch on any more")
    elif fate == "warranty":
        claim = ClaimValues(problem="The display flickers", rma_number="RMA-20417")
        incidents.send_to_warranty(actor, asset_id, claim)
    elif fate == "lost":
        incidents.report_lost(actor, asset_id, description="Last seen at a trade fair")


def _stock(actor: Actor, number: int, chance: Random, locations: Rows) -> None:
    kept = STOCK[number]
    categories = {name: row_id for row_id, _, name in named_lists.choices(named_lists.CATEGORIES)}
    values = AssetValues(
        name=kept.name,
        kind="stock",
        quantity=kept.quantity,
        min_quantity=kept.min_quantity,
        unit=kept.unit,
        category_id=categories["Consumables"],
        location_id=locations["Warehouse"],
        reservable=False,
    )
    is_low = number % 5 == 0
    with writing():
        asset_id = assets.create_asset(actor, values)
        taken = kept.quantity - kept.min_quantity + 1 if is_low else chance.randrange(1, 4)
        stock.issue(actor, asset_id, quantity=taken, note="Restocked the offices")


def _last_line(current: Session, asset_id: int) -> int:
    wanted = select(func.max(Activity.id)).where(Activity.asset_id == asset_id)
    return current.execute(wanted).scalar_one() or 0


def _made_past(
    current: Session, asset_id: int, ago: timedelta, *, after: int | None = None, due: bool = False
) -> None:
    """Move what has just been written down into the past: the whole asset, or the lines `after`.

    `due`: the due time as well, so that what was lent is late.
    """
    at = utcnow() - ago
    lines: list[ColumnElement[bool]] = [Activity.asset_id == asset_id]
    if after is None:
        current.execute(update(Asset).where(Asset.id == asset_id).values(created_at=at))
    else:
        lines.append(Activity.id > after)
    current.execute(update(Activity).where(*lines).values(at=at))
    for held in current.scalars(select(Assignment).where(Assignment.asset_id == asset_id)):
        if held.started_at > at and after is not None:
            held.started_at = at
            held.ended_at = held.ended_at and at + timedelta(hours=6)
            held.due_at = held.due_at and (held.due_at - ago if due else held.due_at)
    asset = current.get(Asset, asset_id)
    if asset is not None:
        asset.updated_at = at
    current.flush()
    current.expire_all()
