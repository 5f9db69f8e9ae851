"""Count and start bulk retries, and show or stop long work of any kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from portal.api.deliveries import DeliveryFilter, filter_of
from portal.api.lists import from_row
from portal.api.operations import Answer, Call, Made, Operation
from portal.models.tasks import Task as Row
from portal.services import tasks
from portal.services.core.refusals import NotAllowed, NotFound
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry import Pace
from portal.services.deliveries.bulk_retry_selection import Selection, count, newest_now
from portal.services.task_kinds import KINDS
from portal.services.tasks import Kind

TASK: Final = "/tasks/<uuid:task_id>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Long work in the background. `counts`: the finished ones by outcome."""

    id: UUID
    kind: str
    state: str
    done: int
    total: int
    counts: Mapping[str, Any]
    error: str
    started_by: str
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriesQuery(DeliveryFilter):
    """Filters for deliveries to retry. `again`: delivered ones, too."""

    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriesBody(RetriesQuery):
    """A bulk retry. `pace`: the rate over all webhooks together."""

    pace: Pace = Pace.FAST


@dataclass(frozen=True, slots=True, kw_only=True)
class RetriesCount:
    """The number of deliveries that a bulk retry would send. `is_more`: counting stopped there."""

    total: int
    is_more: bool
    by_webhook: Mapping[str, int]
    skipped: Mapping[str, int]


def _selection(asked: RetriesQuery, call: Call) -> Selection:
    return Selection(wanted=filter_of(asked, call), newest=newest_now(), again=asked.again)


def _count(call: Call) -> Answer:
    found = count(_selection(call.query, call))
    by_webhook = dict(found.by_webhook.most_common())
    skipped = {str(reason): number for reason, number in found.skipped.items()}
    return Answer(from_row(RetriesCount, found, by_webhook=by_webhook, skipped=skipped))


def _start(call: Call) -> Made:
    choice = _selection(call.body, call)
    return Made({"task_id": bulk_retry.start(call.actor, choice, call.body.pace)})


def _find(call: Call, task_id: UUID) -> tuple[Row, Kind]:
    task = tasks.find(task_id)
    kind = KINDS.get(task.kind)
    if kind is None:
        raise NotFound("This portal no longer has this kind of task.")
    if not call.program.may(kind.permission):
        raise NotAllowed("This token doesn’t allow this. Ask an administrator.")
    return task, kind


def _show(call: Call, task_id: UUID) -> Answer:
    task, _ = _find(call, task_id)
    return Answer(from_row(Task, task, id=task.public_id, started_by=task.actor_name))


def _stop(call: Call, task_id: UUID) -> Made:
    _, kind = _find(call, task_id)
    if kind is bulk_retry.KIND:
        bulk_retry.stop(call.actor, task_id)
    else:
        tasks.stop(call.actor, task_id, kind)
    return Made({"task_id": task_id})


SHOW: Final = Operation(
    name="showTask",
    method="GET",
    path=TASK,
    summary="Show the progress of a task, such as a bulk retry or an import",
    permission="tasks.read",
    run=_show,
    answers=Task,
    example={
        "id": "01940c3e-5a2b-7c11-9d52-0a4f1d8f7f10",
        "kind": "bulk_retry",
        "state": "running",
        "done": 40,
        "total": 120,
        "counts": {"delivered": 38, "failed": 2},
        "error": "",
        "started_by": "MDM",
        "created_at": "2026-11-30T09:15:00+00:00",
        "finished_at": None,
    },
    problems=(403, 404),
)
OPERATIONS: Final = (
    Operation(
        name="countRetries",
        method="GET",
        path="/retries",
        summary="Count a bulk retry’s deliveries without sending them",
        permission="deliveries.read",
        run=_count,
        query=RetriesQuery,
        answers=RetriesCount,
        example={
            "total": 120,
            "is_more": False,
            "by_webhook": {"Nordwind ERP": 120},
            "skipped": {"off": 3},
        },
    ),
    Operation(
        name="startRetries",
        method="POST",
        path="/retries",
        summary="Retry all failed or retrying deliveries that match. New deliveries go first",
        permission=bulk_retry.PERMISSION,
        run=_start,
        shows=SHOW,
        body=RetriesBody,
        status=201,
        problems=(409,),
    ),
    SHOW,
    Operation(
        name="stopTask",
        method="POST",
        path=f"{TASK}/stop",
        summary="Stop a task. What it has completed stays",
        permission="tasks.read",
        run=_stop,
        shows=SHOW,
        problems=(403, 404, 409),
    ),
)
