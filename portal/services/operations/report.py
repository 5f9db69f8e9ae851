"""Put facts into lines of text, for Settings → System and the terminal."""

import platform
import sys
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from portal.lib.durations import in_words, is_now, relative, size_in_words
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.core import heartbeats
from portal.services.core.heartbeats import worker_of
from portal.services.core.queries import COUNT_LIMIT
from portal.services.operations.findings import last_maintenance, processes_of
from portal.services.operations.health import Disk, Facts

Lines = list[tuple[str, str]]


def sending_lines(facts: Facts, now: datetime) -> Lines:
    """Return the open deliveries and the last check for due ones."""
    backlog, last_at = facts.backlog, last_maintenance(facts)
    if backlog is None:
        return []
    oldest = backlog.oldest_due_at
    nothing = "All sending is paused" if facts.stop else "No delivery is due"
    return [
        ("Queued", _capped(backlog.waiting)),
        ("Retrying", _capped(backlog.retrying)),
        (
            "Longest wait",
            nothing if oldest is None else in_words((now - oldest).total_seconds()),
        ),
        (
            "Last check for due deliveries",
            relative(last_at, now) if last_at else "Never",
        ),
    ]


def alert_lines(facts: Facts, now: datetime) -> Lines:
    """Return the times of the last and the next alert check."""
    if facts.alerts is None:
        return []
    last = facts.alerts.last.finished_at if facts.alerts.last else None
    return [
        ("Last alert check", relative(last, now) if last else "Never"),
        ("Next alert check", _until(facts.alerts.next_at, now)),
    ]


def _until(at: datetime, now: datetime) -> str:
    return relative(at, now) if is_now(at, now) else f"in {in_words((at - now).total_seconds())}"


def queue_lines(facts: Facts) -> Lines:
    """Return the queues in Redis, with notifications and tasks.

    Deliveries themselves are in the database.
    """
    if facts.redis is None:
        return []
    return [
        (f"Queue “{name}”", f"{count} waiting, {facts.redis.failed.get(name, 0)} failed")
        for name, count in facts.redis.queued.items()
    ]


def version_lines(facts: Facts) -> Lines:
    """Return the versions of all parts and the places of their data."""
    database, redis = facts.database, facts.redis
    lines = [("Portal", facts.settings.version), ("Python", platform.python_version())]
    if database is not None:
        tables = database.revision or "none"
        lines += [
            ("Database", f"{database.product} {database.version}, {size_in_words(database.size)}"),
            ("Database schema", f"Version {tables}" + _wanted(tables, database.head)),
            ("Database URL", database.address),
        ]
    if redis is not None:
        memory = size_in_words(redis.memory)
        limit = f" of {size_in_words(redis.memory_limit)}" if redis.memory_limit else ""
        lines.append(("Queue server", f"{redis.product}, {memory}{limit} in use"))
    lines += [("Disk", _disk(disk)) for disk in facts.disks]
    if facts.backup is not None:
        at = facts.backup.last_at
        lines.append(("Last backup", relative(at, facts.at) if at else "Never"))
    return [*lines, ("Machine", f"{platform.node()}, {sys.platform}")]


def setting_lines(facts: Facts) -> Lines:
    """Return settings that explain the portal's behavior. None of them is secret."""
    config = facts.settings
    allowed = ", ".join(str(network) for network in config.webhook_allowed_networks)
    denied = ", ".join(str(network) for network in config.webhook_denied_networks)
    ports = ", ".join(str(port) for port in config.webhook_allowed_ports)
    return [
        ("URL", config.base_url),
        ("Timeout", in_words(config.webhook_timeout)),
        ("Attempts per delivery", str(len(config.webhook_retry_schedule))),
        ("Deliveries kept for", f"{config.retention_days} days"),
        ("Max simultaneous requests per webhook", str(config.webhook_max_in_flight)),
        ("Private networks that webhooks can reach", allowed or "None"),
        *([("Networks that webhooks can’t reach", denied)] if denied else []),
        *([("Ports that webhooks can reach", ports)] if ports else []),
        ("Email", "Set up" if config.smtp_url else "Not set up, so we don’t send email"),
    ]


def _capped(count: int) -> str:
    return f"{COUNT_LIMIT:,}+" if count > COUNT_LIMIT else str(count)


def _wanted(revision: str, head: str | None) -> str:
    return "" if revision == head else f", but {head} is needed"


def _disk(disk: Disk) -> str:
    return f"{size_in_words(disk.free)} of {size_in_words(disk.total)} free under {disk.path}"


class RoleState(StrEnum):
    """The state of a role. `SILENT` means that there was a heartbeat once."""

    RUNNING = "running"
    SILENT = "silent"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Role:
    """One role. `count` is the number of its living processes."""

    name: str
    state: RoleState
    count: int
    seen_at: datetime | None


# name, kinds of its processes
ROLES: Final = (
    ("Web", (heartbeats.WEB,)),
    ("Sending deliveries", (worker_of(DELIVERIES), heartbeats.DISPATCHER)),
    ("Background work", (worker_of(BACKGROUND),)),
    ("Scheduler", (heartbeats.SCHEDULER,)),
)


def read_roles(facts: Facts) -> list[Role]:
    """Return every role, in a fixed order."""
    return [_role(facts, *role) for role in ROLES]


def _role(facts: Facts, name: str, kinds: tuple[str, ...]) -> Role:
    seen = [process.seen_at for process in facts.processes if process.kind in kinds]
    count = len(processes_of(facts, *kinds))
    state = RoleState.RUNNING if count else RoleState.SILENT if seen else RoleState.NEVER
    return Role(name, state, count, max(seen, default=None))
