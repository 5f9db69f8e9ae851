"""A register as it would be after two years: 200 assets, their people, and what became of them.

Everything goes through the services, by the same rules as by hand, at the times at which it is
said to have happened. The same every time: what is shown to one can be shown to another.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Final

from sqlalchemy import func, select

from portal.lib.calendar_months import add_months
from portal.lib.clock import as_if
from portal.models.alerts import FirstAnswer, RunKind
from portal.models.assets import Asset, Condition
from portal.models.webhooks import Webhook
from portal.services.actions import lifecycle, stock
from portal.services.alerts import control
from portal.services.alerts import settings as alert_settings
from portal.services.assets import named_lists, staff
from portal.services.assets.rules import AssetValues
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import Actor
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.core.unit_of_work import session, writing
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
from portal.services.demo.histories import Thing, live, working_hour

SEED: Final = 1849
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
    team = [_person(actor, name, number) for number, name in enumerate(PEOPLE)]
    for product in PRODUCTS:
        for _ in range(product.pieces):
            days = chance.randrange(20, 900)
            values = _values(product, days, chance, categories, locations)
            _thing(actor, values, product.category, days, chance, team)
    for number in range(len(STOCK)):
        _stock(actor, number, chance, locations)
    _look_for_alerts(actor)
    return session().execute(select(func.count(Asset.id))).scalar_one()


def _look_for_alerts(actor: Actor) -> None:
    """As if always: no first question, and a system connected later hears of no old news."""
    with writing() as current:
        alert_settings.answer(current, actor, FirstAnswer.SEND)
    control.run(RunKind.MANUAL)


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
    return staff.find(staff.create(actor, values)).id


def _values(
    product: Product, days: int, chance: Random, categories: Rows, locations: Rows
) -> AssetValues:
    bought = today() - timedelta(days=days)
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
        reservable=product.category not in KEPT,
    )


def _warranty(bought: date, product: Product) -> date:
    return add_months(bought, 12 * product.warranty_years)


def _thing(
    actor: Actor, values: AssetValues, category: str, days: int, chance: Random, team: list[int]
) -> None:
    """One asset with its fate, in one transaction, so that nobody sees it half made."""
    with writing() as current:
        with as_if(working_hour(chance, days)):
            asset_id = lifecycle.create_asset(actor, values)
        live(Thing(current, actor, chance, team, asset_id, category, days))


def _stock(actor: Actor, number: int, chance: Random, locations: Rows) -> None:
    """One consumable, taken from and filled up again; every fifth is low."""
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
    with writing() as current:
        with as_if(working_hour(chance, 150 + number)):
            asset_id = lifecycle.create_asset(actor, values)
        it = Thing(current, actor, chance, [], asset_id, "Consumables", 150 + number)
        left = kept.quantity
        for days_ago in (120, 90, 61, 33, 12):
            left += _moved(it, days_ago, left, kept)
        if number % 5 == 0:
            few = left - kept.min_quantity + 1
            note = "For the move to room 204"
            it.then(1, lambda: stock.issue(actor, asset_id, quantity=few, note=note))


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
