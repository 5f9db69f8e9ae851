"""Read the hosts to probe and the hosts that senders cannot connect to, and write the latter for
one process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection, select, update

from portal.database.engine import database_now
from portal.engine.http.address_guard import host_of
from portal.models.operations import Process
from portal.models.webhooks import Webhook, WebhookKind, WebhookState
from portal.queue.names import DELIVERIES
from portal.services.core.heartbeats import SILENT_AFTER, own_name, worker_of
from portal.services.core.unit_of_work import database_time, session

SENDER: Final = worker_of(DELIVERIES)
NAMED: Final = 5  # limit of hosts listed by name
NO_RECEIVER: Final = (
    "This server can’t reach any receiver. Its network or DNS is likely the cause. Nothing is lost."
)
SEPARATOR: Final = " "  # no host has one in its name


class Target(NamedTuple):
    """A host's address and webhooks. `is_well`: a delivery has arrived at one of them, and nothing
    has failed there since."""

    url: str
    webhooks: frozenset[int]
    is_well: bool


@dataclass(frozen=True, slots=True)
class OfflineSender:
    """A machine that cannot connect to these hosts. `is_all`: no sender can connect to any host."""

    machine: str
    hosts: Sequence[str]
    since: datetime
    is_all: bool


def hosts_in_words(hosts: Sequence[str]) -> str:
    """Return a list such as "a.example, b.example, and 3 more"."""
    more = f", and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
    return ", ".join(hosts[:NAMED]) + more


def find_targets(connection: Connection) -> dict[str, Target]:
    """Return the hosts of active webhooks, most recent arrival first."""
    columns = (Webhook.id, Webhook.url, Webhook.throttled, Webhook.last_delivered_at)
    rows = connection.execute(
        select(*columns)
        .where(
            Webhook.state == WebhookState.ACTIVE,
            Webhook.deleted_at.is_(None),
            Webhook.kind == WebhookKind.HTTP,
        )
        .order_by(Webhook.last_delivered_at.is_(None), Webhook.last_delivered_at.desc())
    )
    targets: dict[str, Target] = {}
    for id_, url, throttled, last_delivered_at in rows:
        is_well = last_delivered_at is not None and not throttled
        host = host_of(url)
        known = targets.get(host, Target(url, frozenset(), is_well=False))
        targets[host] = Target(
            url if is_well and not known.is_well else known.url,
            known.webhooks | {id_},
            known.is_well or is_well,
        )
    return targets


def write_offline(connection: Connection, since: Mapping[str, float], now: float) -> None:
    """Store the hosts that this process cannot connect to. `since`: when that began, by the clock
    of `now`."""
    began = None
    if since:
        began = database_now(connection) - timedelta(seconds=now - min(since.values()))
    own = update(Process).where(Process.name == own_name(SENDER))
    hosts = SEPARATOR.join(sorted(since))
    connection.execute(own.values(offline_since=began, offline_hosts=hosts))


def offline_to(webhook: Webhook) -> OfflineSender | None:
    """Return a machine that cannot connect to the webhook's host, if no live sender can."""
    if webhook.kind == WebhookKind.INBOX:
        return None
    host = host_of(webhook.url)
    return next((sender for sender in find_offline() if host in sender.hosts), None)


def find_offline() -> Sequence[OfflineSender]:
    """Return the machines of live senders and the hosts that none of them can connect to. Empty if
    there is no such host. Reads only."""
    current = session()
    living = select(Process.host, Process.offline_since, Process.offline_hosts).where(
        Process.kind == SENDER, Process.seen_at > database_time(current) - SILENT_AFTER
    )
    rows = current.execute(living).all()
    hosts = [frozenset((row.offline_hosts or "").split()) for row in rows]
    common = frozenset.intersection(*hosts) if hosts else frozenset()
    if not common:
        return []
    is_all = common >= find_targets(current.connection()).keys()
    senders: dict[str, OfflineSender] = {}
    for row in rows:
        sender = OfflineSender(row.host, sorted(common), row.offline_since, is_all)
        senders.setdefault(row.host, sender)
    return list(senders.values())
