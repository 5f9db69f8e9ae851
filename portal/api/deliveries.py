"""List and show deliveries, and retry, dismiss, or restore one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field

from portal.api.lists import WHOLE, Event, Moment, Paging, RowId, Text, from_row, page_example
from portal.api.operations import Answer, Call, Made, Operation
from portal.api.schemas import Paged, limited
from portal.engine.reasons import Reason, title
from portal.models.deliveries import DeliveryStatus
from portal.services.core.permissions import CONTENT
from portal.services.core.refusals import NotFound, Refusal
from portal.services.deliveries import dismissals, retry
from portal.services.deliveries import log as logs
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.detail import AttemptDetail, find_delivery
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.retry import GONE, AlreadyArrived
from portal.services.deliveries.statuses import FailedBetween, LogFilter, StatusFilter

DELIVERY: Final = "/deliveries/<uuid:delivery_id>"
READ: Final = "deliveries.read"
Code = Annotated[int, Field(ge=100, le=599), WHOLE]


@dataclass(frozen=True, kw_only=True)
class DeliveryFilter:
    """Filters for deliveries.

    `q`: part of an asset’s tag, name, or serial number, or the beginning of a delivery’s ID.
    `since` and `until` are about when the event was saved, `failed_…` about when an attempt failed.
    `reason` and `code_…` are about the last attempt. `answer`: part of the receiver’s response.
    """

    status: Annotated[
        StatusFilter | None,
        Field(
            description="A status, or one of: “open” (queued or retrying), “undelivered” (also on "
            "hold or failed, except tests), “attention” (undelivered, of webhooks that fail or "
            "that we turned off)"
        ),
    ] = None
    webhook_id: UUID | None = None
    event: Event | None = None
    asset_id: RowId | None = None
    q: Annotated[Text, Field(description="Asset tag, name, serial number, or a delivery’s ID")] = ""
    reason: Annotated[Reason | None, Field(description="The last attempt’s reason")] = None
    code_from: Annotated[
        Code | None,
        Field(description="The last attempt’s lowest code. Also send code_to"),
    ] = None
    code_to: Code | None = None
    since: Annotated[Moment | None, Field(description="When the event was saved")] = None
    until: Moment | None = None
    failed_since: Annotated[
        Moment | None,
        Field(description="When an attempt failed, whatever the status is now. Tests don’t count"),
    ] = None
    failed_until: Moment | None = None
    answer: Annotated[Text, Field(description="Part of the receiver’s response")] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryQuery(DeliveryFilter, Paging):
    """Filters for one page of deliveries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event for one webhook. `reason` and `code` are the last attempt’s."""

    id: UUID
    event: str
    asset_id: int | None
    asset_tag: str
    asset_name: str
    webhook_id: UUID
    webhook_name: str
    status: DeliveryStatus
    is_test: bool
    reason: str | None
    reason_title: str | None
    code: int | None
    attempts: int
    created_at: datetime
    next_attempt_at: datetime | None
    finished_at: datetime | None
    dismissed_by: str | None
    dismissed_at: datetime | None
    dismissed_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request and its response. Headers and bodies only for tokens with that permission."""

    number: int
    outcome: str
    requested_by: str | None
    reason: str | None
    reason_title: str | None
    code: int | None
    started_at: datetime
    finished_at: datetime | None
    url: str
    request_headers: Sequence[Sequence[str]] | None
    request_body: str | None
    response_headers: Sequence[Sequence[str]] | None
    response_text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryWithAttempts(Delivery):
    """A delivery with its newest attempts, oldest first."""

    attempt_log: Sequence[Attempt]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryBody:
    """`again`: retry a delivered one, too. The receiver can then act on it twice."""

    again: bool = False


@limited(lambda _name: dismissals.LONGEST_REASON)
@dataclass(frozen=True, slots=True, kw_only=True)
class DismissBody:
    """A reason, shown in the delivery log."""

    reason: str = ""


def filter_of(asked: DeliveryFilter, call: Call) -> LogFilter:
    """Return the log's filter. Raises `Refusal`."""
    if asked.answer and not call.program.may(CONTENT):
        raise Refusal("This token may not see what receivers said", field="answer")
    if (asked.code_from is None) is not (asked.code_to is None):
        raise Refusal("Give both code_from and code_to", field="code_from")
    codes = (asked.code_from, asked.code_to) if asked.code_from and asked.code_to else None
    has_failed = asked.failed_since or asked.failed_until
    return LogFilter(
        status=asked.status,
        webhook=asked.webhook_id,
        event=asked.event,
        asset_id=asked.asset_id,
        search=asked.q,
        reasons=(asked.reason,) if asked.reason else (),
        codes=codes,
        since=asked.since,
        until=asked.until,
        failed=FailedBetween(asked.failed_since, asked.failed_until) if has_failed else None,
        answer=asked.answer,
    )


def _delivery(row: LogRow) -> Delivery:
    reason = Reason(row.reason) if row.reason else None
    return from_row(
        Delivery,
        row,
        id=row.public_id,
        reason_title=title(reason) if reason else None,
        next_attempt_at=row.next_try_at,
    )


def _list(call: Call) -> Answer:
    asked: DeliveryQuery = call.query
    found = logs.find_page(filter_of(asked, call), asked.after, asked.limit)
    items = [_delivery(row) for row in found.page.rows]
    return Answer({"items": items, "next": found.page.older or found.further})


def _show(call: Call, delivery_id: UUID) -> Answer:
    row = next(logs.named([delivery_id]), None)
    if row is None:
        raise NotFound(GONE)
    has_content = call.program.may(CONTENT)
    log = [_attempt(each, has_content) for each in find_delivery(delivery_id).attempts]
    return Answer(from_row(DeliveryWithAttempts, _delivery(row), attempt_log=log))


def _attempt(attempt: AttemptDetail, has_content: bool) -> Attempt:
    failed = None if attempt.is_delivered or attempt.is_being_sent else attempt.failed_for
    sent = attempt.body.decode(errors="replace") if attempt.body is not None else None
    return from_row(
        Attempt,
        attempt,
        outcome=_outcome(attempt),
        requested_by=attempt.actor,
        reason=failed,
        reason_title=title(failed) if failed else None,
        request_headers=attempt.request_headers if has_content else None,
        request_body=sent if has_content else None,
        response_headers=attempt.response_headers if has_content else None,
        response_text=attempt.response_text if has_content else None,
    )


def _outcome(attempt: AttemptDetail) -> str:
    if attempt.is_being_sent:
        return "sending"
    if attempt.is_delivered:
        return "delivered"
    return "interrupted" if attempt.is_interrupted else "failed"


def _retry(call: Call, delivery_id: UUID) -> Made:
    try:
        retry.retry(call.actor, delivery_id, again=call.body.again)
    except AlreadyArrived:
        raise Refusal("It already arrived. To send it again, give “again” as true.") from None
    return Made({"delivery_id": delivery_id})


def _dismiss(call: Call, delivery_id: UUID) -> Made:
    done = dismissals.dismiss(call.actor, Selection(ticked=(delivery_id,)), call.body.reason)
    _refuse_other(done, dismissals.Outcome.DISMISSED)
    return Made({"delivery_id": delivery_id})


def _restore(call: Call, delivery_id: UUID) -> Made:
    done = dismissals.restore(call.actor, [delivery_id])
    _refuse_other(done, dismissals.Outcome.RESTORED)
    return Made({"delivery_id": delivery_id})


OTHERWISE: Final = {
    dismissals.Outcome.DELIVERED: "This delivery already arrived.",
    dismissals.Outcome.ALREADY: "This delivery is already dismissed.",
    dismissals.Outcome.NOT_DISMISSED: "This delivery isn’t dismissed.",
    dismissals.Outcome.DELETED: "The webhook of this delivery was deleted.",
}


def _refuse_other(done: dismissals.Done, wanted: dismissals.Outcome) -> None:
    if done.counts[wanted]:
        return
    found = next((each for each in OTHERWISE if done.counts[each]), None)
    if found is None:
        raise NotFound(GONE)
    raise Refusal(OTHERWISE[found])


EXAMPLE: Final = {
    "id": "01940c3e-5a2b-7c11-9d52-0a4f1d8f7f10",
    "event": "asset.checked_out",
    "asset_id": 123,
    "asset_tag": "AST-00123",
    "asset_name": "ThinkPad T14",
    "webhook_id": "01940c3e-0000-7c11-9d52-0a4f1d8f7f10",
    "webhook_name": "Nordwind ERP",
    "status": "failed",
    "is_test": False,
    "reason": "server",
    "reason_title": "Server error",
    "code": 500,
    "attempts": 10,
    "created_at": "2026-11-30T09:15:00+00:00",
    "next_attempt_at": None,
    "finished_at": "2026-12-03T12:50:00+00:00",
    "dismissed_by": None,
    "dismissed_at": None,
    "dismissed_reason": None,
}
SHOW: Final = Operation(
    name="showDelivery",
    method="GET",
    path=DELIVERY,
    summary="Show a delivery with its attempts",
    permission=READ,
    run=_show,
    answers=DeliveryWithAttempts,
    example={
        **EXAMPLE,
        "attempt_log": [
            {
                "number": 1,
                "outcome": "failed",
                "requested_by": None,
                "reason": "server",
                "reason_title": "Server error",
                "code": 500,
                "started_at": "2026-11-30T09:15:00+00:00",
                "finished_at": "2026-11-30T09:15:01+00:00",
                "url": "https://erp.example.com/hooks",
                "request_headers": [["Content-Type", "application/json"]],
                "request_body": "{}",
                "response_headers": [["Content-Type", "text/plain"]],
                "response_text": "Out of memory",
            }
        ],
    },
    problems=(404,),
)
OPERATIONS: Final = (
    Operation(
        name="listDeliveries",
        method="GET",
        path="/deliveries",
        summary="List deliveries, newest first. An empty page can have a next one",
        permission=READ,
        run=_list,
        query=DeliveryQuery,
        answers=Paged[Delivery],
        example=page_example(EXAMPLE),
        problems=(400,),
    ),
    SHOW,
    Operation(
        name="retryDelivery",
        method="POST",
        path=f"{DELIVERY}/retry",
        summary="Make one more attempt now. If the delivery was dismissed, this restores it",
        permission="deliveries.retry",
        run=_retry,
        shows=SHOW,
        body=RetryBody,
        problems=(404, 409),
    ),
    Operation(
        name="dismissDelivery",
        method="POST",
        path=f"{DELIVERY}/dismiss",
        summary="Dismiss a delivery. We make no further attempts",
        permission="deliveries.dismiss",
        run=_dismiss,
        shows=SHOW,
        body=DismissBody,
        problems=(404, 409),
    ),
    Operation(
        name="restoreDelivery",
        method="POST",
        path=f"{DELIVERY}/restore",
        summary="Undo a dismissal",
        permission="deliveries.dismiss",
        run=_restore,
        shows=SHOW,
        problems=(404, 409),
    ),
)
