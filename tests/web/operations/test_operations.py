"""For machines: alive, ready, metrics; and who is told how much."""

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

RESERVED = ("_total", "_count", "_sum", "_bucket")  # of other kinds than gauges
FAR_AWAY = {"REMOTE_ADDR": "192.0.2.7"}


def with_settings(app: Flask, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    changed = replace(app.extensions["settings"], **changes)
    monkeypatch.setitem(app.extensions, "settings", changed)


@pytest.fixture(autouse=True)
def _trial(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a trial this machine itself is told everything."""
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


def test_it_is_alive_whoever_asks(app: Flask) -> None:
    answer = app.test_client().get("/healthz", environ_overrides=FAR_AWAY)
    assert (answer.status_code, answer.text) == (200, "ok\n")
    assert "Set-Cookie" not in answer.headers


OK = dict.fromkeys(("database", "migrations", "sending", "redis", "switch"), "ok")


def somebody_sends() -> None:
    record_own(heartbeats.worker_of(DELIVERIES))


def test_it_is_ready_and_repairs_the_schedule(app: Flask, valkey_server: ValkeyServer) -> None:
    somebody_sends()
    answer = app.test_client().get("/readyz")
    assert answer.json == {"ready": True, **OK}
    assert b"maintenance" in valkey_server.client().zrange(ENTRIES, 0, -1)


def test_without_redis_it_is_ready_and_says_so(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    somebody_sends()
    with_settings(app, monkeypatch, redis_url="unix:///nowhere/valkey.sock")
    answer = app.test_client().get("/readyz")
    assert answer.status_code == 200
    assert "No such file" in answer.json["redis"]
    assert answer.json == {"ready": True, **OK, "redis": answer.json["redis"]}


def test_a_stop_is_told_and_nothing_is_missed_for_it(app: Flask) -> None:
    somebody_sends()
    assert samples(app)["sending_stopped",] == 0
    sending.stop(SYSTEM)
    answer = app.test_client().get("/readyz")
    assert (answer.status_code, answer.json["ready"]) == (200, True)
    assert answer.json["switch"].startswith("a person stopped all sending at 20")
    assert samples(app)["sending_stopped",] == 1
    assert samples(app)["finding", "sending_stopped", "warning"] == 1


def test_what_it_is_ready_for_can_be_asked(app: Flask) -> None:
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


def test_strangers_learn_only_whether_it_is_ready(app: Flask) -> None:
    somebody_sends()
    client = app.test_client()
    assert client.get("/readyz", environ_overrides=FAR_AWAY).json == {"ready": True}
    assert client.get("/metrics", environ_overrides=FAR_AWAY).status_code == 403


def test_this_machine_is_known_where_one_socket_listens_for_both_kinds(app: Flask) -> None:
    for address, status in (("::ffff:127.0.0.1", 200), ("::1", 200), ("::ffff:192.0.2.7", 403)):
        place = {"REMOTE_ADDR": address}
        assert app.test_client().get("/metrics", environ_overrides=place).status_code == status


def test_a_proxy_on_this_machine_speaks_for_strangers(app: Flask) -> None:
    answer = app.test_client().get("/metrics", headers={"X-Forwarded-For": "127.0.0.1"})
    assert answer.status_code == 403


def test_outside_a_trial_nobody_is_trusted_without_a_token(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that adds no header looks like this machine itself."""
    with_settings(app, monkeypatch, local_trial=False)
    somebody_sends()
    refused = app.test_client().get("/metrics")
    assert (refused.status_code, "METRICS_TOKEN" in refused.text) == (403, True)
    assert app.test_client().get("/readyz").json == {"ready": True}


@pytest.mark.parametrize("is_trial", [True, False])
def test_a_token_opens_from_anywhere_and_then_nothing_else_does(
    app: Flask, monkeypatch: pytest.MonkeyPatch, is_trial: bool
) -> None:
    with_settings(app, monkeypatch, metrics_token="a token", local_trial=is_trial)
    client = app.test_client()
    right, wrong = {"Authorization": "Bearer a token"}, ("Bearer another", "a tokené")
    for place in ({}, FAR_AWAY):
        given = {"environ_overrides": place}
        assert client.get("/metrics", headers=right, **given).status_code == 200
        for headers in ({}, *({"Authorization": each} for each in wrong)):
            assert client.get("/metrics", headers=headers, **given).status_code == 403, headers


def test_metrics_tell_what_the_database_and_redis_hold(app: Flask) -> None:
    make_delivery(status="failed", reason="server")
    begin_periodic_task(heartbeats.MAINTENANCE, 600)
    record_own(heartbeats.SCHEDULER)
    found = samples(app)
    assert found["deliveries", "failed", "server"] == 1
    assert found["up", "database"] == found["up", "redis"] == 1
    assert found["processes", "scheduler"] == 1
    assert found["processes", "worker deliveries"] == 0  # an alarm needs a series
    assert 600 <= found[("maintenance_age_seconds",)] < 660
    assert found[("oldest_due_seconds",)] == 0
    assert found["recent_attempt_seconds", "0.99"] == 0
    assert {found["queue_jobs", name] for name in QUEUES} == {0}
    assert found["findings", "danger"] == 1  # nobody sends
    assert found["finding", "danger", "no_sender"] == 1


def test_metrics_keep_the_rules_of_prometheus(app: Flask) -> None:
    make_delivery(status="failed", reason="server", code=500)
    somebody_sends()
    begin_periodic_task(heartbeats.MAINTENANCE, 0)
    text = app.test_client().get("/metrics").text
    families = list(text_string_to_metric_families(text))
    assert len(families) > 10
    assert [each.name for each in families if not each.documentation] == []
    assert [each.name for each in families if each.name.endswith(RESERVED)] == []
    labels = {name for each in families for sample in each.samples for name in sample.labels}
    assert labels.isdisjoint({"quantile", "le"})  # of summaries and histograms alone
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
    found = samples(app)
    assert found["up", "redis"] == 0
    assert found["finding", "redis_away", "warning"] == 1
    assert ("queue_jobs", "deliveries") not in found
