"""Describe the bulk retry that holds a delivery."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

from flask import url_for
from flask_login import current_user
from markupsafe import Markup

from portal.models.tasks import Task
from portal.services.core.unit_of_work import session
from portal.services.deliveries import bulk_retry, retry
from portal.services.deliveries.bulk_retry import is_paused
from portal.services.deliveries.detail import DeliveryDetail
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.retry import Place
from portal.web.frame.site_state import sending_stop
from portal.web.frame.wording import counted

# Answers for a caller who asks about one delivery.
RUNNING: Final = "A bulk retry will send this delivery."
PAUSED: Final = (
    "This delivery is in a paused bulk retry. Support or an administrator needs to resume the "
    "bulk retry."
)
ALL_PAUSED: Final = (
    "All sending is paused. The bulk retry will send this delivery when sending resumes."
)


def whose(task: Task, *, begins: bool = False) -> str:
    """Return "Sam’s", or "your" for the sender, which `begins` capitalizes."""
    by = bulk_retry.sender(task)
    is_mine = by.user_id is not None and by.user_id == getattr(current_user, "user_id", None)
    your = "Your" if begins else "your"
    return your if is_mine else f"{by.name}’s"


def page_url(task: Task) -> str:
    """Return the URL of a bulk retry."""
    return url_for("batches.show", public_id=task.public_id)


@dataclass(frozen=True, slots=True)
class QueuedDeliveries:
    """Counts of the deliveries now in bulk retries, by webhook and bulk retry."""

    by_webhook: Mapping[UUID, Mapping[Place, int]] = field(default_factory=dict)
    tasks: Mapping[int, Task] = field(default_factory=dict)

    def count(self, webhook: UUID) -> int:
        """Count a webhook's deliveries in all bulk retries."""
        return sum(self.by_webhook.get(webhook, {}).values())

    def words(self, webhook: UUID) -> list[Markup]:
        """Return "9 in Sam’s bulk retry", with a link, for each bulk retry."""
        parts = self.by_webhook.get(webhook, {}).items()
        return [
            Markup("{} in {}").format(counted(many), _linked(self.tasks[at.task_id], at))
            for at, many in parts
        ]


class TakenDelivery(NamedTuple):
    """A delivery in a bulk retry. `linked` is `words` with a link to the bulk retry.

    `to_the_caller` is the answer for a caller who asks about the delivery.
    """

    words: str
    linked: Markup
    to_the_caller: str


def queued() -> QueuedDeliveries:
    """Find all deliveries that wait in bulk retries now."""
    by_webhook = retry.queued(session())
    return QueuedDeliveries(by_webhook, _tasks(at for part in by_webhook.values() for at in part))


def taken_words(rows: Sequence[LogRow]) -> dict[UUID, str]:
    """Return "In Sam’s bulk retry" by public id, for the rows that are in one now."""
    taken = retry.taken(session(), [row.id for row in rows])
    tasks = _tasks(taken.values())
    ids = {row.id: row.public_id for row in rows}
    return {ids[row_id]: f"In {_name(tasks[at.task_id], at)}" for row_id, at in taken.items()}


def taken_now(delivery: DeliveryDetail) -> TakenDelivery | None:
    """Describe the bulk retry of one delivery, or return None if it is in none."""
    at = retry.taken(session(), [delivery.row_id]).get(delivery.row_id)
    if at is None:
        return None
    task = _tasks([at])[at.task_id]
    answer = PAUSED if is_paused(task, at.webhook_id) else ALL_PAUSED if sending_stop() else RUNNING
    return TakenDelivery(f"In {_name(task, at)}", Markup("In {}").format(_linked(task, at)), answer)


def _tasks(taken: Iterable[Place]) -> dict[int, Task]:
    ids = {at.task_id for at in taken}
    return {task.id: task for task in bulk_retry.named(list(ids))} if ids else {}


def _name(task: Task, at: Place) -> str:
    return f"{whose(task)} {'paused ' if is_paused(task, at.webhook_id) else ''}bulk retry"


def _linked(task: Task, at: Place) -> Markup:
    return Markup('<a href="{}">{}</a>').format(page_url(task), _name(task, at))
