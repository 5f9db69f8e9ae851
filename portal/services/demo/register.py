"""Build the demo register by importing assets from a file and simulating actions on them."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from heapq import heappop, heappush
from itertools import cycle, islice
from random import Random
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.lib.clock import frozen, utcnow
from portal.lib.spreadsheets.sheets import read_csv
from portal.lib.typed_values import last_day
from portal.models.assets import Action, Asset, Category, Condition
from portal.models.planning import MaintenanceOutcome, MaintenanceType
from portal.services import tasks
from portal.services.actions import assignments, incidents, stock
from portal.services.actions.incidents import ClaimValues
from portal.services.actions.planning import maintenance, reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.alerts import runs
from portal.services.assets import staff
from portal.services.assets.staff import StaffValues
from portal.services.core.permissions import Actor
from portal.services.core.time_zones import today
from portal.services.csv import import_task
from portal.services.deliveries import bulk_retry
from portal.services.demo import data

T = TypeVar("T")
Act = Callable[[Actor], object]

SEED: Final = 1849
# The kinds of task that people in the story start.
LONG_WORK: Final = {
    kind.name: kind for kind in (import_task.CHECK, import_task.IMPORT, bulk_retry.KIND, runs.KIND)
}
# Days ago when the assets were imported, and when the stock was, after the webhooks were added.
IMPORTED, STOCKED = 90, 26
OLDEST: Final = 900  # days ago of the earliest purchase
HEADINGS: Final = (
    "name;kind;category;location;reservable;manufacturer;model;serial_number;supplier;order_number;"
    "purchase_date;purchase_cost;warranty_expires;condition;unit;quantity;min_quantity"
)
GOOD: Final = (Condition.EXCELLENT, Condition.GOOD, Condition.GOOD, Condition.FAIR)


class Story:
    """A schedule of people's acts, added in any order and performed in order of time."""

    def __init__(self, current: Session, actor: Actor) -> None:
        self.current, self.actor = current, actor
        self.now, self._today = utcnow(), today()
        self.chance = Random(SEED)  # noqa: S311 - pseudo-random and repeatable on purpose
        self._acts: list[tuple[datetime, int, Act]] = []
        self._noted = 0

    def at(self, moment: datetime, act: Act) -> None:
        """Schedule an act at that moment. Acts at the same moment keep their order."""
        self._noted += 1
        heappush(self._acts, (moment, self._noted, act))

    def day(self, days_ahead: int) -> date:
        """Return a future date, or a past one for a negative number."""
        return self._today + timedelta(days=days_ahead)

    def hour(self, days_ahead: int, hour: int) -> datetime:
        """Return the hour of a day in the installation's time zone, converted to UTC."""
        at = datetime.combine(self.day(days_ahead), time(hour), settings().timezone)
        return at.astimezone(UTC)

    def working_hour(self, days_ago: int) -> datetime:
        """Return a random time within working hours, at least one day ago."""
        minutes = timedelta(minutes=self.chance.randrange(60))
        return self.hour(-days_ago, self.chance.randrange(8, 17)) + minutes

    def tell(self, before: Callable[[datetime], None]) -> None:
        """Perform all acts with the clock frozen at their times, calling `before(time)` first."""
        while self._acts:
            moment, _, act = heappop(self._acts)
            before(moment)
            with frozen(moment):
                act(self.actor)
                self.current.flush()  # rows get their times when they are written

    def work(self) -> None:
        """Run tasks like the background worker, until they wait for deliveries or none is left."""
        self.current.flush()
        while (lease := tasks.claim()) is not None:
            while tasks.advance(lease, LONG_WORK[lease.kind]):
                pass


class Thing(NamedTuple):
    """One asset, and the staff who can hold it."""

    story: Story
    id: int
    category: str
    people: Sequence[int] = ()

    def one_of(self, values: Sequence[T]) -> T:
        """Return one of the values at random."""
        return self.story.chance.choice(values)

    def at(self, moment: datetime, verb: Callable[..., object], *values: Any, **named: Any) -> None:
        """Schedule `verb` on the asset at that moment."""
        self.story.at(moment, lambda actor: verb(actor, self.id, *values, **named))

    def then(self, days_ago: int, verb: Callable[..., object], *values: Any, **named: Any) -> None:
        """Schedule `verb` on the asset at a random time within working hours, so many days ago."""
        self.at(self.story.working_hour(days_ago), verb, *values, **named)

    def lately(self, most: int) -> int:
        """Return a random number of days ago, after the history that `_begin` schedules."""
        return self.story.chance.randint(1, min(most, 14) if self.category in data.CARE else most)

    @property
    def someone(self) -> int:
        """Return a random person's id."""
        return self.one_of(self.people)

    def loan(self, due_in: int) -> dict[str, Any]:
        """Return the values of a checkout by a random person, due at 17:00 in `due_in` days."""
        due_at, purpose = self.story.hour(due_in, 17), self.one_of(data.PURPOSES)
        return {"staff_id": self.someone, "due_at": due_at, "purpose": purpose}

    def plan(self, title: str, kind: MaintenanceType, most: int) -> PlanValues:
        """Return maintenance by a random person, due within `most` weeks."""
        due_on = self.story.day(self.lately(7 * most))
        return PlanValues(title=title, type=kind, due_on=due_on, assignee_id=self.someone)


def note_register(story: Story) -> None:
    """Schedule the imports, which then schedule the acts on each asset."""
    story.at(story.working_hour(IMPORTED), partial(_begin, story))
    story.at(story.working_hour(STOCKED), partial(_stock, story))


def _begin(story: Story, actor: Actor) -> None:
    people = [_person(actor, *numbered) for numbered in enumerate(data.PEOPLE.split(","))]
    fates = [fate for share, fate in FATES for _ in range(share)]
    story.chance.shuffle(fates)
    things, free = _imported(story, "our assets.csv", _items(story)), []
    for (asset_id, category), fate in zip(things, cycle(fates), strict=False):
        thing = Thing(story, asset_id, category, people)
        if story.chance.random() < 0.3:
            thing.then(IMPORTED - 5, assignments.allocate, staff_id=thing.someone)
            thing.then(IMPORTED - 20, assignments.revoke, reason=thing.one_of(data.REASONS))
        elif category == "Laptops" and asset_id % 5 == 0:
            _repaired(thing)
        if category in data.CARE:
            thing.then(story.chance.randint(15, 60), _care, thing)
        if fate is not None:
            fate(thing)
        elif category not in data.KEPT:
            free.append(thing)
    _lend_lately(story, free)


def _person(actor: Actor, number: int, name: str) -> int:
    address = f"{name.lower().replace(' ', '.')}@example.com"
    department = data.DEPARTMENTS[number % len(data.DEPARTMENTS)]
    employee_no = f"E-{1001 + number}"
    values = StaffValues(name=name, email=address, employee_no=employee_no, department=department)
    return staff.find(staff.create(actor, values)).id


def _items(story: Story) -> Iterator[str]:
    chance = story.chance
    for name, category, maker, model, supplier, cost, years, pieces in data.PRODUCTS:
        for _ in range(pieces):
            bought = story.day(-chance.randrange(IMPORTED, OLDEST))
            serial = f"{maker[:2].upper()}{chance.randrange(16**8):08X}"
            yield (
                f"{name};item;{category};{chance.choice(data.PLACES)};"
                f"{'no' if category in data.KEPT else 'yes'};{maker};{model};{serial};{supplier};"
                f"PO-{bought:%y%m}-{chance.randrange(100, 999)};{bought};{cost};"
                f"{last_day(bought, 12 * years)};{chance.choice(GOOD)};;;"
            )


def _imported(story: Story, file_name: str, rows: Iterable[str]) -> list[tuple[int, str]]:
    """Import a file. Return the row ids and categories of its assets, in file order."""
    newest = story.current.scalar(select(Asset.id).order_by(Asset.id.desc()).limit(1)) or 0
    sheet = read_csv("\n".join([HEADINGS, *rows]).encode())
    check = import_task.upload(story.actor, sheet, file_name=file_name)
    story.work()
    import_task.confirm(story.actor, check)
    story.work()
    query = select(Asset.id, Category.name).join(Category).where(Asset.id > newest)
    return [(row.id, row.name) for row in story.current.execute(query.order_by(Asset.id))]


def _stock(story: Story, _actor: Actor) -> None:
    """Import stock, and schedule repeated issues and one receipt. Every fifth one ends up low."""
    rows = (
        f"{name};stock;Consumables;Warehouse;no;;;;;;;;;good;{unit};{quantity};{least}"
        for name, unit, quantity, least in data.STOCK
    )
    things = _imported(story, "stock.csv", rows)
    for number, (row, kept) in enumerate(zip(things, data.STOCK, strict=True)):
        thing, (_, _, quantity, least) = Thing(story, *row), kept
        days, step = range(STOCKED - 2 - number % 4, 3, -4), max(1, (quantity - least) // 8)
        for days_ago in days:
            note = thing.one_of(data.TAKEN_FOR)
            thing.then(days_ago, stock.issue, quantity=step, note=note)
        thing.then(days[2] - 1, stock.receive, quantity=step * len(days), note="Delivered")
        if number % 5 == 0:
            note = "For the move to room 204"
            thing.then(1, stock.issue, quantity=quantity - least + 1, note=note)


def _care(actor: Actor, asset_id: int, thing: Thing) -> None:
    (title, days), kind, on = data.CARE[thing.category], MaintenanceType.INSPECTION, today()
    plan = PlanValues(title=title, type=kind, due_on=on, repeat_every_days=days)
    outcome = thing.one_of((MaintenanceOutcome.OK, MaintenanceOutcome.REPAIRED))
    cost = Decimal(45) if outcome is MaintenanceOutcome.REPAIRED else None
    work = WorkValues(outcome=outcome, completed_on=on, cost=cost, performed_by_id=thing.someone)
    maintenance.complete(actor, maintenance.schedule(actor, asset_id, plan), work)


def _repaired(thing: Thing) -> None:
    broken, back = thing.story.hour(20 - IMPORTED, 9), thing.story.hour(24 - IMPORTED, 15)
    thing.at(broken, incidents.report_broken, description="The screen stays dark")
    repair = {"condition": Condition.GOOD, "supplier": "Datahaus", "cost": Decimal("189.50")}
    thing.at(back, incidents.come_back, Action.REPAIR, note="New display cable", **repair)


def _late(thing: Thing) -> None:
    due_in = -thing.lately(8)
    thing.then(2 - due_in, assignments.check_out, **thing.loan(due_in))


def _work(actor: Actor, asset_id: int, plan: PlanValues) -> None:
    maintenance.start(actor, maintenance.schedule(actor, asset_id, plan))


def _claimed(thing: Thing) -> None:
    back_on = thing.story.day(9)
    claim = ClaimValues(
        problem=thing.one_of(data.FAULTS), rma_number="RMA-40417", expected_back_on=back_on
    )
    thing.then(thing.lately(8), incidents.send_to_warranty, claim)


def _reserved(thing: Thing) -> None:
    begins, hour, ends = 1 + thing.lately(19), thing.one_of((8, 9, 13)), thing.one_of((0, 1, 2))
    wish = ReservationValues(
        staff_id=thing.someone,
        starts_at=thing.story.hour(begins, hour),
        ends_at=thing.story.hour(begins + ends, 17),
        purpose=thing.one_of(data.PURPOSES),
    )
    if thing.category not in data.KEPT:
        thing.then(thing.lately(4), _reserve, wish, is_granted=thing.one_of((True, False)))


def _reserve(actor: Actor, asset_id: int, wish: ReservationValues, *, is_granted: bool) -> None:
    public_id = reservations.reserve(actor, asset_id, wish)
    if is_granted:
        reservations.approve(actor, public_id)


SAFETY: Final = "Safety check"
CHECK, REPAIR = MaintenanceType.INSPECTION, MaintenanceType.CORRECTIVE
LOST: Final = "Not in its place at the stocktaking. Nobody remembers having it"
# The share, out of 100 assets, of each current state. None leaves them available.
FATES: Final[Sequence[tuple[int, Callable[[Thing], None] | None]]] = (
    (36, None),
    (34, lambda it: it.then(it.lately(60), assignments.allocate, staff_id=it.someone)),
    (10, lambda it: it.then(1, assignments.check_out, **it.loan(it.lately(13)))),
    (4, _late),
    (5, lambda it: it.then(it.lately(9), maintenance.schedule, it.plan(SAFETY, CHECK, 5))),
    (2, lambda it: it.then(it.lately(3), _work, it.plan("Repair", REPAIR, 1))),
    (4, _reserved),
    (
        3,
        lambda it: it.then(
            it.lately(12), incidents.report_broken, description=it.one_of(data.FAULTS)
        ),
    ),
    (1, _claimed),
    (1, lambda it: it.then(it.lately(30), incidents.report_lost, description=LOST)),
)


def _lend_lately(story: Story, free: Iterable[Thing]) -> None:
    """Schedule checkouts and check-ins over the last weeks and hours, and a few checkouts now."""
    things = iter(free)
    for thing in islice(things, 15):
        days_ago = thing.lately(28)
        while days_ago > 2:
            back = days_ago - story.chance.randint(1, 2)
            thing.then(days_ago, assignments.check_out, **thing.loan(1 - back))
            thing.then(back, assignments.check_in)
            days_ago = back - story.chance.randint(1, 3)
    for number, thing in enumerate(islice(things, 10)):
        out_at = story.now - timedelta(hours=10 - number)
        thing.at(out_at, assignments.check_out, **thing.loan(2))
        thing.at(out_at + timedelta(minutes=46), assignments.check_in)
    for seconds, thing in zip((3, 2, 1), things, strict=False):
        thing.at(story.now - timedelta(seconds=seconds), assignments.check_out, **thing.loan(3))
