"""Health, readiness, and metrics for machines, and the details that each client gets."""

import shutil
import subprocess
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families

from portal.queue.names import DELIVERIES, QUEUES
from portal.queue.schedule import ENTRIES
from portal.services.core import heartbeats
from portal.services.core.permissions import SYSTEM
from portal.services.operations import sending
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.deliveries import make_delivery
from tests.support.heartbeats import record_own
from tests.support.servers import ValkeyServer

RESERVED = ("_total", "_count", "_sum", "_bucket")  # suffixes of kinds other than gauges
FAR_AWAY = {"REMOTE_ADDR": "192.0.2.7"}


def with_settings(app: Flask, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    changed = replace(app.extensions["settings"], **changes)
    monkeypatch.setitem(app.extensions, "settings", changed)


@pytest.fixture(autouse=True)
def _trial(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this a local trial, in which requests from this machine get all details."""
    with_settings(app, monkeypatch, local_trial=True)


def samples(app: Flask) -> dict[tuple[str, ...], float]:
    answer = app.test_client().get("/metrics")
    assert answer.status_code == 200
    families = text_string_to_metric_families(answer.text)
    return {
        (sample.name.removeprefix("asset_webhooks_"), *sorted(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_healthz_answers_remote_clients(app: Flask) -> None:
    answer = app.test_client().get("/healthz", environ_overrides=FAR_AWAY)
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert "Set-Cookie" not in answer.headers


OK = dict.fromkeys(("database", "migrations", "sending", "redis", "switch"), "ok")


def somebody_sends() -> None:
    record_own(heartbeats.worker_of(DELIVERIES))


def test_readyz_reports_ready_and_repairs_the_schedule(
    app: Flask, valkey_server: ValkeyServer
) -> None:
    somebody_sends()
    answer = app.test_client().get("/readyz")
    assert answer.json == {"ready": True, **OK}
    assert b"maintenance" in valkey_server.client().zrange(ENTRIES, 0, -1)


def test_readyz_reports_ready_without_redis(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody_sends()
    with_settings(app, monkeypatch, redis_url="unix:///nowhere/valkey.sock")
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert "No such file" in answer.json["redis"]
    assert answer.json == {"ready": True, **OK, "redis": answer.json["redis"]}


def test_stopped_sending_is_reported_but_the_portal_is_ready(app: Flask) -> None:
    somebody_sends()
    assert samples(app)["sending_stopped",] == 0
    sending.stop(SYSTEM)
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["ready"]) == (200, True)
    assert answer.json["switch"].startswith("a person stopped all sending at 20")
    assert samples(app)["sending_stopped",] == 1
    assert samples(app)["finding", "sending_stopped", "warning"] == 1


def test_readyz_can_check_pages_or_sending_only(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/readyz?for=pages").status_code == 200
    for question in ("/readyz?for=sending", "/readyz"):
        answer = client.get(question)
        assert (answer.status_code, answer.json) == (
            503,
            {"ready": False, **OK, "sending": "no process is sending"},
        )
    somebody_sends()
    assert client.get("/readyz?for=sending").status_code == 200
    assert client.get("/readyz?for=everything").status_code == 400


def test_remote_clients_learn_only_if_the_portal_is_ready(app: Flask) -> None:
    somebody_sends()
    client = app.test_client()
    assert client.get("/readyz", environ_overrides=FAR_AWAY).json == {"ready": True}
    assert client.get("/metrics", environ_overrides=FAR_AWAY).status_code == 403


def test_this_machine_is_recognized_by_ipv6_and_mapped_addresses(app: Flask) -> None:
    for address, status in (("::ffff:127.0.0.1", 200), ("::1", 200), ("::ffff:192.0.2.7", 403)):
        place = {"REMOTE_ADDR": address}
        assert app.test_client().get("/metrics", environ_overrides=place).status_code == status


def test_a_proxy_on_this_machine_counts_as_a_remote_client(app: Flask) -> None:
    answer = app.test_client().get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
    assert answer.status_code == 403


def test_outside_a_trial_no_client_is_trusted_without_a_token(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Require a token, because a proxy that adds no header looks like this machine."""
    with_settings(app, monkeypatch, local_trial=False)
    somebody_sends()
    refused = app.test_client().get("/metrics")
    assert (refused.status_code, "METRICS_TOKEN" in refused.text) == (403, True)
    assert app.test_client().get("/readyz").json == {"ready": True}


@pytest.mark.parametrize("is_trial", [True, False])
def test_a_token_admits_any_client_and_is_then_required(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_trial: bool
) -> None:
    with_settings(app, monkeypatch, metrics_token="a token", local_trial=is_trial)
    client = app.test_client()
    right, wrong = {"Authorization": "Bearer a token"}, ("Bearer another", "a tokené")
    for place in ({}, FAR_AWAY):
        options = {"environ_overrides": place}
        assert client.get("/metrics", headers=right, **options).status_code == 200
        for headers in ({}, *({"Authorization": value} for value in wrong)):
            assert client.get("/metrics", headers=headers, **options).status_code == 403, headers


def test_metrics_report_the_state_of_the_database_and_redis(app: Flask) -> None:
    make_delivery(status="failed", reason="server")
    begin_periodic_task(heartbeats.MAINTENANCE, 600)
    record_own(heartbeats.SCHEDULER)
    metrics = samples(app)
    assert metrics["deliveries", "failed", "server"] == 1
    assert metrics["up", "database"] == metrics["up", "redis"] == 1
    assert metrics["processes", "scheduler"] == 1
    assert metrics["processes", "worker deliveries"] == 0  # an alarm needs a series
    assert 600 <= metrics[("maintenance_age_seconds",)] < 660
    assert metrics[("oldest_due_seconds",)] == 0
    assert metrics["recent_attempt_seconds", "0.99"] == 0
    assert {metrics["queue_jobs", name] for name in QUEUES} == {0}
    assert metrics["findings", "danger"] == 1  # no process sends
    assert metrics["finding", "danger", "no_sender"] == 1


def test_metrics_follow_the_rules_of_prometheus(app: Flask) -> None:
    make_delivery(status="failed", reason="server", code=500)
    somebody_sends()
    begin_periodic_task(heartbeats.MAINTENANCE, 0)
    text = app.test_client().get("/metrics").text
    families = list(text_string_to_metric_families(text))
    assert len(families) > 10
    assert [each.name for each in families if not each.documentation] == []
    assert [each.name for each in families if each.name.endswith(RESERVED)] == []
    labels = {name for each in families for sample in each.samples for name in sample.labels}
    assert labels.isdisjoint({"quantile", "le"})  # reserved for summaries and histograms
    series = [
        (each.name, tuple(sorted(each.labels.items())))
        for family in families
        for each in family.samples
    ]
    assert len(series) == len(set(series))
    if promtool := shutil.which("promtool"):
        command = [promtool, "check", "metrics"]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30)
        assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_metrics_say_that_redis_is_down(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    with_settings(app, monkeypatch, redis_url="unix:///nowhere/valkey.sock")
    metrics = samples(app)
    assert metrics["up", "redis"] == 0
    assert metrics["finding", "redis_away", "warning"] == 1
    assert ("queue_jobs", "deliveries") not in metrics
