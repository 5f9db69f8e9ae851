"""List events in order, for programs that webhooks can’t reach."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import Field

from portal.api.lists import Paging
from portal.api.operations import Answer, Call, Operation
from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.services.core.permissions import CONTENT
from portal.services.outbox import feed


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """An event as receivers get it."""

    event: str
    timestamp: datetime
    source: str
    asset_id: int | None
    asset: Mapping[str, Any]
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """An event with its ID."""

    id: UUID


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, and the cursor behind them."""

    items: Sequence[Event]
    next: Annotated[str, Field(description="The “after” of the next call")]


def _list(call: Call) -> Answer:
    page = feed.read(call.query.after, call.query.limit)
    items = [{"id": each.id, **json.loads(each.body)} for each in page.events]
    return Answer({"items": items, "next": page.next})


OPERATIONS: Final = (
    Operation(
        name="listEvents",
        method="GET",
        path="/events",
        summary="Read all events in order, oldest first. Begin with after=now to skip earlier ones",
        permission=CONTENT,
        run=_list,
        query=Paging,
        answers=EventPage,
        example={
            "items": [
                {
                    "id": "01940c3e-5a2b-7c11-9d52-0a4f1d8f7f10",
                    **json.loads(sample_body(EventName.CHECKED_OUT)),
                }
            ],
            "next": "WzAsMSwiMDE5NDBjM2UiLCIyMDI1Il0",
        },
        problems=(400, 410),
    ),
)
