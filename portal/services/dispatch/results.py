"""From what the transport hands back to what is recorded: bounded, and in milliseconds."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import chain
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, select

from portal.engine.http.exchange import Exchange
from portal.engine.reasons import Reason
from portal.engine.retry_policy import Outcome, parse_retry_after
from portal.lib.clock import utcnow
from portal.lib.typed_text import on_one_line
from portal.models.deliveries import Delivery, Event
from portal.services.core.queries import as_json, given_ids
from portal.services.dispatch.claim_types import Claim
from portal.services.dispatch.request import Outgoing
from portal.services.outbox.rollups import LATE

log = logging.getLogger(__name__)

LONGEST_DETAIL: Final = 200  # of what a library says, or a receiver


class FailedAttempt(NamedTuple):
    """One attempt that failed. `delivery`, `webhook`: public ids. `detail`: what libcurl says, or a
    receiver has it say; what must stay secret is masked in it."""

    delivery_id: int
    delivery: str
    webhook_id: int
    webhook: str
    attempt: int
    reason: str
    code: int | None
    took_ms: int
    detail: str

    @property
    def why(self) -> str:
        """Reason and code in one word or two."""
        return f"{self.reason} ({self.code})" if self.code else self.reason


class Journal:
    """The lines of one batch."""

    def __init__(self) -> None:
        self._failed: Sequence[FailedAttempt] = ()
        self._requests: Mapping[int, str | None] = {}
        self._pauses: Mapping[int, int] = {}

    def note(
        self, connection: Connection, failed: Sequence[FailedAttempt], pauses: Mapping[int, int]
    ) -> None:
        """Remember these, and which request brought each of their events about.

        `pauses`: for how many seconds webhooks are left alone, by their row ids.
        """
        self._failed, self._pauses = failed, pauses
        if failed:
            ids = {"ids": as_json({each.delivery_id for each in failed})}
            found = connection.execute(_requests_of(connection.dialect.name), ids)
            self._requests = {row[0]: row[1] for row in found.all()}

    def write(self) -> None:
        """Write the lines."""
        last = {}
        for each in self._failed:
            last[each.webhook_id] = each
            log.warning(
                "Attempt %s of delivery %s to webhook %s failed: %s, after %s ms%s",
                each.attempt,
                each.delivery,
                each.webhook,
                each.why,
                each.took_ms,
                f": {on_one_line(each.detail[:LONGEST_DETAIL])}" if each.detail else "",
                extra=self._extra(each),
            )
        for webhook_id, seconds in self._pauses.items():
            if (cause := last.get(webhook_id)) is not None:
                log.warning(
                    "Webhook %s is left alone for %s s: %s",
                    cause.webhook,
                    seconds,
                    cause.why,
                    extra={**self._extra(cause), "pause_s": seconds},
                )

    def _extra(self, failed: FailedAttempt) -> dict[str, Any]:
        """The same for machines."""
        request = self._requests.get(failed.delivery_id)
        named = ("delivery", "webhook", "attempt", "reason", "code", "took_ms")
        told = {name: getattr(failed, name) for name in named}
        return {**told, "request_id": request} if request else told


@cache
def _requests_of(dialect: str) -> Select[*tuple[Any, ...]]:
    return (
        select(Delivery.id, Event.request_id)
        .join(Event, Event.id == Delivery.event_id)
        .where(Delivery.id.in_(given_ids(dialect)))
    )


_PHASES = ("name", "connect", "tls", "first_byte", "total", "again")


class Result(NamedTuple):
    """The result of one attempt. `phases`: milliseconds since its start. Everything is bounded.

    `is_unreached`: there was no connection.
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

    @property
    def may_have_arrived(self) -> bool:
        """Return whether it may have been read over a connection that ended, where it has no
        answer."""
        return self.phases.get("again") is not None

    @property
    def is_late(self) -> bool:
        """Return whether it ended so long after its event that what arrived is late."""
        return self.finished_at - self.claim.occurred_at > LATE

    @property
    def took_ms(self) -> int:
        """Milliseconds from start to end."""
        return round(self.phases.get("total") or 0)

    @property
    def as_failed(self) -> FailedAttempt:
        """Return what the log says of one that failed."""
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
