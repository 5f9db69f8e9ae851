"""A register as it would be after two years: 200 assets, their people, and what became of them;
and a month of deliveries to the systems that it is connected to.

Everything goes through the services and the engine, by the same rules as by hand, at the times at
which it is said to have happened. Nearly the same every time: what is shown to one can be shown to
another.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Final, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.lib.clock import frozen, utcnow
from portal.lib.typed_values import last_day
from portal.models.alerts import Alert
from portal.models.assets import Asset, Condition
from portal.models.assignments import Staff
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.actions import stock
from portal.services.assets import named_lists, staff
from portal.services.assets.rules import AssetValues
from portal.services.assets.staff import StaffValues
from portal.services.core import vault
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
from portal.services.demo import loans
from portal.services.demo.connections import Connections
from portal.services.demo.data import (
    DEPARTMENTS,
    KEPT,
    LOCATIONS,
    PEOPLE,
    PRODUCTS,
    STOCK,
    TAKEN_FOR,
    Consumable,
    Product,
)
from portal.services.demo.diary import Diary
from portal.services.demo.histories import Thing, live, working_hour
from portal.services.demo.loans import JUST_NOW
from portal.services.demo.sender import Sender
from portal.services.operations import retention

SEED: Final = 1849
OLDEST: Final = 900  # days ago the first thing was bought
CONSUMABLES: Final = "Consumables"
CONDITIONS: Final = (Condition.EXCELLENT, Condition.GOOD, Condition.GOOD, Condition.FAIR)

# The rows themselves: each event names two, and a session looks up again what nobody holds.
Rows = Mapping[str, named_lists.Named]


class Common(NamedTuple):
    """What all things share."""

    current: Session
    actor: Actor
    chance: Random
    diary: Diary


@dataclass(frozen=True, slots=True)
class Seeded:
    """How many of what there are afterwards."""

    assets: int
    staff: int
    webhooks: int
    deliveries: int
    alerts: int


def seed(actor: Actor) -> Seeded:
    """Fill an empty register, and connect it: all of it, or nothing.

    Refused where there are assets already, or webhooks that would be told of all of it. In one
    transaction, so that nobody sees it half told, and no worker sends what the story sends.
    """
    with writing() as current:
        check()
        vault.refuse_other_keys()  # now, and not after minutes of work
        made = _tell(current, actor)
    retention.prune()
    return made


def _tell(current: Session, actor: Actor) -> Seeded:
    chance = Random(SEED)  # noqa: S311 - a likeness of chance, the same every time
    diary, now = Diary(), utcnow()
    with frozen(working_hour(chance, OLDEST + 1)):
        team, categories, locations = _beginnings(actor)
        current.flush()
    common = Common(current, actor, chance, diary)
    things = list(_things(common, team, categories, locations))
    for number in range(len(STOCK)):
        _stock(common, number, categories, locations)
    loans.note(diary, things, chance, now)
    sender = Sender(current, chance, now)
    Connections(actor, sender, now).note(diary)
    diary.tell(current, before=lambda at: sender.go_on(min(at, now - JUST_NOW[0])))
    sender.leave_one_under_way()
    return _counted(current)


def _counted(current: Session) -> Seeded:
    tables = (Asset, Staff, Webhook, Delivery, Alert)
    return Seeded(*(current.scalar(select(func.count()).select_from(each)) or 0 for each in tables))


def _beginnings(actor: Actor) -> tuple[list[int], Rows, Rows]:
    """People, categories and places."""
    names = [*sorted({product.category for product in PRODUCTS}), CONSUMABLES]
    categories = _listed(actor, named_lists.CATEGORIES, names)
    locations = _listed(actor, named_lists.LOCATIONS, LOCATIONS)
    team = [_person(actor, name, number) for number, name in enumerate(PEOPLE)]
    return team, categories, locations


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
    rows: Iterable[named_lists.Named] = session().scalars(select(kind.model))
    return {row.name: row for row in rows}


def _person(actor: Actor, name: str, number: int) -> int:
    address = f"{name.lower().replace(' ', '.')}@example.com"
    department = DEPARTMENTS[number % len(DEPARTMENTS)]
    values = StaffValues(
        name=name, email=address, employee_no=f"E-{1001 + number}", department=department
    )
    return staff.find(staff.create(actor, values)).id


def _values(
    product: Product, days: int, chance: Random, categories: Rows, locations: Rows
) -> AssetValues:
    bought = today() - timedelta(days=days)
    return AssetValues(
        name=product.name,
        category_id=categories[product.category].id,
        location_id=chance.choice(sorted(row.id for row in locations.values())),
        manufacturer=product.manufacturer,
        model=product.model,
        serial_number=f"{product.model[:2].upper()}{chance.randrange(16**8):08X}".replace(" ", ""),
        condition=chance.choice(CONDITIONS),
        supplier=product.supplier,
        order_number=f"PO-{bought:%y%m}-{chance.randrange(100, 999)}",
        purchase_date=bought,
        purchase_cost=Decimal(product.cost),
        warranty_expires=_warranty(bought, product),
        reservable=product.category not in KEPT,
    )


def _warranty(bought: date, product: Product) -> date:
    return last_day(bought, 12 * product.warranty_years)


def _things(common: Common, team: list[int], categories: Rows, locations: Rows) -> Iterator[Thing]:
    """Each with its fate."""
    for product in PRODUCTS:
        for _ in range(product.pieces):
            days = common.chance.randrange(20, OLDEST)
            it = Thing(**common._asdict(), staff=team, category=product.category, days=days)
            it.begin(_values(product, days, common.chance, categories, locations))
            live(it)
            yield it


def _stock(common: Common, number: int, categories: Rows, locations: Rows) -> None:
    """One consumable, taken from and filled up again; every fifth is low."""
    kept = STOCK[number]
    it = Thing(**common._asdict(), staff=[], category=CONSUMABLES, days=150 + number)
    it.begin(
        AssetValues(
            name=kept.name,
            kind="stock",
            quantity=kept.quantity,
            min_quantity=kept.min_quantity,
            unit=kept.unit,
            category_id=categories[CONSUMABLES].id,
            location_id=locations["Warehouse"].id,
            reservable=False,
        )
    )
    left = kept.quantity
    for days_ago in (120, 90, 61, 33, 12):
        left += _moved(it, days_ago, left, kept)
    if number % 5 == 0:
        few = left - kept.min_quantity + 1
        note = "For the move to room 204"
        it.then(1, lambda: stock.issue(it.actor, it.asset_id, quantity=few, note=note))


def _moved(it: Thing, days_ago: int, left: int, kept: Consumable) -> int:
    """Some are taken, or, where there are few, as many come in as there were; the difference."""
    taken = it.chance.randint(1, 1 + kept.quantity // 6)
    if left - taken >= kept.min_quantity:
        note = it.chance.choice(TAKEN_FOR)
        it.then(days_ago, lambda: stock.issue(it.actor, it.asset_id, quantity=taken, note=note))
        return -taken
    more = kept.quantity - left
    it.then(days_ago, lambda: stock.receive(it.actor, it.asset_id, quantity=more, note="Delivered"))
    return more
