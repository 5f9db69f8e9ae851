"""What a bulk retry is for, how far it got and why it does not go on, in words."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from portal.engine.events.catalogue import EventName
from portal.engine.reasons import Reason, ReasonGroup, alike, reasons_in
from portal.lib.clock import utcnow
from portal.models.tasks import Task, TaskState
from portal.services.deliveries.bulk_retry_selection import Selection, as_params
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter
from portal.web.deliveries import bulk_retry_wording
from portal.web.deliveries.bulk_retry_wording import Names, filter_words, heading, line_of
from tests.support.factories import make_webhook

pytestmark = pytest.mark.usefixtures("in_a_request")
EARLY, LATE = datetime(2024, 1, 5, 8, tzinfo=UTC), datetime(2024, 1, 6, 9, 30, tzinfo=UTC)
FROM, TO = "5 Jan 2024, 09:00", "6 Jan 2024, 10:30"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"status": StatusFilter.ON_HOLD}, "all with status Held"),
        ({"status": StatusFilter.ATTENTION}, "all with status Needs attention"),
        ({"status": StatusFilter.ATTENTION, "untried": True}, "no attempt yet"),
        ({"status": StatusFilter.ATTENTION, "codes": (500, 500)}, "code 500"),
        (
            {"status": StatusFilter.FAILED, "reasons": (Reason.DNS,)},
            "all with status Failed, Server not found",
        ),
        ({"reasons": (Reason.SERVER,), "codes": (500, 509)}, "Server error (50x)"),
        ({"reasons": alike(Reason.RESET)}, "Connection closed early"),
        ({"reasons": tuple(reasons_in(ReasonGroup.CONNECT))}, "Couldn’t connect"),
        ({"reasons": (Reason.DNS, Reason.REFUSED)}, "Server not found or Connection refused"),
        ({"codes": (500, 599)}, "code 5xx"),
        ({"event": EventName.CREATED}, "Asset created"),
        ({"asset_id": 7}, "one asset"),
        ({"search": "AST-1"}, "“AST-1”"),
        ({"delivery": UUID(int=1)}, "one delivery"),
        ({"answer": "out of stock"}, "answered “out of stock”"),
        ({"since": EARLY}, f"since {FROM}"),
        ({"until": LATE}, f"until {TO}"),
        ({"failed": FailedBetween(EARLY, LATE)}, f"an attempt failed since {FROM} until {TO}"),
        ({"failed": FailedBetween(EARLY, None)}, f"an attempt failed since {FROM}"),
        ({"webhook": UUID(int=1)}, "a webhook that is no longer kept"),
        ({}, "all deliveries"),
    ],
)
def test_each_part_of_a_filter_has_its_words(asked: dict[str, Any], said: str) -> None:
    assert filter_words(LogFilter(**asked), Names()) == said


def test_only_what_goes_to_one_webhook_is_retried_to_it() -> None:
    hook = make_webhook(name="Sync", deleted_at=utcnow())
    for choice, said in (
        (Selection(wanted=LogFilter(webhook=hook.public_id)), "Retry to Sync"),
        (Selection(wanted=LogFilter(search="x")), "Retry “x”"),
        (Selection(ticked=(uuid4(),)), "Retry 1 selected delivery"),
        (Selection(ticked=(uuid4(), uuid4())), "Retry 2 selected deliveries"),
        (Selection(rest_of=uuid4()), "Retry what a stopped bulk retry did not send"),
    ):
        assert heading(as_params(choice), Names()) == said


def task(state: TaskState, done: int, total: int, **more: Any) -> Task:
    """A bulk retry that got so far."""
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


SOME = {"delivered": 2, "failed": 1}
LINES = [
    (task(TaskState.RUNNING, 0, 2, cursor={}), "2 found so far", ""),
    (task(TaskState.RUNNING, 3, 4, counts=SOME), "3 of 4", "2 delivered, 1 failed"),
    (task(TaskState.RUNNING, 0, 4), "0 of 4", ""),
    (task(TaskState.DONE, 1, 1, counts={"failed": 1}), "1 of 1", "0 delivered, 1 failed"),
    (task(TaskState.DONE, 1, 1, counts={"skipped": 1}), "1 of 1", "0 delivered, 1 skipped"),
    (task(TaskState.PAUSED, 10, 12, counts={"failed": 10}), "10 of 12", "10 failed in a row"),
    (task(TaskState.STOPPED, 3, 4, counts=SOME), "3 of 4", "1 was not sent"),
    (task(TaskState.FAILED, 1, 4, counts={"delivered": 1}), "1 of 4", "3 were not sent"),
    (task(TaskState.STOPPED, 3, 3, counts=SOME), "3 of 3", "2 delivered, 1 failed"),
]


@pytest.mark.parametrize(("batch", "progress", "note"), LINES)
def test_a_line_says_how_far_it_got_and_why_it_does_not_go_on(
    batch: Task, progress: str, note: str
) -> None:
    line = line_of(batch, Names(), is_taken_up=False)
    assert (line.progress, line.note) == (progress, note)
    is_partly = batch.state == TaskState.DONE and "failed" in batch.counts
    assert (line.tag.tone == "warning") is (is_partly or batch.state == TaskState.PAUSED)


@pytest.mark.parametrize(
    ("batch", "sentence"),
    [
        (task(TaskState.RUNNING, 0, 2, cursor={}), "Looking for what is to be sent: 2 so far."),
        (task(TaskState.RUNNING, 1, 2), "1 of 2 finished."),
        (task(TaskState.DONE, 1, 1), "Finished: 1 delivery."),
        (task(TaskState.DONE, 0, 0), "There was nothing left to retry."),
        (
            task(TaskState.STOPPED, 1, 2, stopped_by="Ana"),
            "Ana stopped this after 1 of 2. What was not sent is as before.",
        ),
        (
            task(TaskState.RUNNING, 1, 2, stopped_by="Ana", cursor={"stopping": True}),
            "Ana stopped this after 1 of 2. What is being sent now is waited for; the rest is as "
            "before.",
        ),
    ],
)
def test_its_page_says_in_a_sentence_how_it_stands(batch: Task, sentence: str) -> None:
    assert bulk_retry_wording._sentence(batch) == sentence
