"""List and acknowledge scheduled alerts, and describe the kinds of events."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import joinedload

from portal.api.events import Message
from portal.api.lists import Paging, from_row, page_answer, page_example
from portal.api.operations import Answer, Call, Made, Operation
from portal.api.schemas import Listed, Paged
from portal.engine.events.catalogue import CATALOGUE, EventName
from portal.engine.events.likely import unknown_event
from portal.engine.events.samples import sample_body
from portal.models.alerts import Alert as Row
from portal.services.alerts import ledger
from portal.services.alerts.queries import AlertFilter, list_alerts
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import session

ALERT: Final = "/alerts/<uuid:alert_id>"
READ: Final = "alerts.read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A date or stock level that needs attention. `resolved_at`: when that ended."""

    id: UUID
    event: str
    asset_id: int
    asset_tag: str
    asset_name: str
    fired_at: datetime
    resolved_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A kind of event, described in the same words as on the pages."""

    event: str
    title: str
    description: str


def _answer(row: Row) -> Alert:
    asset = row.asset
    return from_row(Alert, row, id=row.public_id, asset_tag=asset.asset_tag, asset_name=asset.name)


def _list(call: Call) -> Answer:
    page = list_alerts(AlertFilter(), call.query.after, call.query.limit)
    return page_answer(page, map(_answer, page.rows))


def _show(_call: Call, alert_id: UUID) -> Answer:
    wanted = select(Row).where(Row.public_id == alert_id).options(joinedload(Row.asset))
    row = session().scalars(wanted).one_or_none()
    if row is None:
        raise NotFound("This alert doesn’t exist.")
    return Answer(_answer(row))


def _acknowledge(call: Call, alert_id: UUID) -> Made:
    ledger.acknowledge(call.actor, alert_id)
    return Made({"alert_id": alert_id})


def _event_types(_call: Call) -> Answer:
    items = [
        EventType(event=each.value, title=each.name, description=each.explanation)
        for each in CATALOGUE
    ]
    return Answer({"items": items})


def _sample(_call: Call, event: str) -> Answer:
    try:
        return Answer(json.loads(sample_body(EventName(event))))
    except ValueError:
        raise NotFound(unknown_event(event)) from None


EXAMPLE: Final = {
    "id": "01940c3e-5a2b-7c11-9d52-0a4f1d8f7f10",
    "event": "alert.checkout_overdue",
    "asset_id": 123,
    "asset_tag": "AST-00123",
    "asset_name": "ThinkPad T14",
    "fired_at": "2026-11-30T08:00:00+00:00",
    "resolved_at": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
}
SHOW: Final = Operation(
    name="showAlert",
    method="GET",
    path=ALERT,
    summary="Show an alert",
    permission=READ,
    run=_show,
    answers=Alert,
    example=EXAMPLE,
    problems=(404,),
)
OPERATIONS: Final = (
    Operation(
        name="listAlerts",
        method="GET",
        path="/alerts",
        summary="List alerts, newest first",
        permission=READ,
        run=_list,
        query=Paging,
        answers=Paged[Alert],
        example=page_example(EXAMPLE),
        problems=(400,),
    ),
    SHOW,
    Operation(
        name="acknowledgeAlert",
        method="POST",
        path=f"{ALERT}/acknowledge",
        summary="Acknowledge an alert",
        permission="alerts.acknowledge",
        run=_acknowledge,
        shows=SHOW,
        problems=(404,),
    ),
    Operation(
        name="listEventTypes",
        method="GET",
        path="/event-types",
        summary="List the kinds of events",
        permission="webhooks.read",
        run=_event_types,
        answers=Listed[EventType],
        example={
            "items": [
                {
                    "event": "asset.created",
                    "title": "Asset created",
                    "description": "A new asset was added to the register.",
                }
            ]
        },
    ),
    Operation(
        name="showSample",
        method="GET",
        path="/event-types/<event>/sample",
        summary="Show a sample of an event, as receivers get it",
        permission="webhooks.read",
        run=_sample,
        answers=Message,
        example=json.loads(sample_body(EventName.CHECKED_OUT)),
        problems=(404,),
    ),
)
