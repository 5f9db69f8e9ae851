"""Validate the values of a reservation or maintenance without a database."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final

from portal.lib.dates import IN_CALENDAR, is_in_calendar
from portal.models.assets import Condition
from portal.models.planning import MaintenanceOutcome, MaintenanceType
from portal.services.assets.fields import DEAREST
from portal.services.core.refusals import Fault, Refusal

LONGEST_LINE: Final = 120
LONGEST_PURPOSE: Final = 200
LONGEST_NOTE: Final = 1000
LONGEST_REASON: Final = 200
LONGEST_CYCLE: Final = 3650  # days; ten years
NO_CONDITION: Final = "Choose a condition from the list"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationValues:
    """The entered values of a reservation. Its interval is half-open."""

    staff_id: int | None
    starts_at: datetime | None
    ends_at: datetime | None
    purpose: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanValues:
    """The entered values of a maintenance. `assignee_id` is a member of staff."""

    title: str
    type: str = MaintenanceType.PREVENTIVE
    due_on: date | None
    repeat_every_days: int | None = None
    assignee_id: int | None = None
    supplier: str | None = None
    estimated_cost: Decimal | None = None
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkValues:
    """The entered values of a completed maintenance.

    None keeps the supplier, condition, or note. Failed work never changes the condition.
    """

    outcome: str
    completed_on: date | None
    condition: str | None = None
    supplier: str | None = None
    cost: Decimal | None = None
    performed_by_id: int | None = None
    note: str | None = None


def refuse_long_reason(text: str, field: str) -> None:
    """Raise a `Refusal` for `field` if the text is longer than its column."""
    if len(text) > LONGEST_REASON:
        raise Refusal(f"Enter at most {LONGEST_REASON} characters", field=field)


def closed_as(state: str) -> str:
    """Return the word for a closed state in messages."""
    return {"fulfilled": "collected", "cancelled": "canceled"}.get(state, state)


def reservation_faults(values: ReservationValues, now: datetime) -> list[Fault]:
    """Return all faults, in the order of the form."""
    return [*_of_times(values, now), *_too_long("purpose", values.purpose, LONGEST_PURPOSE)]


def plan_faults(values: PlanValues) -> list[Fault]:
    """Return all faults, in the order of the form."""
    return [
        *_of_title(values),
        *_of_choice("type", values.type, MaintenanceType, "Choose a type of work"),
        *_of_day("due_on", values.due_on, "due date"),
        *_of_cycle(values.repeat_every_days),
        *_too_long("supplier", values.supplier or "", LONGEST_LINE),
        *cost_faults("estimated_cost", values.estimated_cost, "estimated cost"),
        *_too_long("note", values.note, LONGEST_NOTE),
    ]


def work_faults(values: WorkValues, today: date) -> list[Fault]:
    """Return all faults, in the order of the form."""
    day = values.completed_on
    return [
        *_of_choice("outcome", values.outcome, MaintenanceOutcome, "Choose a result"),
        *_of_day("completed_on", day, "completion date"),
        *_not_in_future("completed_on", day, today),
        *_of_choice("condition", values.condition or Condition.GOOD, Condition, NO_CONDITION),
        *_too_long("supplier", values.supplier or "", LONGEST_LINE),
        *cost_faults("cost", values.cost, "cost"),
        *_too_long("note", values.note or "", LONGEST_NOTE),
    ]


def _not_in_future(field: str, day: date | None, today: date) -> Iterator[Fault]:
    if day and day > today:
        yield Fault(field, "Enter today or an earlier date")


def _of_times(values: ReservationValues, now: datetime) -> Iterator[Fault]:
    starts, ends = values.starts_at, values.ends_at
    if values.staff_id is None:
        yield Fault("staff_id", "Choose a person")
    if starts is None:
        yield Fault("starts_at", "Enter the reservation’s start, such as 2026-05-03 09:00")
    if ends is None:
        yield Fault("ends_at", "Enter the reservation’s end, such as 2026-05-03 18:00")
    for field, at in (("starts_at", starts), ("ends_at", ends)):
        if at and not is_in_calendar(at):
            yield Fault(field, f"Enter a time {IN_CALENDAR}")
            return
    if starts and ends and ends <= starts:
        yield Fault("ends_at", "Enter an end after the start")
    elif ends and ends <= now:
        yield Fault("ends_at", "Enter an end in the future")


def _of_title(values: PlanValues) -> Iterator[Fault]:
    if not values.title:
        yield Fault("title", "Enter the task")
    yield from _too_long("title", values.title, LONGEST_LINE)


def _of_day(field: str, day: date | None, called: str) -> Iterator[Fault]:
    if day is None:
        yield Fault(field, f"Enter the {called}")
    elif not is_in_calendar(day):
        yield Fault(field, f"Enter the {called} as a day {IN_CALENDAR}")


def _of_cycle(days: int | None) -> Iterator[Fault]:
    if days is not None and not 1 <= days <= LONGEST_CYCLE:
        yield Fault("repeat_every_days", f"Enter a number of days from 1 to {LONGEST_CYCLE:,}")


def cost_faults(field: str, cost: Decimal | None, called: str) -> Iterator[Fault]:
    """Yield the faults of an amount for `field`. `called` names it in the sentence."""
    if cost is not None and not (cost.is_finite() and 0 <= cost <= DEAREST):
        yield Fault(field, f"Enter the {called} as an amount from 0 to {DEAREST:,}")
    elif cost is not None and cost != round(cost, 2):
        yield Fault(field, f"Enter the {called} with at most 2 decimals")


def _of_choice(field: str, value: str, among: type[StrEnum], sentence: str) -> Iterator[Fault]:
    if value not in set(among):
        yield Fault(field, sentence)


def _too_long(field: str, text: str, longest: int) -> Iterator[Fault]:
    if len(text) > longest:
        yield Fault(field, f"Enter at most {longest:,} characters for the {field}")
