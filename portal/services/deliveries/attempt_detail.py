"""A delivery's attempts as plain values for its page: those that ended, and one under way."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.http.address_mask import masked_address
from portal.models.deliveries import Attempt, AttemptBody, AttemptOutcome, Delivery, Lease
from portal.models.webhooks import Webhook

# A person's Retries are not limited; the page shows the newest.
MOST_ATTEMPTS: Final = 30

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptDetail:
    """One request and its answer. `phases`: milliseconds; header values are redacted already."""

    number: int
    kind: str
    actor: str | None
    url: str
    is_being_sent: bool
    is_delivered: bool
    is_interrupted: bool
    reason: str | None
    code: int | None
    phases: dict[str, Any]
    peer: str | None
    certificate_ends_at: datetime | None
    started_at: datetime
    finished_at: datetime | None
    request_headers: Headers
    response_headers: Headers
    response_text: str
    is_truncated: bool
    location: str
    detail: str
    sender: str | None = None

    @property
    def is_unreached(self) -> bool:
        """Whether the machine `sender` could not connect, and another took over."""
        return self.sender is not None


def attempts_of(
    current: Session, delivery: Delivery, webhook: Webhook, lease: Lease | None, now: datetime
) -> Sequence[AttemptDetail]:
    """The newest, oldest first; `lease`: of the one under way, if any."""
    rows = current.execute(
        select(Attempt, AttemptBody)
        .outerjoin(AttemptBody, AttemptBody.attempt_id == Attempt.id)
        .where(Attempt.delivery_id == delivery.id)
        .order_by(Attempt.number.desc())
        .limit(MOST_ATTEMPTS)
    ).all()
    ended = [_attempt(attempt, body, webhook) for attempt, body in reversed(rows)]
    return [*ended, _under_way(lease, webhook, now)] if lease else ended


def _under_way(lease: Lease, webhook: Webhook, now: datetime) -> AttemptDetail:
    """The attempt that a lease stands for; interrupted, if that ran out."""
    is_live = lease.until > now
    return AttemptDetail(
        number=lease.number,
        kind=lease.kind,
        actor=lease.actor,
        url=masked_address(lease.url, is_secret=webhook.url_is_secret),
        is_being_sent=is_live,
        is_delivered=False,
        is_interrupted=not is_live,
        reason=None,
        code=None,
        phases={},
        peer=None,
        certificate_ends_at=None,
        started_at=lease.started_at,
        finished_at=None,
        request_headers=(),
        response_headers=(),
        response_text="",
        is_truncated=False,
        location="",
        detail="",
    )


def _attempt(attempt: Attempt, body: AttemptBody | None, webhook: Webhook) -> AttemptDetail:
    return AttemptDetail(
        number=attempt.number,
        kind=attempt.kind,
        actor=attempt.actor,
        # Stored before addresses were masked, or before an administrator said that it is a secret.
        url=masked_address(attempt.url, is_secret=webhook.url_is_secret),
        is_being_sent=False,
        is_delivered=attempt.outcome == AttemptOutcome.DELIVERED,
        is_interrupted=attempt.outcome == AttemptOutcome.INTERRUPTED,
        reason=attempt.reason,
        code=attempt.code,
        phases=attempt.phases or {},
        peer=attempt.peer,
        certificate_ends_at=attempt.certificate_ends_at,
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        request_headers=_pairs(body.request_headers) if body else (),
        response_headers=_pairs(body.response_headers) if body else (),
        response_text=body.response_text if body else "",
        is_truncated=bool(body and body.is_truncated),
        location=(body.location or "") if body else "",
        detail=body.detail if body else "",
        sender=attempt.sender,
    )


def _pairs(headers: Sequence[Any]) -> Headers:
    return [(str(name), str(value)) for name, value in headers]
