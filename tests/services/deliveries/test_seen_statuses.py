"""The log's reason for waiting follows the rules for every kind of open delivery."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import NamedTuple
from uuid import UUID

import pytest

from portal.lib.clock import utcnow
from portal.models.deliveries import Priority
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.statuses import LogFilter
from portal.services.outbox.claimable import WaitsFor
from tests.support.deliveries import make_delivery
from tests.support.factories import make_webhook

pytestmark = pytest.mark.usefixtures("app")
EVERYTHING = 1000  # more than the fixture makes


class Kind(NamedTuple):
    """An open delivery behind the head of its webhook's queue.

    `is_late`: it is due after the pause.
    """

    in_order: bool
    is_backing_off: bool
    priority: Priority
    prior: str | None
    tries: int
    is_late: bool

    @property
    def held_by(self) -> WaitsFor | None:
        """Return the reason for waiting by the rules."""
        if self.in_order and self.priority == Priority.NORMAL:
            return WaitsFor.ORDER
        waits = self.priority in {Priority.NORMAL, Priority.BULK}
        return WaitsFor.RECEIVER if self.is_backing_off and waits and not self.is_late else None


def kinds() -> Iterator[Kind]:
    """Yield every kind. A retry, alone or in bulk, has a prior status."""
    for in_order, backing_off, tries, late in product(
        (False, True), (False, True), (0, 1, 3), (0, 1)
    ):
        for priority in Priority:
            is_retry = priority in {Priority.INTERACTIVE, Priority.BULK}
            for prior in ("failed", "queued") if is_retry else (None,):
                yield Kind(in_order, backing_off, priority, prior, tries, bool(late))


@pytest.fixture
def made() -> dict[UUID, Kind]:
    """Store one delivery of each kind."""
    pause = utcnow() + timedelta(minutes=5)
    webhooks = {}
    for in_order, backing_off in product((False, True), (False, True)):
        hook = make_webhook(
            in_order=in_order,
            throttled=backing_off,
            backoff_seconds=300,
            backoff_until=pause if backing_off else None,
        )
        make_delivery(hook)
        webhooks[in_order, backing_off] = hook
    with writing():
        return {
            make_delivery(
                webhooks[kind.in_order, kind.is_backing_off],
                priority=kind.priority,
                prior_status=kind.prior,
                status="retrying" if kind.tries else "queued",
                tries=kind.tries,
                due_at=_due(pause, is_late=kind.is_late),
            ): kind
            for kind in kinds()
        }


def _due(pause: datetime, *, is_late: bool) -> datetime:
    return pause + timedelta(minutes=5) if is_late else pause - timedelta(minutes=6)


def test_every_kind_of_open_delivery_waits_as_the_rules_say(made: dict[UUID, Kind]) -> None:
    rows = log_pages.find_page(LogFilter(), size=EVERYTHING).page.rows
    reasons = {row.public_id: row.waits_for for row in rows if row.public_id in made}
    assert reasons == {public_id: kind.held_by for public_id, kind in made.items()}
