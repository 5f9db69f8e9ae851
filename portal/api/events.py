"""List events in order, for programs that webhooks can’t reach."""

import json
from typing import Any, Final

from portal.api.lists import Paging
from portal.api.operations import Answer, Call, Operation
from portal.engine.events.catalogue import EventName
from portal.engine.events.samples import sample_body
from portal.services.core.permissions import CONTENT
from portal.services.outbox import feed


def _list(call: Call) -> Answer:
    page = feed.read(call.query.after, call.query.limit)
    items = [{"id": each.id, **json.loads(each.body)} for each in page.events]
    return Answer({"items": items, "next": page.next})


KEYS: Final = ("id", "event", "timestamp", "source", "asset_id", "asset", "data")
ITEM: Final[dict[str, Any]] = {
    "type": "object",
    "required": list(KEYS),
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "event": {"type": "string"},
        "timestamp": {"type": "string"},
        "source": {"type": "string"},
        "asset_id": {"type": ["integer", "null"]},
        "asset": {"type": "object"},
        "data": {"type": "object"},
    },
}
OPERATIONS: Final = (
    Operation(
        name="listEvents",
        method="GET",
        path="/events",
        summary="Read all events in order, oldest first. Begin with after=now to skip earlier ones",
        permission=CONTENT,
        run=_list,
        query=Paging,
        answers={
            "type": "object",
            "required": ["items", "next"],
            "properties": {
                "items": {"type": "array", "items": ITEM},
                "next": {"type": "string", "description": "The “after” of the next call"},
            },
        },
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
