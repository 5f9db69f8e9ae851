"""What this machine could not bring to its receiver goes back, and another machine takes it over.

It spends no try, and neither the delivery nor its webhook shows a trace of it but the attempt.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from portal.models.deliveries import Delivery
from portal.services.core.rowset import update_rows
from portal.services.dispatch import attempts, ended_leases, late_results
from portal.services.dispatch.results import Result
from portal.services.outbox import leases
from portal.services.outbox.reach import OwnReach
from portal.services.webhooks.health import HealthRow

log = logging.getLogger(__name__)


def hand_over(
    connection: Connection,
    results: Sequence[Result],
    webhooks: Mapping[int, HealthRow],
    reach: OwnReach,
    now: datetime,
) -> Sequence[Result]:
    """Give back what another machine may bring to its receiver; return the rest of `results`.

    Also notes whom this machine has reached, and whom it has not. The webhooks are locked.
    """
    answered = {each.claim.webhook.id for each in results if each.outcome.code is not None}
    reach.note_answers(connection, answered)
    unreached = [each for each in results if each.is_unreached and _is_current(each, webhooks)]
    if not unreached:
        return results
    ids = {each.claim.webhook.id for each in unreached}
    failed = {each: webhooks[each].last_delivered_at for each in ids}
    back = reach.note_failures(connection, failed, now)
    given = [each for each in unreached if each.claim.webhook.id in back]
    if not given:
        return results
    _give_back(connection, [each._replace(sender=reach.machine) for each in given])
    gone = set(map(id, given))
    return [each for each in results if id(each) not in gone]


def _is_current(result: Result, webhooks: Mapping[int, HealthRow]) -> bool:
    """Whether it says something of the present address: that was not changed meanwhile."""
    sent_to = result.claim.webhook
    return sent_to.id in webhooks and webhooks[sent_to.id].version == sent_to.version


def _give_back(connection: Connection, given: Sequence[Result]) -> None:
    """Status, due time and tries stay as they are; the attempt takes a number."""
    held = [(each.claim.delivery_id, each.claim.token) for each in given]
    taken = {row.delivery_id for row in leases.take(connection, held)}
    standings = ended_leases.read(connection, sorted(taken))
    numbered = []
    for each in given:
        if (before := standings.pop(each.claim.delivery_id, None)) is not None:
            numbered.append((each, max(each.claim.number, before.attempts + 1)))
        elif each.claim.delivery_id not in taken:
            late_results.is_settled(connection, each)
    if numbered:
        attempts.write_attempts(connection, numbered)
        rows = [{"id": each.claim.delivery_id, "attempts": number} for each, number in numbered]
        update_rows(connection, Delivery, rows)
    for each in given:
        log.warning(
            "Could not connect to webhook %s for delivery %s (%s); another machine takes over.",
            each.claim.webhook.public_id,
            each.claim.public_id,
            each.outcome.reason,
        )
