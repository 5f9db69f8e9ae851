"""What the log says of a batch of results: one line for each attempt that failed, and for each
pause that this brought about.

Gathered in the transaction, and written once that is committed: a batch that the database did not
take comes again.
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, select

from portal.lib.typed_text import on_one_line
from portal.models.deliveries import Delivery, Event
from portal.services.core.rowset import as_json, given_ids

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
