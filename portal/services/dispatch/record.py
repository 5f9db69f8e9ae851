"""Recording what came of attempts, many in one transaction, by whoever still holds their leases.

May run twice with the same results: a commit whose answer was lost is simply made again.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from portal.database.engine import database_now
from portal.engine.health import End
from portal.engine.retry_policy import TurnOff
from portal.models.webhooks import WebhookState
from portal.services.dispatch import attempts, ended_leases, judged_deliveries, late_results
from portal.services.dispatch.handover import hand_over
from portal.services.dispatch.judged_deliveries import Judged
from portal.services.dispatch.results import Result
from portal.services.outbox.journal import Journal
from portal.services.outbox.reach import OwnReach, own_reach
from portal.services.webhooks import activation
from portal.services.webhooks.health import HealthRow, lock_webhooks, still_there, write_health


def record(
    connection: Connection,
    results: Sequence[Result],
    jitter: Callable[[], float],
    reach: OwnReach = own_reach,
    journal: Journal | None = None,
) -> Sequence[Result]:
    """Write down `results`; return those whose webhook somebody else has locked: they are to come
    again, and hold up nobody else's.

    `connection` is in a writing transaction. A delivery whose lease is no longer ours has a newer
    attempt: then only our attempt is written (`late_results`). What `reach` leaves to another
    machine goes back, and is no result of its delivery. `journal` is told what failed.
    """
    # Whoever sends, retries, stops or rests a delivery has its webhook's lock: nobody does now.
    wanted = {result.claim.webhook.id for result in results}
    moment, webhooks = lock_webhooks(connection, wanted)
    now = moment or database_now(connection)
    locked = still_there(connection, wanted - webhooks.keys())
    later = [each for each in results if each.claim.webhook.id in locked]
    if later:
        results = [each for each in results if each.claim.webhook.id not in locked]
    if reach.has_others:
        results = hand_over(connection, results, webhooks, reach, now)
    judged = [
        each for some in _one_of_each(results) for each in _end(connection, some, jitter, now)
    ]
    pauses = write_health(connection, webhooks, _ends(judged, webhooks), now)
    if journal is not None:
        failed = [each.as_failed for each in results if each.outcome.reason is not None]
        journal.note(connection, failed, pauses)
    _turn_off(connection, judged, webhooks)
    for webhook_id, webhook in webhooks.items():
        if webhook.deleted_at is not None or webhook.state != WebhookState.ACTIVE:
            # It was turned off or deleted meanwhile: what would be tried again is put to rest.
            activation.hold_open(connection, webhook_id)
    return later


def _one_of_each(results: Sequence[Result]) -> Iterator[Sequence[Result]]:
    """Nearly always all at once. A pump that stood still beyond its lease may bring an attempt and
    the next one of the same delivery: one after the other, as each is a result of the other."""
    while results:
        first: dict[int, Result] = {}
        for each in results:
            first.setdefault(each.claim.delivery_id, each)
        yield list(first.values())
        results = [each for each in results if first[each.claim.delivery_id] is not each]


def _end(
    connection: Connection, results: Sequence[Result], jitter: Callable[[], float], now: datetime
) -> Sequence[Judged]:
    """End the attempts, and the deliveries of those that decide: their lease is still the one that
    was sent under, or it was lost with the database, and nobody has another."""
    standings = ended_leases.end(connection, results, now)
    written = standings.keys()
    lost = [
        each
        for each in results
        if each.claim.delivery_id not in written and not late_results.is_settled(connection, each)
    ]
    if lost:
        ids = [each.claim.delivery_id for each in lost]
        standings = standings | ended_leases.read(connection, ids)
    judged = judged_deliveries.judge(results, standings, jitter, now)
    if lost:
        without = [each for each in judged if each.before.id not in written]
        attempts.write_attempts(connection, [(each.result, each.number) for each in without])
    judged_deliveries.write_deliveries(connection, judged, written, now)
    return judged


def _ends(judged: Sequence[Judged], webhooks: Mapping[int, HealthRow]) -> dict[int, list[End]]:
    """How the attempts of each webhook ended, in the order in which they did."""
    ends: dict[int, list[End]] = defaultdict(list)
    in_turn = sorted((each.result for each in judged), key=lambda each: each.finished_at)
    for result in in_turn:
        ends[result.claim.webhook.id].append(
            End(
                kind=result.claim.kind,
                reason=result.outcome.reason,
                retry_after=result.outcome.retry_after,
                was_probe=result.claim.webhook.throttled,
                is_outdated=_is_outdated(result, webhooks),
            )
        )
    return ends


def _is_outdated(result: Result, webhooks: Mapping[int, HealthRow]) -> bool:
    """Whether the webhook was changed after this was claimed."""
    sent_to = result.claim.webhook
    return sent_to.id in webhooks and webhooks[sent_to.id].version != sent_to.version


def _turn_off(
    connection: Connection, judged: Sequence[Judged], webhooks: Mapping[int, HealthRow]
) -> None:
    """A receiver that said 410 Gone gets nothing more until a person turns it on again."""
    gone = {
        each.result.claim.webhook.id
        for each in judged
        if isinstance(each.decision, TurnOff) and not _is_outdated(each.result, webhooks)
    }
    for webhook_id in sorted(gone):
        activation.turn_off_gone(connection, webhook_id)
