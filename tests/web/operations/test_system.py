"""Settings → System and `flask doctor`, which show the same facts on a page and in a terminal."""

import re
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import delete, update

from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.operations import Process
from portal.queue.names import BACKGROUND, DELIVERIES
from portal.services.alerts import runs
from portal.services.core import heartbeats, vault
from portal.services.core.heartbeats import worker_of
from portal.services.core.unit_of_work import database_time, writing
from tests.conftest import ENVIRONMENT
from tests.services.alerts.due_things import a_run_is_missing
from tests.support.clocks.wrong_clock import wrong_clock
from tests.support.database.periodic_tasks import begin_periodic_task
from tests.support.deliveries import change, make_delivery
from tests.support.factories import make_asset
from tests.support.heartbeats import record_own
from tests.support.pages import Pages
from tests.web.signed_in import visit

DUTY_NAMES = ("Web", "Sending deliveries", "Background work", "Scheduler")
ALL = (heartbeats.WEB, worker_of(DELIVERIES), worker_of(BACKGROUND), heartbeats.SCHEDULER)


def everybody_signs() -> None:
    for kind in ALL:
        record_own(kind)
    begin_periodic_task(heartbeats.MAINTENANCE, 0)


def signed(kind: str, name: str, minutes: int) -> None:
    """Record a heartbeat of this process from `minutes` ago, with its own process ID."""
    with writing() as current:
        heartbeats.record(current.connection(), kind, name)
        at = database_time(current) - timedelta(minutes=minutes)
        number = ord(name[0])
        query = update(Process).where(Process.name == name)
        current.execute(query.values(seen_at=at, pid=number))


def lately(text: str) -> str:
    """Replace recent times, which vary on a slow machine."""
    return re.sub(r"just now|\d seconds? ago", "lately", text)


def roles(pages: Pages) -> list[list[str]]:
    rows = pages.get("/settings/system").rows()[: len(DUTY_NAMES)]
    return [[lately(cell) for cell in row] for row in rows]


def test_page_and_doctor_show_the_processes_of_each_role(
    app: Flask,
) -> None:
    sender = worker_of(DELIVERIES)
    for kind, name, minutes in (
        *((heartbeats.WEB, "a", 0), (heartbeats.WEB, "b", 0), (heartbeats.WEB, "c", 9)),
        # A sender process has heartbeats as a worker and as a dispatcher. Either one is enough.
        *((heartbeats.DISPATCHER, "d of it", 30), (sender, "d", 0), (sender, "e", 5)),
        *((worker_of(BACKGROUND), "f", 50), (worker_of(BACKGROUND), "g", 20)),
    ):
        signed(kind, name, minutes)
    pages = visit(app)
    assert roles(pages) == [
        ["Web", "Running", "2", "lately"],
        ["Sending deliveries", "Running", "1", "lately"],
        ["Background work", "Not responding", "0", "20 minutes ago"],
        ["Scheduler", "Never started", "0", "Never"],
    ]
    output = app.test_cli_runner().invoke(args=["doctor"]).output.splitlines()
    lines = [lately(line) for line in output if line.startswith(DUTY_NAMES)]
    assert [line.split("  ", 1)[1].strip() for line in lines] == [
        "running (2 processes), last lately",
        "running, last lately",
        "not responding, last 20 minutes ago",
        "never started",
    ]
    signed(sender, "d", 5)
    signed(heartbeats.DISPATCHER, "d of it", 0)
    assert roles(pages)[1] == ["Sending deliveries", "Running", "1", "lately"]


def test_system_names_denied_networks_and_allowed_ports(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = visit(app)
    assert "may not reach" not in pages.get("/settings/system").main
    denied = (ip_network("8.8.8.0/24"),)
    closed = replace(settings(), webhook_denied_networks=denied, webhook_allowed_ports=(443, 8443))
    monkeypatch.setitem(app.extensions, "settings", closed)
    main = pages.get("/settings/system").main
    assert "Networks that webhooks can’t reach 8.8.8.0/24" in main
    assert "Ports that webhooks can reach 443, 8443" in main


def test_system_opens_while_redis_is_down(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    away = replace(app.extensions["settings"], redis_url="unix:///nowhere/valkey.sock")
    pages = visit(app)
    monkeypatch.setitem(app.extensions, "settings", away)
    assert "Redis isn’t responding" in pages.get("/settings/system").main


def test_a_delivery_that_waits_long_links_administrators_to_system(app: Flask) -> None:
    delivery, before = make_delivery(), utcnow() - timedelta(minutes=5)
    change(delivery, created_at=before, due_at=before)
    admin, helper = visit(app), visit(app, "support")
    link = "View System"
    assert admin.get(f"/deliveries/{delivery}").links(link) == ["/settings/system"]
    page = helper.get(f"/deliveries/{delivery}")
    assert page.links(link) == []
    assert "Ask an administrator (" in page.main


def test_the_doctor_exits_with_0_without_problems(app: Flask) -> None:
    everybody_signs()
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert result.exit_code == 0
    assert "Server working normally." in result.output
    assert "Sending deliveries" in result.output


def test_the_quiet_doctor_shows_only_dangers_and_exits_with_2(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["doctor", "--quiet"])
    assert result.exit_code == 2
    assert "DANGER  We can’t send deliveries because no" in result.output
    assert "Portal" not in result.output


def test_the_doctor_exits_with_1_on_a_warning(app: Flask) -> None:
    everybody_signs()
    with writing() as current:
        current.execute(delete(Process).where(Process.kind == heartbeats.SCHEDULER))
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert result.exit_code == 1
    assert "WARNING The scheduler isn’t responding." in result.output


def test_page_and_doctor_report_the_alert_check_and_late_alerts(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    # In UTC, every time of day occurs once a day, so there always is one 2 hours ago.
    in_utc = replace(app.extensions["settings"], timezone=ZoneInfo("UTC"))
    monkeypatch.setitem(app.extensions, "settings", in_utc)
    everybody_signs()
    pages = visit(app)
    assert "Last alert check Never" in pages.get("/settings/system").main
    make_asset()
    a_run_is_missing()
    page = pages.get("/settings/system")
    assert "Alerts are late. The daily check was due 2 hours ago" in page.main
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert result.exit_code == 2
    assert "DANGER  Alerts are late" in result.output
    assert "Next alert check" in result.output
    runs.start_due(utcnow())
    assert "Server working normally." in pages.get("/settings/system").main


def test_page_and_doctor_report_wrong_encryption_keys(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody_signs()
    vault.check_keys()
    assert app.test_cli_runner().invoke(args=["doctor"]).exit_code == 0
    pages = visit(app)
    other = "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY="
    changed = replace(app.extensions["settings"], encryption_keys=(other,))
    monkeypatch.setitem(app.extensions, "settings", changed)
    result = app.test_cli_runner().invoke(args=["doctor"])
    assert result.exit_code == 2
    assert "ENCRYPTION_KEYS can’t decrypt" in result.output
    assert "ENCRYPTION_KEYS can’t decrypt" in pages.get("/settings/system").main


def test_a_machine_with_a_wrong_clock_takes_no_process_for_dead(app: Flask) -> None:
    everybody_signs()
    with writing() as current:  # a busy machine can take too long to start the command
        current.execute(update(Process).values(seen_at=utcnow() + timedelta(minutes=1)))
    settings = app.extensions["settings"]
    environ = {
        **ENVIRONMENT,
        **wrong_clock(300),
        "INSTANCE_DIR": str(settings.instance_dir),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert "silent" not in done.stdout
    assert "ahead of the database’s." in done.stdout
    assert done.returncode == 1, done.stdout + done.stderr


def test_the_doctor_reports_a_database_that_is_down(tmp_path: Path) -> None:
    environ = {
        **ENVIRONMENT,
        "INSTANCE_DIR": str(tmp_path),
        "DATABASE_URL": "postgresql://portal:hush@127.0.0.1:9/portal",
    }
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "doctor"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert "DANGER  The database isn’t responding." in done.stdout
    assert "refused" in done.stdout
    assert "hush" not in done.stdout + done.stderr
