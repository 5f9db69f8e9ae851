"""List and show reservations and maintenance, and decide on them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

from portal.api.lists import (
    Amount,
    Paging,
    RowId,
    find_row,
    from_row,
    page_answer,
    page_example,
)
from portal.api.operations import ID, Answer, Call, Made, Operation
from portal.api.schemas import Paged, limited
from portal.engine.events.body import Ref
from portal.engine.events.details import StaffRef
from portal.models.assets import Action, Condition
from portal.models.planning import (
    Maintenance,
    MaintenanceOutcome,
    MaintenanceState,
    Reservation,
    ReservationState,
)
from portal.services.actions.planning import queries
from portal.services.actions.planning.queries import PlanFilter
from portal.services.actions.planning.rules import WorkValues
from portal.services.actions.rules import longest
from portal.services.actions.verbs import VERBS
from portal.services.assets.snapshots import ref, staff_ref

READ: Final = "assets.read"
RESERVATION: Final = f"/reservations/<{ID}:reservation_id>"
MAINTENANCE: Final = f"/maintenance/<{ID}:maintenance_id>"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationAnswer:
    """A reservation. `reason`: why it was rejected or canceled."""

    id: int
    asset_id: int
    asset_tag: str
    asset_name: str
    staff: StaffRef
    starts_at: datetime
    ends_at: datetime
    purpose: str
    state: str
    reason: str
    created_at: datetime
    decided_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceAnswer:
    """Work on an asset. `assignee` and `performed_by` are members of staff."""

    id: int
    asset_id: int
    asset_tag: str
    asset_name: str
    title: str
    type: str
    due_on: date
    state: str
    repeat_every_days: int | None
    assignee: Ref | None
    supplier: str | None
    estimated_cost: Decimal | None
    started_at: datetime | None
    completed_on: date | None
    outcome: str | None
    cost: Decimal | None
    performed_by: Ref | None
    note: str
    created_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReservationQuery(Paging):
    """Filters for reservations. `staff_id`: the person who needs the asset."""

    asset_id: RowId | None = None
    staff_id: RowId | None = None
    state: ReservationState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MaintenanceQuery(Paging):
    """Filters for maintenance."""

    asset_id: RowId | None = None
    assignee_id: RowId | None = None
    state: MaintenanceState | None = None


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class NoteBody:
    """A note, which goes to the history and to receivers."""

    note: str = ""


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class RejectBody:
    """A reason, shown to the person who asked for the reservation."""

    rejection_reason: str


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class StartBody:
    """A note that replaces the plan’s. Without one, the plan’s note stays."""

    note: str | None = None


@limited(longest)
@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteBody(WorkValues):
    """The outcome of the work. Omitted `condition`, `supplier`, and `note` stay unchanged."""

    outcome: MaintenanceOutcome
    completed_on: date
    condition: Condition | None = None
    cost: Amount | None = None
    performed_by_id: RowId | None = None


def entered(body: Any) -> Mapping[str, Any]:
    """Return the sent values by a verb’s argument names."""
    return {each.name: getattr(body, each.name) for each in fields(body)} if body else {}


def _find(kind: type[queries.Row], row_id: int) -> queries.Row:
    return find_row(kind, row_id, f"There’s no {kind.__name__.lower()} with this ID.")


def _reservation(row: Reservation) -> ReservationAnswer:
    asset = row.asset
    return from_row(
        ReservationAnswer,
        row,
        asset_tag=asset.asset_tag,
        asset_name=asset.name,
        staff=staff_ref(row.staff),
    )


def _maintenance(row: Maintenance) -> MaintenanceAnswer:
    asset = row.asset
    return from_row(
        MaintenanceAnswer,
        row,
        asset_tag=asset.asset_tag,
        asset_name=asset.name,
        assignee=ref(row.assignee),
        performed_by=ref(row.performed_by),
    )


def _list_reservations(call: Call) -> Answer:
    asked: ReservationQuery = call.query
    chosen = PlanFilter(asked.asset_id, asked.staff_id, asked.state)
    page = queries.find_page(Reservation, chosen, asked.after, asked.limit)
    return page_answer(page, map(_reservation, page.rows))


def _list_maintenance(call: Call) -> Answer:
    asked: MaintenanceQuery = call.query
    chosen = PlanFilter(asked.asset_id, asked.assignee_id, asked.state)
    page = queries.find_page(Maintenance, chosen, asked.after, asked.limit)
    return page_answer(page, map(_maintenance, page.rows))


def _deciding(action: Action) -> Callable[..., Made]:
    """Return the function that applies this action to a reservation or to maintenance."""
    verb = VERBS[action]

    def run(call: Call, **path: int) -> Made:
        ((_, row_id),) = path.items()
        row: Reservation | Maintenance = (
            _find(Reservation, row_id)
            if verb.subject is Reservation
            else _find(Maintenance, row_id)
        )
        verb.run(call.actor, row.public_id, entered(call.body))
        return Made(path)

    return run


SHOW_RESERVATION: Final = Operation(
    name="showReservation",
    method="GET",
    path=RESERVATION,
    summary="Show a reservation",
    permission=READ,
    run=lambda _call, reservation_id: Answer(_reservation(_find(Reservation, reservation_id))),
    answers=ReservationAnswer,
    example={
        "id": 31,
        "asset_id": 123,
        "asset_tag": "AST-00123",
        "asset_name": "ThinkPad T14",
        "staff": {"id": 17, "name": "Maria Lopez", "email": "maria.lopez@example.com"},
        "starts_at": "2026-12-07T08:00:00+00:00",
        "ends_at": "2026-12-09T17:00:00+00:00",
        "purpose": "Trade fair",
        "state": "pending",
        "reason": "",
        "created_at": "2026-11-30T09:15:00+00:00",
        "decided_at": None,
        "closed_at": None,
    },
    problems=(404,),
)
SHOW_MAINTENANCE: Final = Operation(
    name="showMaintenance",
    method="GET",
    path=MAINTENANCE,
    summary="Show maintenance",
    permission=READ,
    run=lambda _call, maintenance_id: Answer(_maintenance(_find(Maintenance, maintenance_id))),
    answers=MaintenanceAnswer,
    example={
        "id": 8,
        "asset_id": 123,
        "asset_tag": "AST-00123",
        "asset_name": "ThinkPad T14",
        "title": "Battery check",
        "type": "inspection",
        "due_on": "2026-12-15",
        "state": "scheduled",
        "repeat_every_days": 365,
        "assignee": {"id": 17, "name": "Maria Lopez"},
        "supplier": None,
        "estimated_cost": "40.00",
        "started_at": None,
        "completed_on": None,
        "outcome": None,
        "cost": None,
        "performed_by": None,
        "note": "",
        "created_at": "2026-11-30T09:15:00+00:00",
        "closed_at": None,
    },
    problems=(404,),
)


def _decision(action: Action, summary: str, body: type | None = None) -> Operation:
    """Return the operation for an action on a reservation or on maintenance."""
    verb = VERBS[action]
    step, noun = action.split("_")
    shown = SHOW_RESERVATION if verb.subject is Reservation else SHOW_MAINTENANCE
    return Operation(
        name=f"{step}{noun.capitalize()}",
        method="POST",
        path=f"{shown.path}/{step}",
        summary=summary,
        permission=verb.permission,
        run=_deciding(action),
        shows=shown,
        body=body,
        problems=(404, 409),
    )


OPERATIONS: Final = (
    Operation(
        name="listReservations",
        method="GET",
        path="/reservations",
        summary="List reservations, newest first",
        permission=READ,
        run=_list_reservations,
        query=ReservationQuery,
        answers=Paged[ReservationAnswer],
        example=page_example(SHOW_RESERVATION.example),
        problems=(400,),
    ),
    SHOW_RESERVATION,
    _decision(Action.APPROVE_RESERVATION, "Approve a reservation"),
    _decision(Action.REJECT_RESERVATION, "Reject a reservation", RejectBody),
    _decision(Action.CANCEL_RESERVATION, "Cancel a reservation", NoteBody),
    Operation(
        name="listMaintenance",
        method="GET",
        path="/maintenance",
        summary="List maintenance, newest first",
        permission=READ,
        run=_list_maintenance,
        query=MaintenanceQuery,
        answers=Paged[MaintenanceAnswer],
        example=page_example(SHOW_MAINTENANCE.example),
        problems=(400,),
    ),
    SHOW_MAINTENANCE,
    _decision(
        Action.START_MAINTENANCE,
        "Start maintenance. The asset is in maintenance until the work is completed or canceled",
        StartBody,
    ),
    _decision(
        Action.COMPLETE_MAINTENANCE,
        "Complete maintenance. If it repeats, this schedules the next one",
        CompleteBody,
    ),
    _decision(Action.CANCEL_MAINTENANCE, "Cancel maintenance", NoteBody),
)
