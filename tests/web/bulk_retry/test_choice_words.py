"""The words of filters, and of the progress of bulk retries."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason, ReasonGroup, alike, reasons_in
from portal.lib.clock import utcnow
from portal.models.tasks import Task, TaskState
from portal.services.deliveries.bulk_retry_selection import Selection, as_params
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter
from portal.web.deliveries import bulk_retry_wording
from portal.web.deliveries.bulk_retry_wording import line_of
from portal.web.deliveries.filter_wording import Names, filter_words
from tests.support.golden.expected_file import Golden

pytestmark = pytest.mark.usefixtures("in_a_request")
EARLY, LATE = datetime(2024, 1, 5, 8, tzinfo=UTC), datetime(2024, 1, 6, 9, 30, tzinfo=UTC)
GOLDEN = Path(__file__).parent / "golden"


ASKED: Final[tuple[dict[str, Any], ...]] = (
    {"status": StatusFilter.ON_HOLD},
    {"status": StatusFilter.ATTENTION},
    {"status": StatusFilter.ATTENTION, "untried": True},
    {"status": StatusFilter.ATTENTION, "codes": (500, 500)},
    {"status": StatusFilter.FAILED, "reasons": (Reason.DNS,)},
    {"reasons": (Reason.SERVER,), "codes": (500, 509)},
    {"reasons": alike(Reason.RESET)},
    {"reasons": tuple(reasons_in(ReasonGroup.CONNECT))},
    {"reasons": (Reason.DNS, Reason.REFUSED)},
    {"codes": (500, 599)},
    {"event": EventName.CREATED},
    {"asset_id": 7},
    {"search": "AST-1"},
    {"delivery": UUID(int=1)},
    {"answer": "out of stock"},
    {"since": EARLY},
    {"until": LATE},
    {"failed": FailedBetween(EARLY, LATE)},
    {"failed": FailedBetween(EARLY, None)},
    {"webhook": UUID(int=1)},
    {},
)


def test_filter_words_match_the_golden_file(golden: Golden) -> None:
    words = {}
    for number, asked in enumerate(ASKED, 1):
        case = f"{number} {' '.join(asked)}"
        words[case] = filter_words(LogFilter(**asked), Names())
    golden.said(GOLDEN / "filters.txt", words)


def task(state: TaskState, done: int, total: int, **more: Any) -> Task:
    """Return a bulk retry with this state and progress."""
    values: dict[str, Any] = {
        "id": 1,
        "public_id": uuid4(),
        "kind": "bulk_retry",
        "params": as_params(Selection(ticked=(uuid4(),))),
        "cursor": {"collected": True},
        "counts": {},
        "actor_kind": "user",
        "actor_id": 1,
        "actor_name": "Ana",
        "origin": "ui",
        "created_at": utcnow(),
        "due_at": utcnow(),
        "error": "",
        "failures": 0,
    }
    return Task(**{**values, **more, "state": state, "done": done, "total": total})


ONE = str(UUID(int=1))
TWO = [ONE, ONE]
STOPPING = {"stopping": True}
SOME = {"delivered": 2, "failed": 1}
BATCHES: Final[dict[str, Task]] = {
    "collecting": task(TaskState.RUNNING, 0, 2, cursor={}),
    "at work": task(TaskState.RUNNING, 3, 4, counts=SOME),
    "begun": task(TaskState.RUNNING, 0, 4),
    "one done": task(TaskState.DONE, 1, 1, counts={"delivered": 1}),
    "all failed": task(TaskState.DONE, 1, 1, counts={"failed": 1}),
    "all skipped": task(TaskState.DONE, 1, 1, counts={"skipped": 1}),
    "nothing left": task(TaskState.DONE, 0, 0),
    "to two": task(TaskState.RUNNING, 0, 2, cursor={"collected": True, "webhooks": TWO}),
    "to three": task(TaskState.RUNNING, 0, 3, cursor={"collected": True, "webhooks": [*TWO, ONE]}),
    "paused": task(TaskState.PAUSED, 10, 12, counts={"failed": 10}),
    "stopped": task(TaskState.STOPPED, 3, 4, counts=SOME, stopped_by="Ana"),
    "stopped at its end": task(TaskState.STOPPED, 3, 3, counts=SOME, stopped_by="Ana"),
    "stopping": task(
        TaskState.RUNNING, 1, 2, counts={"failed": 1}, stopped_by="Ana", cursor=STOPPING
    ),
    "ended by an error": task(TaskState.FAILED, 1, 4, counts={"delivered": 1}),
}


def test_bulk_retry_lines_match_the_golden_file(golden: Golden) -> None:
    words = {}
    for name, batch in BATCHES.items():
        line = line_of(batch, Names())
        progress = f"{line.title} | {line.progress} | {bulk_retry_wording._sentence(batch)}"
        words[name] = f"{line.tag.word} ({line.tag.tone}) | {progress}"
    golden.said(GOLDEN / "bulk_retries.txt", words)
