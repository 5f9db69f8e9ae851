"""Tests of the commands: their help, exit codes, and dry runs."""

import base64
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import Result
from flask import Flask

from jobs import cli as processes
from jobs.tasks import run_tasks
from portal.app import create_app
from portal.config.settings import load_settings
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.models.assets import Asset
from portal.models.deliveries import Delivery
from portal.services.core import vault
from portal.services.core.unit_of_work import session
from portal.services.demo import seed
from portal.services.operations import retention
from tests.conftest import ENVIRONMENT
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_asset, make_webhook
from tests.support.lint.old_words import old_words_in

OURS = (
    "backup",
    "create-user",
    "doctor",
    "forget-secrets",
    "new-password",
    "create-token",
    "prune",
    "retry",
    "rotate-keys",
    "seed-demo",
    "sending",
    "setup-link",
)


PROCESSES = (processes.worker, processes.scheduler, processes.up)


OLD = timedelta(days=31)


OF_CLICK = "Show this message and exit."


def run(app: Flask, *words: str) -> Result:
    return app.test_cli_runner().invoke(args=list(words))


def count(kind: type[Asset] | type[Delivery]) -> int:
    session().rollback()
    return session().query(kind).count()


def test_every_command_has_help_with_its_exit_codes(app: Flask) -> None:
    for name in OURS:
        answer = run(app, name, "--help")
        assert answer.exit_code == 0, name
        assert "Exit codes: 0 " in answer.output, name
        assert list(old_words_in(answer.output.replace(OF_CLICK, ""))) == [], name
        assert run(app, name, "--no-such-option").exit_code == 2, name


def test_sending_is_paused_and_resumed_by_a_command(app: Flask) -> None:
    answers = [run(app, "sending", state) for state in ("on", "off", "off", "on")]
    assert [answer.exit_code for answer in answers] == [0, 0, 0, 0]
    assert [answer.output.split(".")[0] for answer in answers] == [
        "Sending was already on",
        "Paused all sending",
        "Sending was already paused",
        "Resumed sending",
    ]
    assert run(app, "sending", "maybe").exit_code == 2


def test_every_process_command_has_help_with_its_exit_codes(app: Flask) -> None:
    for command in PROCESSES:
        answer = app.test_cli_runner().invoke(command, ["--help"])
        assert answer.exit_code == 0, command
        assert "Exit codes: 0 after" in answer.output, command
        assert list(old_words_in(answer.output.replace(OF_CLICK, ""))) == [], command


AWAY = "postgresql+psycopg://portal:hush@127.0.0.1:9/portal"


def test_an_unreachable_database_is_reported_in_one_sentence(tmp_path: Path) -> None:
    for words in (
        ("create-user", "ana@example.com", "--role", "admin"),
        ("new-password", "ana@example.com"),
        ("seed-demo", "--dry-run"),
        ("prune",),
        ("rotate-keys",),
        ("retry", "--failed", "--since", "24h"),
        ("db", "upgrade"),
    ):
        places = {"DATABASE_URL": AWAY, "INSTANCE_DIR": str(tmp_path)}
        app = create_app(load_settings({**ENVIRONMENT, **places}))
        with app.app_context():
            answer = run(app, *words)
        assert answer.exit_code == 1, words
        (sentence,) = answer.stderr.splitlines()
        assert sentence.startswith(
            "Error: The portal can’t use the database postgresql+psycopg://portal:***@127.0.0.1:9/"
        ), words
        assert sentence.endswith("the cause, run “.venv/bin/flask --app wsgi doctor”."), words


def test_missing_tables_are_reported_in_one_sentence(tmp_path: Path) -> None:
    app = create_app(load_settings({**ENVIRONMENT, "INSTANCE_DIR": str(tmp_path)}))
    with app.app_context():
        answer = run(app, "prune")
    assert answer.exit_code == 1
    assert "portal.sqlite (no such table: " in answer.stderr


def test_every_command_is_in_these_tests(app: Flask) -> None:
    assert {*OURS, "db"} <= set(app.cli.commands)
    assert set(app.cli.commands) - {*OURS, "db"} <= {command.name for command in PROCESSES}


def test_a_dry_prune_counts_the_rows_that_prune_removes(app: Flask) -> None:
    then = utcnow() - OLD
    gone = make_webhook(deleted_at=then)
    old = {"created_at": then, "finished_at": then, "occurred_at": then}
    make_delivery(gone, status="delivered", **old)
    make_delivery(status="on_hold", created_at=then)
    make_delivery(status="delivered")
    before = retention.count()
    assert before["deliveries removed"] == before["deliveries on hold dismissed"] == 1
    answer = run(app, "prune", "--dry-run")
    assert answer.exit_code == 0
    assert "1  deliveries removed" in answer.output
    assert "Nothing was changed" in answer.output
    assert count(Delivery) == 3
    assert retention.prune() == before
    assert set(retention.count().values()) == {0}


@pytest.mark.both_databases
def test_a_dry_demo_counts_the_assets_to_add(app: Flask) -> None:
    answer = run(app, "seed-demo", "--dry-run")
    assert answer.exit_code == 0
    assert f"Assets to add: {seed.check()}. Nothing was changed." in answer.output
    assert count(Asset) == 0
    make_asset()
    answer = run(app, "seed-demo", "--dry-run")
    assert answer.exit_code == 1
    assert "This register already has assets." in answer.output


def test_a_demo_with_other_encryption_keys_adds_nothing(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this check, the command would encrypt secrets that nobody can decrypt."""
    vault.check_keys()
    other = base64.urlsafe_b64encode(b"another key of thirty-two bytes!").decode()
    monkeypatch.setitem(app.extensions, "settings", replace(settings(), encryption_keys=(other,)))
    answer = run(app, "seed-demo")
    assert answer.exit_code == 1
    assert "ENCRYPTION_KEYS can’t decrypt the secrets in the database" in answer.output
    assert count(Asset) == 0


COMMAND = ["retry", "--failed", "--since", "24h"]


def test_retry_takes_only_recently_failed_deliveries(app: Flask) -> None:
    hook = make_webhook(name="Payroll")
    failed = make_delivery(hook, status="failed")
    old = make_delivery(hook, status="failed", created_at=utcnow() - timedelta(hours=25))
    arrived = make_delivery(hook, status="delivered")
    answer = run(app, *COMMAND)
    assert answer.exit_code == 0, answer.output
    assert "Deliveries to retry: 1\n" in answer.output
    assert "1  Payroll" in answer.output
    assert "/batches/" in answer.output
    run_tasks()
    assert (stored(failed)["status"], stored(failed)["prior_status"]) == ("retrying", "failed")
    assert stored(failed)["requested_by"] == "A command on the server"
    assert stored(old)["status"] == "failed"
    assert stored(arrived)["status"] == "delivered"


def test_a_dry_retry_counts_deliveries_and_sends_nothing(app: Flask) -> None:
    failed = make_delivery(status="failed")
    make_delivery(make_webhook(state="off"), status="failed")
    answer = run(app, *COMMAND, "--dry-run")
    assert "Deliveries to retry: 1\n" in answer.output
    assert "off or deleted: 1" in answer.output
    assert "/batches/" not in answer.output
    run_tasks()
    assert stored(failed)["status"] == "failed"


def test_an_invalid_time_span_is_explained(app: Flask) -> None:
    for span in ("", "24", "h", "0h", "-1h", "9999999d", "1 week"):
        answer = run(app, "retry", "--failed", f"--since={span}")
        assert answer.exit_code == 2, span
        assert "such as 90m, 24h, or 7d" in answer.output, span
