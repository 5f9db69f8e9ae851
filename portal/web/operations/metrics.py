"""Export the portal's state to Prometheus, read from the database and Redis at each scrape."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from portal.queue.names import DELIVERIES
from portal.services.core import heartbeats
from portal.services.operations import findings, metrics
from portal.services.operations.findings import Level
from portal.services.operations.health import Facts, read_facts
from portal.services.operations.report import ROLES

PREFIX: Final = "asset_webhooks"
SILENT: Final = int(heartbeats.SILENT_AFTER.total_seconds())


def exposition() -> bytes:
    """Return the metrics in the text format of Prometheus."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Snapshot())
    return generate_latest(registry)


class _Snapshot(Collector):
    """The current state. Metrics of an unreachable part are missing, and its `up` is 0."""

    def collect(self) -> Iterator[Metric]:
        facts = read_facts()
        yield InfoMetricFamily(PREFIX, "This portal", value={"version": facts.settings.version})
        yield _up(facts)
        yield from _findings(facts)
        yield from _queues(facts)
        if findings.is_readable(facts):
            yield from _delivering(facts)
            yield _deliveries()
            yield from _recent_attempts()


def _gauge(name: str, help_text: str, labels: tuple[str, ...] = ()) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_text, labels=labels)


def _up(facts: Facts) -> Metric:
    gauge = _gauge("up", "Whether this part answers", ("part",))
    gauge.add_metric(["database"], float(facts.database is not None))
    gauge.add_metric(["redis"], float(facts.redis is not None))
    return gauge


def _findings(facts: Facts) -> Iterator[Metric]:
    found = findings.find(facts, facts.at)
    gauge = _gauge("findings", "Findings shown on Settings, System", ("level",))
    for level in Level:
        gauge.add_metric([level], sum(finding.level is level for finding in found))
    yield gauge
    named = _gauge("finding", "How often this is among the findings", ("key", "level"))
    for (key, level), count in Counter((finding.key, finding.level) for finding in found).items():
        named.add_metric([key, level], count)
    yield named


def _queues(facts: Facts) -> Iterator[Metric]:
    if facts.redis is None:
        return
    queued = _gauge("queue_jobs", "Jobs that wait in Redis", ("queue",))
    failed = _gauge("queue_failed_jobs", "Jobs that failed within a day", ("queue",))
    for gauge, counts in ((queued, facts.redis.queued), (failed, facts.redis.failed)):
        for name, count in counts.items():
            gauge.add_metric([name], count)
        yield gauge


def _delivering(facts: Facts) -> Iterator[Metric]:
    now = facts.at
    stopped = _gauge("sending_stopped", "Whether a person has stopped all sending")
    stopped.add_metric([], float(facts.stop is not None))
    yield stopped
    alive = _gauge("processes", f"Processes seen in the last {SILENT} s", ("kind",))
    # Include kinds that never started, because an alarm needs a series.
    for kind in sorted(kind for _, kinds in ROLES for kind in kinds):
        alive.add_metric([kind], len(findings.processes_of(facts, kind)))
    yield alive
    offline = _gauge("offline", "Whether this machine cannot connect to receivers", ("machine",))
    senders = findings.processes_of(facts, heartbeats.worker_of(DELIVERIES))
    for machine in sorted({sender.host for sender in senders}):
        is_offline = any(sender.host == machine and sender.offline_since for sender in senders)
        offline.add_metric([machine], float(is_offline))
    yield offline
    last_at = findings.last_maintenance(facts)
    if last_at is not None:
        age = _gauge(
            f"{heartbeats.MAINTENANCE}_age_seconds", "Since the last check for due deliveries"
        )
        age.add_metric([], max(0.0, (now - last_at).total_seconds()))
        yield age
    oldest = facts.backlog.oldest_due_at if facts.backlog else None
    wait = _gauge("oldest_due_seconds", "How long the oldest delivery that could go has waited")
    wait.add_metric([], 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds()))
    yield wait


def _deliveries() -> Metric:
    gauge = _gauge(
        "deliveries",
        f"Deliveries in the log, of each status the newest {metrics.COUNTED}",
        ("status", "reason"),
    )
    for (status, reason), count in sorted(metrics.read_deliveries().items()):
        gauge.add_metric([status, reason], count)
    return gauge


def _recent_attempts() -> Iterator[Metric]:
    recent = metrics.read_recent()
    window = f"in the last {int(metrics.RECENT.total_seconds())} s"
    attempts = _gauge("recent_attempts", f"Attempts that ended {window}", ("outcome", "reason"))
    for (outcome, reason), count in sorted(recent.attempts.items()):
        attempts.add_metric([outcome, reason], count)
    yield attempts
    seconds = _gauge("recent_attempt_seconds", f"How long attempts took {window}", ("share",))
    for share in metrics.QUANTILES:
        seconds.add_metric([str(share)], recent.quantile(share))
    yield seconds
