"""What became of each thing of the demo since it was bought, told in the order of its days."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from random import Random
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.extensions import settings
from portal.models.planning import (
    Maintenance,
    MaintenanceOutcome,
    MaintenanceState,
    MaintenanceType,
)
from portal.services.actions import assignments, incidents, lifecycle
from portal.services.actions.incidents import ClaimValues
from portal.services.actions.planning import maintenance as planning_maintenance
from portal.services.actions.planning import reservations as planning_reservations
from portal.services.actions.planning.rules import PlanValues, ReservationValues, WorkValues
from portal.services.assets.rules import AssetValues
from portal.services.core.permissions import Actor
from portal.services.core.time_zones import today
from portal.services.demo.data import CARE, FATES, FAULTS, KEPT, PURPOSES, REASONS
from portal.services.demo.diary import Act, Diary

# Which part of its days ago each chapter lies. What became of it last comes last.
EARLIEST, HAD_FROM, HAD_UNTIL, LATELY = 0.9, 0.6, 0.3, 0.25
LAST_CARE: Final = 15  # at least so many days ago; later there is only what became of it


def working_hour(chance: Random, days_ago: int) -> datetime:
    """Some time of a working day, at least one day ago."""
    at = time(chance.randrange(8, 17), chance.randrange(60))
    return _on(today() - timedelta(days=days_ago), at)


def whole_hour(days_ahead: int, hour: int) -> datetime:
    """The full hour of a day to come, or, below zero, of one that is over."""
    return _on(today() + timedelta(days=days_ahead), time(hour))


def _on(day: date, at: time) -> datetime:
    return datetime.combine(day, at, settings().timezone).astimezone(UTC)


# What happened, by how many days ago.
Chapters = dict[int, Act]


@dataclass(slots=True, kw_only=True)
class Thing:
    """One asset, `days` after it was bought; who can have it, and by what chance.

    `asset_id`, once it is told that it was bought. `is_free`: nobody has it today.
    """

    current: Session
    actor: Actor
    chance: Random
    diary: Diary
    staff: list[int]
    category: str
    days: int
    asset_id: int = 0
    is_free: bool = True

    def someone(self) -> int:
        """Anybody."""
        return self.chance.choice(self.staff)

    def begin(self, values: AssetValues) -> None:
        """It was bought."""

        def create() -> None:
            self.asset_id = lifecycle.create_asset(self.actor, values)

        self.then(self.days, create)

    def then(self, days_ago: int, act: Act) -> None:
        """It happened at some hour of a working day so many days ago."""
        self.diary.note(working_hour(self.chance, days_ago), act)

    def chapters_end(self, most: int) -> int:
        """So many days ago, `most` at the most, all earlier chapters were over."""
        after = LAST_CARE - 1 if self.category in CARE else most
        return max(1, min(most, after, int(self.days * LATELY)))

    def lately(self, most: int) -> int:
        """A number of days ago, `most` at the most, after all earlier chapters."""
        return self.chance.randint(1, self.chapters_end(most))


def live(it: Thing) -> None:
    """Everything that became of it, up to how it stands today."""
    chapters = _had_before(it) if it.chance.random() < 0.3 else {}
    if it.category in CARE and it.chance.random() < 0.6:
        chapters |= _cared_for(it)
    for days_ago in sorted(chapters, reverse=True):
        it.then(days_ago, chapters[days_ago])
    (fate,) = it.chance.choices([name for name, _ in FATES], [share for _, share in FATES])
    it.is_free = fate not in BECOMES
    if not it.is_free:
        BECOMES[fate](it)


def _had_before(it: Thing) -> Chapters:
    someone, reason = it.someone(), it.chance.choice(REASONS)
    return {
        int(it.days * HAD_FROM): lambda: assignments.allocate(
            it.actor, it.asset_id, staff_id=someone
        ),
        int(it.days * HAD_UNTIL): lambda: assignments.revoke(it.actor, it.asset_id, reason=reason),
    }


def _cared_for(it: Thing) -> Chapters:
    """Again and again, the last time so lately that it is not due again yet."""
    title, cycle = CARE[it.category]
    earliest, by = int(it.days * EARLIEST), it.someone()
    last = it.chance.randint(LAST_CARE, min(cycle - 2, earliest))
    return {ago: partial(_care, it, title, cycle, by) for ago in range(last, earliest + 1, cycle)}


def _care(it: Thing, title: str, cycle: int, by: int) -> None:
    on, kind = today(), MaintenanceType.INSPECTION
    planned = it.current.scalar(
        select(Maintenance.public_id).where(
            Maintenance.asset_id == it.asset_id, Maintenance.state == MaintenanceState.SCHEDULED
        )
    )
    if planned is None:
        plan = PlanValues(title=title, type=kind, due_on=on, repeat_every_days=cycle)
        planned = planning_maintenance.schedule(it.actor, it.asset_id, plan)
    outcome = it.chance.choice([MaintenanceOutcome.OK, MaintenanceOutcome.REPAIRED])
    work = WorkValues(outcome=outcome, completed_on=on, performed_by_id=by)
    planning_maintenance.complete(it.actor, planned, work)


def _allocated(it: Thing) -> None:
    someone = it.someone()
    it.then(it.lately(200), lambda: assignments.allocate(it.actor, it.asset_id, staff_id=someone))


def _lent(it: Thing) -> None:
    _lend(it, 1, whole_hour(it.chance.randint(1, 13), 17))


def _late(it: Thing) -> None:
    days_ago = max(2, it.lately(12))
    _lend(it, days_ago, whole_hour(-it.chance.randint(1, days_ago - 1), 17))


def _lend(it: Thing, days_ago: int, due_at: datetime) -> None:
    someone, purpose = it.someone(), it.chance.choice(PURPOSES)
    it.then(
        days_ago,
        lambda: assignments.check_out(
            it.actor, it.asset_id, staff_id=someone, due_at=due_at, purpose=purpose
        ),
    )


def _worked_on(it: Thing) -> None:
    words, someone = it.chance.choice(FAULTS[it.category]), it.someone()
    plan = PlanValues(
        title=f"Repair: {words[0].lower()}{words[1:]}",
        type=MaintenanceType.CORRECTIVE,
        due_on=today() + timedelta(days=it.chance.randrange(1, 6)),
        assignee_id=someone,
    )
    it.then(
        it.lately(3),
        lambda: planning_maintenance.start(
            it.actor, planning_maintenance.schedule(it.actor, it.asset_id, plan)
        ),
    )


def _planned(it: Thing) -> None:
    plan = PlanValues(
        title="Safety check",
        type=MaintenanceType.INSPECTION,
        due_on=today() + timedelta(days=it.chance.randrange(2, 40)),
        assignee_id=it.someone(),
    )
    it.then(it.lately(9), lambda: planning_maintenance.schedule(it.actor, it.asset_id, plan))


def _reserved(it: Thing) -> None:
    if it.category in KEPT:
        return
    begins = it.chance.randrange(2, 20)
    wish = ReservationValues(
        staff_id=it.someone(),
        starts_at=whole_hour(begins, it.chance.choice([8, 9, 13])),
        ends_at=whole_hour(begins + it.chance.randrange(3), 17),
        purpose=it.chance.choice(PURPOSES),
    )
    is_granted = it.chance.random() < 0.5

    def ask() -> None:
        reservation = planning_reservations.reserve(it.actor, it.asset_id, wish)
        if is_granted:
            planning_reservations.approve(it.actor, reservation)

    it.then(it.lately(4), ask)


def _broken(it: Thing) -> None:
    words = it.chance.choice(FAULTS[it.category])
    it.then(
        it.lately(12), lambda: incidents.report_broken(it.actor, it.asset_id, description=words)
    )


def _claimed(it: Thing) -> None:
    claim = ClaimValues(
        problem=it.chance.choice(FAULTS[it.category]),
        rma_number=f"RMA-{it.chance.randrange(10_000, 99_999)}",
        expected_back_on=today() + timedelta(days=it.chance.randrange(3, 15)),
    )
    it.then(it.lately(8), lambda: incidents.send_to_warranty(it.actor, it.asset_id, claim))


def _lost(it: Thing) -> None:
    words = "Not in its place at the stocktaking. Nobody remembers having it"
    it.then(it.lately(30), lambda: incidents.report_lost(it.actor, it.asset_id, description=words))


BECOMES: Final[Mapping[str, Callable[[Thing], None]]] = {
    "allocated": _allocated,
    "lent": _lent,
    "late": _late,
    "planned": _planned,
    "worked_on": _worked_on,
    "reserved": _reserved,
    "broken": _broken,
    "warranty": _claimed,
    "lost": _lost,
}
