"""From what the transport hands back to what is recorded: bounded, and in milliseconds."""

from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from portal.engine.http.exchange import Exchange
from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome, parse_retry_after
from portal.lib.clock import utcnow
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.request import Outgoing
from portal.services.outbox.journal import FailedAttempt
from portal.services.outbox.rollups import LATE

_PHASES = ("name", "connect", "tls", "first_byte", "total", "again")


class Result(NamedTuple):
    """How one attempt ended. `phases`: milliseconds since its start. Everything is bounded.

    `is_unreached`: there was no connection. `sender`: the machine that gave it back for that.
    """

    claim: Claim
    outcome: Outcome
    phases: dict[str, float | None]
    peer: str | None
    certificate_ends_at: datetime | None
    request_headers: Sequence[tuple[str, str]]
    response_headers: Sequence[tuple[str, str]]
    response_text: str
    is_truncated: bool
    location: str | None
    detail: str
    finished_at: datetime
    is_unreached: bool = False
    sender: str | None = None

    @property
    def is_late(self) -> bool:
        """Whether it ended so long after its event that what arrived is late."""
        return self.finished_at - self.claim.occurred_at > LATE

    @property
    def took_ms(self) -> int:
        """Milliseconds from start to end."""
        return round(self.phases.get("total") or 0)

    @property
    def as_failed(self) -> FailedAttempt:
        """What the log says of one that failed."""
        return FailedAttempt(
            delivery_id=self.claim.delivery_id,
            delivery=self.claim.public_id,
            webhook_id=self.claim.webhook.id,
            webhook=str(self.claim.webhook.public_id),
            attempt=self.claim.number,
            reason=str(self.outcome.reason),
            code=self.outcome.code,
            took_ms=self.took_ms,
            detail=self.detail,
        )


def of_exchange(claim: Claim, exchange: Exchange, sent: Outgoing) -> Result:
    """The result of the request that went out. What came of it is masked as the request is."""
    now, text = utcnow(), exchange.text
    asked = exchange.header("Retry-After")
    location = exchange.location
    lines = [*chain.from_iterable(exchange.response_headers), text, exchange.detail]
    masked = sent.masked if sent.may_be_told_in("\n".join(lines)) else str
    return Result(
        claim=claim,
        outcome=Outcome(
            exchange.reason,
            exchange.code,
            parse_retry_after(asked, now) if asked else None,
            exchange.is_unreached,
        ),
        phases=_milliseconds(exchange),
        peer=exchange.peer,
        certificate_ends_at=exchange.certificate_ends_at,
        request_headers=sent.shown,
        response_headers=[
            (masked(name), masked(value)) for name, value in exchange.response_headers
        ],
        response_text=masked(text),
        is_truncated=exchange.truncated,
        location=masked(location) if location else location,
        # libcurl quotes what it cannot read.
        detail=masked(exchange.detail),
        finished_at=now,
        is_unreached=exchange.is_unreached,
    )


def unsent(claim: Claim, reason: Reason, detail: str) -> Result:
    """The result of an attempt that could not even be written down as a request."""
    return Result(
        claim=claim,
        outcome=Outcome(reason),
        phases={},
        peer=None,
        certificate_ends_at=None,
        request_headers=[],
        response_headers=[],
        response_text="",
        is_truncated=False,
        location=None,
        detail=detail,
        finished_at=utcnow(),
    )


def _milliseconds(exchange: Exchange) -> dict[str, float | None]:
    phases = exchange.phases
    told = {
        name: None if seconds is None else round(seconds * 1000, 1)
        for name, seconds in zip(_PHASES, phases, strict=True)
    }
    if phases.again is None:
        del told["again"]
    return told
