"""Read one delivery with all its details, as plain values for its page."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from portal.database.engine import AnyRow
from portal.engine.circuit_breaker import has_asked
from portal.engine.formats.chats import CHATS, format_of
from portal.engine.formats.post import Post
from portal.engine.http.address_mask import masked_address
from portal.engine.reasons import NEVER_LEFT, Reason, alike, title
from portal.engine.redirects import Redirect
from portal.engine.retry_policy import AttemptKind
from portal.extensions import settings
from portal.lib.durations import in_words
from portal.models.deliveries import (
    OPEN,
    Attempt,
    AttemptBody,
    AttemptOutcome,
    Delivery,
    DeliveryStatus,
    Event,
    Lease,
    Priority,
)
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.refusals import NotFound
from portal.services.core.unit_of_work import database_time, session
from portal.services.deliveries.retry import GONE, RetryEligibility
from portal.services.outbox import leases
from portal.services.outbox.claimable import (
    SendingStop,
    WaitsFor,
    count_before,
    count_behind,
    find_stop,
    heads,
    kept_by,
    most_at_once,
    paced_until,
    paused_until,
    probe_of,
)
from portal.services.outbox.connectivity import OfflineSender, offline_to
from portal.services.webhooks.backlog import Backlog, Cause, of_one
from portal.services.webhooks.redirects import redirect_of
from portal.services.webhooks.rows import body_to_send, post_to_send, shown_url
from portal.services.webhooks.secrets import old_secret

# People's Retries are not limited. The page shows the newest, and the proof of delivery.
MOST_ATTEMPTS: Final = 30

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDetail:
    """One request and its response. `phases`: milliseconds. Header values are already redacted.

    `body`: the bytes sent, in this `format`, or None if none were sent or recorded.
    """

    number: int
    kind: str
    actor: str | None
    url: str
    is_being_sent: bool = False
    is_delivered: bool = False
    is_interrupted: bool = False
    reason: str | None = None
    code: int | None = None
    phases: dict[str, Any] = field(default_factory=dict)
    peer: str | None = None
    certificate_ends_at: datetime | None = None
    started_at: datetime
    finished_at: datetime | None = None
    request_headers: Headers = ()
    body: bytes | None = None
    format: str | None = None
    response_headers: Headers = ()
    response_text: str = ""
    is_truncated: bool = False
    location: str = ""
    redirect: Redirect | None = None
    detail: str = ""

    @property
    def ended_at(self) -> datetime:
        """Return the time it ended, or the time it began if no end is recorded."""
        return self.finished_at or self.started_at

    @property
    def failed_for(self) -> Reason:
        """Return the reason of the failure, which is `INTERRUPTED` if none is recorded."""
        return Reason(self.reason or Reason.INTERRUPTED)


def attempts_of(
    current: Session,
    delivery: Delivery,
    event: Event,
    webhook: Webhook,
    lease: Lease | None,
    now: datetime,
) -> Sequence[AttemptDetail]:
    """Return the newest attempts and the first that was delivered, oldest first.

    `lease`: of the attempt in progress, if any.
    """
    of_it = Attempt.delivery_id == delivery.id
    arrived = select(func.min(Attempt.number)).where(
        of_it, Attempt.outcome == AttemptOutcome.DELIVERED
    )
    is_new = Attempt.number > delivery.attempts - MOST_ATTEMPTS
    rows = current.execute(
        select(Attempt, AttemptBody)
        .outerjoin(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(of_it, or_(is_new, Attempt.number == arrived.scalar_subquery()))
        .order_by(Attempt.number.desc())
    ).all()
    ended = [
        _attempt(attempt, body, event, webhook, delivery.public_id)
        for attempt, body in reversed(rows)
    ]
    if lease is None:
        return ended
    # The lease stands for an attempt, which is interrupted if the lease has expired.
    is_live = lease.until > now
    under_way = AttemptDetail(
        number=lease.number,
        kind=lease.kind,
        actor=lease.actor,
        url=masked_address(lease.url, is_secret=webhook.url_is_secret),
        is_being_sent=is_live,
        is_interrupted=not is_live,
        started_at=lease.started_at,
    )
    return [*ended, under_way]


def _attempt(
    attempt: Attempt, body: AttemptBody | None, event: Event, webhook: Webhook, delivery: UUID
) -> AttemptDetail:
    detail = AttemptDetail(
        number=attempt.number,
        kind=attempt.kind,
        actor=attempt.actor,
        # Stored before URLs were masked, or before an administrator marked this one as secret.
        url=masked_address(attempt.url, is_secret=webhook.url_is_secret),
        is_delivered=attempt.outcome == AttemptOutcome.DELIVERED,
        is_interrupted=attempt.outcome == AttemptOutcome.INTERRUPTED,
        reason=attempt.reason,
        code=attempt.code,
        phases=attempt.phases or {},
        peer=attempt.peer,
        certificate_ends_at=attempt.certificate_ends_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
    )
    if body is None:
        return detail
    return replace(
        detail,
        request_headers=_pairs(body.request_headers),
        body=_body_sent(attempt, body, event),
        format=format_of(body.request_body),
        response_headers=_answered(_pairs(body.response_headers), is_secret=webhook.url_is_secret),
        response_text=body.response_text,
        is_truncated=body.is_truncated,
        location=masked_address(body.location or "", is_secret=webhook.url_is_secret),
        redirect=redirect_of(attempt, body.location, webhook, delivery),
        detail=body.detail,
    )


def _body_sent(attempt: Attempt, body: AttemptBody, event: Event) -> bytes | None:
    if not body.request_headers or attempt.reason in NEVER_LEFT:
        return None
    return event.body if body.request_body is None else body.request_body.encode()


def _pairs(headers: Sequence[Any]) -> Headers:
    return [(str(name), str(value)) for name, value in headers]


def _answered(headers: Headers, *, is_secret: bool) -> Headers:
    """Mask the URL of a redirect like any other."""
    return [
        (name, masked_address(value, is_secret=is_secret) if name.lower() == "location" else value)
        for name, value in headers
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryDetail:
    """A delivery, its event and webhook as they are now, and its newest attempts, oldest first.

    `body_now`: as an attempt would send it now. `post_now`: the same as a chat shows it. `row_id`:
    its position in the log. `now`: the database's clock, by which `due_at` and leases are judged.
    `paused_until`: the end of its webhook's backoff, caused by `pause_causes` if known.
    `alike`: the undelivered deliveries with the same cause as this failed test. `is_probe`:
    this one goes then, and the others once it has arrived. `paced_until`: its chat takes one at a
    time, and takes this one no sooner. `before`: the number that go first (`capped`). `ahead`: the
    older delivery that must go first, because its webhook wants them in order. `behind`: the number
    that wait for this one (`capped`). `stop`: a person has stopped all sending. `offline`: a
    machine that cannot connect to its host, as no other can.
    """

    row_id: int
    public_id: UUID
    event: str
    asset_id: int | None
    asset_tag: str
    asset_name: str
    occurred_at: datetime
    created_at: datetime
    body_now: bytes
    post_now: Post | None
    status: DeliveryStatus
    is_being_sent: bool
    is_test: bool
    is_manual: bool
    webhook_id: UUID
    webhook_name: str
    webhook_format: str | None
    is_webhook_off: bool
    is_webhook_deleted: bool
    webhook_url: str
    is_inbox: bool
    webhook_off_at: datetime | None
    secret_hint: str
    secret_set_at: datetime | None
    webhook_off_until: datetime | None
    due_at: datetime
    tries: int
    attempts_made: int
    requested_by: str | None
    dismissed_by: str | None
    dismissed_at: datetime | None
    dismissed_reason: str | None
    dismissal_id: UUID | None
    failing_since: datetime | None
    reason: str | None
    code: int | None
    took_ms: int | None
    finished_at: datetime | None
    attempts: Sequence[AttemptDetail]
    paused_until: datetime | None
    pause_causes: Sequence[Cause]
    alike: int
    is_probe: bool
    paced_until: datetime | None
    before: int
    ahead: UUID | None
    behind: int
    stop: SendingStop | None
    offline: OfflineSender | None
    now: datetime

    @property
    def body(self) -> bytes:
        """Return the body of the newest attempt, or `body_now` if that is not known."""
        return self.bodies[0]

    @property
    def post(self) -> Post | None:
        """Return `body` as a chat shows it, or None if it differs from `body_now`."""
        return self.post_now if self.body == self.body_now else None

    @property
    def bodies(self) -> Sequence[bytes]:
        """Return `body` and the different ones of earlier attempts, newest first."""
        newest_first = [attempt.body for attempt in reversed(self.attempts)] or [None]
        newest_first[0] = newest_first[0] or self.body_now
        return [*dict.fromkeys(body for body in newest_first if body is not None)]

    @property
    def eligibility(self) -> RetryEligibility:
        """Return the facts that decide whether it can be retried."""
        return RetryEligibility(
            status=self.status,
            is_being_sent=self.is_being_sent,
            is_test=self.is_test,
            webhook_name=self.webhook_name,
            is_webhook_off=self.is_webhook_off,
            is_webhook_deleted=self.is_webhook_deleted,
            is_manual=self.is_manual,
            is_sending_stopped=self.stop is not None,
            is_kept=self.waits_for is not None,
        )

    @property
    def waits_behind(self) -> bool:
        """Return whether an older delivery must go first."""
        return self.ahead is not None

    @property
    def is_waiting(self) -> bool:
        """Return whether it is still to be sent and no process is sending it."""
        return self.status in OPEN and not self.is_being_sent

    @property
    def waits_for(self) -> WaitsFor | None:
        """Return the reason why it waits longer than until `due_at`, whether it is due or not."""
        if not self.is_waiting or self.comes_to_rest:
            return None
        is_paced = self.paced_until is not None and self.offline is None
        return kept_by(
            self.due_at, self.paused_until, is_behind=self.waits_behind, is_paced=is_paced
        )

    @property
    def may_go_later(self) -> bool:
        """Return whether another delivery goes at `next_try_at`, and this one after it."""
        return self.waits_for is WaitsFor.RECEIVER and not self.is_probe

    @property
    def comes_to_rest(self) -> bool:
        """Return whether its webhook is off or deleted, and it is still to be held or dismissed."""
        is_off = self.is_webhook_off and not self.is_test
        return self.is_waiting and (is_off or self.is_webhook_deleted)

    @property
    def waits_for_start(self) -> bool:
        """Return whether it goes once a person starts sending again."""
        return self.stop is not None and self.is_waiting and not self.comes_to_rest

    @property
    def waits_for_connection(self) -> bool:
        """Return whether it is due, and goes once its host can be reached."""
        is_due = self.due_at <= self.now and not (self.comes_to_rest or self.waits_for_start)
        is_kept = self.offline is not None and self.waits_for is None
        return is_kept and self.is_waiting and is_due

    @property
    def next_try_at(self) -> datetime:
        """Return the time when it is due, its webhook's backoff is over, and its chat takes it.

        That is now if all of it is so already.
        """
        return max(filter(None, (self.now, self.due_at, self.paused_until, self.paced_until)))

    @property
    def has_asked(self) -> bool:
        """Return whether its receiver asked us to wait until `next_try_at`."""
        return has_asked(self.next_try_at, self.now)

    @property
    def is_untried(self) -> bool:
        """Return whether its next attempt is the first."""
        return not self.tries and self.last_attempt is None

    @property
    def ended_attempts(self) -> Sequence[AttemptDetail]:
        return [attempt for attempt in self.attempts if not attempt.is_being_sent]

    @property
    def arrivals(self) -> Sequence[AttemptDetail]:
        """Return its successful attempts, including the first of all."""
        return [attempt for attempt in self.attempts if attempt.is_delivered]

    @property
    def last_attempt(self) -> AttemptDetail | None:
        """Return the newest attempt that has ended."""
        return self.ended_attempts[-1] if self.ended_attempts else None


def without_content(delivery: DeliveryDetail) -> DeliveryDetail:
    """Remove the content of requests and responses, for people who can only see the outcome."""
    attempts = [
        replace(
            attempt,
            request_headers=(),
            body=None,
            response_headers=(),
            response_text="",
            is_truncated=False,
            location="",
            redirect=None,
            detail="",
        )
        for attempt in delivery.attempts
    ]
    return replace(delivery, body_now=b"", post_now=None, attempts=attempts)


def find_delivery(public_id: UUID, *, draft: UUID | None = None) -> DeliveryDetail:
    """Read everything that the page of a delivery shows. Raises `NotFound`.

    `draft`: find a delivery of this draft, which appears only on the page of its form.
    """
    current = session()
    is_draft = Webhook.state == WebhookState.DRAFT
    belongs = and_(is_draft, Webhook.public_id == draft) if draft else ~is_draft
    row = current.execute(
        select(Delivery, Event, Webhook)
        .join(Event, Event.id == Delivery.event_id)
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(Delivery.public_id == public_id, belongs)
    ).one_or_none()
    if row is None:
        raise NotFound(GONE)
    delivery, event, webhook = row
    now, lease = database_time(current), leases.lease_of(current, delivery.id)
    is_leased = lease is not None and lease.until > now
    pause = paused_until(delivery.priority, webhook.backoff_until, now, in_order=webhook.in_order)
    is_failed_test = delivery.priority == Priority.TEST and delivery.status == DeliveryStatus.FAILED
    backlog = of_one(current, webhook.id) if pause or is_failed_test else None
    in_order = webhook.in_order
    head = heads(current, [webhook.id])[webhook.id] if in_order else None
    paced, before = paced_until(delivery, webhook, now), 0
    if paced:
        before = count_before(current, delivery, now, in_order=in_order)
        paced += before * CHATS[webhook.format or ""].pace
    return DeliveryDetail(
        row_id=delivery.id,
        public_id=delivery.public_id,
        event=delivery.event,
        asset_id=delivery.asset_id,
        asset_tag=event.asset_tag,
        asset_name=event.asset_name,
        occurred_at=event.occurred_at,
        created_at=delivery.created_at,
        body_now=body_to_send(webhook.format, event.body),
        post_now=post_to_send(webhook.format, event.body),
        status=DeliveryStatus(delivery.status),
        is_being_sent=delivery.status in OPEN and is_leased,
        is_test=delivery.priority == Priority.TEST,
        is_manual=delivery.status in OPEN and delivery.prior_status is not None,
        webhook_id=webhook.public_id,
        webhook_name=webhook.name,
        webhook_format=webhook.format,
        is_webhook_off=webhook.state != WebhookState.ACTIVE,
        is_webhook_deleted=webhook.deleted_at is not None,
        webhook_url=shown_url(webhook),
        is_inbox=webhook.kind == WebhookKind.INBOX,
        webhook_off_at=webhook.off_at,
        secret_hint="" if old_secret(webhook, now) else webhook.secret_hint,
        secret_set_at=webhook.secret_set_at,
        webhook_off_until=webhook.off_until,
        due_at=delivery.due_at,
        tries=delivery.tries + (lease is not None and lease.kind == AttemptKind.SCHEDULED),
        attempts_made=delivery.attempts + (lease is not None),
        requested_by=delivery.requested_by,
        dismissed_by=delivery.dismissed_by,
        dismissed_at=delivery.dismissed_at,
        dismissed_reason=delivery.dismissed_reason,
        dismissal_id=delivery.dismissal_id,
        failing_since=delivery.failing_since,
        reason=delivery.reason,
        code=delivery.code,
        took_ms=delivery.took_ms,
        finished_at=delivery.finished_at,
        attempts=attempts_of(current, delivery, event, webhook, lease, now),
        paused_until=pause,
        pause_causes=backlog.causes if backlog else (),
        alike=_count_alike(delivery, backlog) if is_failed_test else 0,
        is_probe=pause is not None and probe_of(current, webhook.id, pause) == delivery.id,
        paced_until=paced,
        before=before,
        ahead=_ahead(current, delivery, head),
        # Only the oldest open delivery holds up others.
        behind=count_behind(current, webhook.id) if head == delivery.id else 0,
        stop=find_stop(),
        offline=offline_to(webhook),
        now=now,
    )


def _count_alike(test: Delivery, backlog: Backlog | None) -> int:
    """Count the undelivered deliveries with the same cause as a failed test."""
    if backlog is None or test.reason is None:
        return 0
    words = title(alike(Reason(test.reason))[0], test.code)
    return sum(cause.count for cause in backlog.causes if cause.words == words)


def _ahead(current: Session, delivery: Delivery, head: int | None) -> UUID | None:
    """Return the older delivery that goes first. Tests and Retries go out of turn and have none."""
    is_usual = delivery.priority != Priority.TEST and delivery.prior_status is None
    if head is None or head >= delivery.id or not is_usual:
        return None
    return current.scalar(select(Delivery.public_id).where(Delivery.id == head))


SLOW: Final = timedelta(seconds=15)
SENDERS: Final = (heartbeats.worker_of(DELIVERIES), heartbeats.DISPATCHER)


class Delay(StrEnum):
    """The cause of a delay. Nobody sends, the webhook's places are taken, or others go first."""

    NO_WORKER = "no_worker"
    PLACES = "places"
    TURN = "turn"


def find_delay(delivery: DeliveryDetail) -> Delay | None:
    """Return the unexplained delay of a delivery that is due for longer than `SLOW`, if any."""
    is_waiting = delivery.is_waiting and not delivery.comes_to_rest
    is_explained = delivery.stop or delivery.waits_for or delivery.waits_for_connection
    if not is_waiting or is_explained or delivery.now - delivery.due_at <= SLOW:
        return None
    if not any(process.is_alive for process in heartbeats.processes() if process.kind in SENDERS):
        return Delay.NO_WORKER
    return Delay.PLACES if _is_full(delivery) else Delay.TURN


def _is_full(delivery: DeliveryDetail) -> bool:
    connection = session().connection()
    columns = (Webhook.id, Webhook.throttled, Webhook.in_order, Webhook.format)
    statement = select(*columns).where(Webhook.public_id == delivery.webhook_id)
    webhook = connection.execute(statement).one()
    tests, others = leases.count_live(connection, webhook.id, delivery.now)
    if delivery.is_test:
        return tests > 0
    limit = most_at_once(
        settings().webhook_max_in_flight,
        throttled=webhook.throttled,
        in_order=webhook.in_order,
        format_=webhook.format,
    )
    return others >= limit


MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Sibling:
    """A delivery of the same event to another webhook. `result`: of its last attempt, if any."""

    public_id: UUID
    webhook_name: str
    status: DeliveryStatus
    result: str


@dataclass(frozen=True, slots=True)
class Siblings:
    """At most `MOST_SHOWN`, delivered ones last. `more`: the number left out."""

    rows: tuple[Sibling, ...] = ()
    more: int = 0


def siblings_of(public_id: UUID) -> Siblings:
    """Return the deliveries of the same event to other webhooks. Reads only."""
    current = session()
    event = select(Delivery.event_id).where(Delivery.public_id == public_id).scalar_subquery()
    arrived = Delivery.status == DeliveryStatus.DELIVERED
    statement = (
        select(
            Delivery.public_id,
            Webhook.name,
            Delivery.status,
            Delivery.reason,
            Delivery.code,
            Delivery.took_ms,
            Delivery.dismissed_by,
        )
        .join(Webhook, Webhook.id == Delivery.webhook_id)
        .where(
            Delivery.event_id == event,
            Delivery.public_id != public_id,
            Webhook.state != WebhookState.DRAFT,
        )
        .order_by(arrived, func.lower(Webhook.name), Delivery.id)
    )
    total = (
        current.scalar(select(func.count()).select_from(statement.order_by(None).subquery())) or 0
    )
    rows = tuple(
        Sibling(row.public_id, row.name, DeliveryStatus(row.status), _result(row))
        for row in current.execute(statement.limit(MOST_SHOWN))
    )
    return Siblings(rows, total - len(rows))


def _result(row: AnyRow) -> str:
    if row.status == DeliveryStatus.DELIVERED and row.took_ms is not None:
        return f"in {in_words(row.took_ms / 1000)}"
    if row.status == DeliveryStatus.DISMISSED and row.dismissed_by:
        return f"by {row.dismissed_by}"
    return title(Reason(row.reason), row.code) if row.reason else ""
