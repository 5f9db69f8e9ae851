"""The sender of the demo: the engine claims, judges and records, when the story says so. Only the
answers are made up."""

from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome
from portal.extensions import settings
from portal.lib.clock import frozen, utcnow
from portal.models.deliveries import Delivery, is_open
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.services import tasks
from portal.services.alerts import runs as alert_runs
from portal.services.deliveries import bulk_retry
from portal.services.demo.receivers import Answer, Receiver
from portal.services.dispatch import record, sweep
from portal.services.dispatch.claim import claim
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.request import Composer, Outgoing
from portal.services.dispatch.results import Result
from portal.services.outbox.due import heads
from portal.services.webhooks import inbox
from portal.services.webhooks.rows import token_of

PLACES: Final = 64
PICKED_UP_AFTER: Final = timedelta(milliseconds=35)
FIRST_DUE: Final = (
    select(
        Webhook.id,
        Webhook.in_order,
        Webhook.not_before,
        func.min(Delivery.due_at).label("due_at"),
        func.count().label("open"),
    )
    .join(Delivery, Delivery.webhook_id == Webhook.id)
    .where(is_open(), Webhook.state == WebhookState.ACTIVE)
    .group_by(Webhook.id, Webhook.in_order, Webhook.not_before)
)
KINDS: Final = {each.name: each for each in (bulk_retry.KIND, alert_runs.KIND)}
A_LOOK: Final = timedelta(seconds=2)  # where nothing could be claimed, the next is so much later


class Sender:
    """Sends what is due, up to a moment; in one transaction with the whole story."""

    def __init__(self, current: Session, chance: Random, now: datetime) -> None:
        self._current, self._chance, self._now = current, chance, now
        self._composer = Composer(settings().version)
        self._receivers: dict[int, Receiver] = {}
        self._failing: set[int] = set()
        self._is_restless = False
        self._clock = datetime.min.replace(tzinfo=now.tzinfo)

    def connect(self, webhook: Webhook, receiver: Receiver) -> None:
        """From now on this is how the webhook's receiver answers."""
        self._receivers[webhook.id] = receiver

    def go_on(self, until: datetime) -> None:
        """Send everything that is due before `until`, when it is due."""
        if not self._receivers:
            return
        self._current.flush()
        while (due_at := self._next()) is not None:
            at = max(due_at + PICKED_UP_AFTER, self._clock)
            if at >= until:
                return
            with frozen(at):
                self._clock = self._turn(at)

    def leave_one_under_way(self) -> None:
        """One is being sent at this moment."""
        self._current.flush()
        claim(self._current.connection(), 1)

    def work(self) -> None:
        """What the background worker does, until it waits for deliveries or has nothing to do."""
        self._current.flush()
        while (turn := tasks.claim()) is not None:
            while tasks.advance(turn, KINDS[turn.kind]):
                pass

    def _next(self) -> datetime | None:
        """When the next delivery of all webhooks is due."""
        current = self._current
        rows = current.execute(FIRST_DUE).all()
        queues = [row.id for row in rows if row.in_order and row.open > 1]
        ahead = heads(current, queues)
        times = {row.id: max(row.due_at, row.not_before or row.due_at) for row in rows}
        for webhook_id in queues:  # the first alone goes, whatever is due behind it
            head = select(Delivery.due_at).where(Delivery.id == ahead[webhook_id])
            times[webhook_id] = current.scalars(head).one_or_none() or times[webhook_id]
        return min(times.values(), default=None)

    def _turn(self, at: datetime) -> datetime:
        """Claim, answer, record; when that is over."""
        connection = self._current.connection()
        if self._is_restless:
            sweep.settle_on(connection)
        results = [self._result(each, at) for each in claim(connection, PLACES)]
        if not results:
            return at + A_LOOK
        # Only what failed, or arrives after that, has anything put right.
        failed = {each.claim.webhook.id for each in results if each.outcome.reason}
        arrived = {each.claim.webhook.id for each in results} - failed
        self._is_restless = bool(failed or self._failing)
        self._failing = (self._failing | failed) - arrived
        end = max(each.finished_at for each in results)
        with frozen(end):
            record.record(connection, results, partial(self._chance.uniform, -1, 1))
        return end

    def _result(self, claimed: Claim, at: datetime) -> Result:
        receiver = self._receivers[claimed.webhook.id]
        answer = receiver.answer(claimed.delivery_id, at, self._now)
        seconds = self._seconds(answer)
        sent, end = self._composer.compose(claimed), at + timedelta(seconds=seconds)
        if claimed.webhook.kind == WebhookKind.INBOX and answer.reason is None:
            with frozen(end):
                self._take_in(claimed, sent)
        is_answered = answer.code is not None
        is_connected = is_answered or answer.broken_by is Reason.READ_TIMEOUT
        return Result(
            claim=claimed,
            outcome=Outcome(answer.reason, answer.code, answer.retry_after),
            phases={
                "name": None,
                "connect": _milliseconds(seconds / 9) if is_connected else None,
                "tls": None,
                "first_byte": _milliseconds(seconds * 0.9) if is_answered else None,
                "total": _milliseconds(seconds),
            },
            peer=f"127.0.0.1:{settings().port}" if is_connected else None,
            certificate_ends_at=None,
            request_headers=sent.shown,
            response_headers=_headers(answer),
            response_text=answer.text,
            is_truncated=False,
            location=None,
            detail="",
            finished_at=end,
        )

    def _seconds(self, answer: Answer) -> float:
        """Until the answer was there, or we waited no longer."""
        if answer.broken_by is Reason.READ_TIMEOUT:
            return settings().webhook_timeout
        return answer.takes * self._chance.uniform(0.7, 1.6)

    def _take_in(self, claimed: Claim, sent: Outgoing) -> None:
        """What arrives inside lies there for a day."""
        if self._now - utcnow() < inbox.KEPT_FOR:
            headers = list(sent.headers.items())
            inbox.receive(token_of(claimed.webhook.public_id), headers, claimed.body)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _headers(answer: Answer) -> list[tuple[str, str]]:
    if answer.code is None:
        return []
    asked = [("Retry-After", str(answer.retry_after))] if answer.retry_after else []
    return [("Content-Type", "text/plain"), *asked]
