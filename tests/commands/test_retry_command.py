"""`flask retry`: what failed lately goes out once more, and a dry run sends nothing."""

from datetime import timedelta

from flask import Flask

from jobs.tasks import run_tasks
from portal.lib.clock import utcnow
from tests.support.deliveries import make_delivery, stored
from tests.support.factories import make_webhook

COMMAND = ["retry", "--failed", "--since", "24h"]


def test_it_hands_over_what_failed_lately_and_nothing_else(app: Flask) -> None:
    hook = make_webhook(name="Payroll")
    failed = make_delivery(hook, status="failed")
    old = make_delivery(hook, status="failed", created_at=utcnow() - timedelta(hours=25))
    arrived = make_delivery(hook, status="delivered")
    answer = app.test_cli_runner().invoke(args=COMMAND)
    assert answer.exit_code == 0, answer.output
    assert "Deliveries to retry: 1\n" in answer.output
    assert "1  Payroll" in answer.output
    assert "/batches/" in answer.output
    run_tasks()
    assert (stored(failed)["status"], stored(failed)["prior_status"]) == ("retrying", "failed")
    assert stored(failed)["requested_by"] == "A command on the server"
    assert stored(old)["status"] == "failed"
    assert stored(arrived)["status"] == "delivered"


def test_a_dry_run_counts_and_sends_nothing(app: Flask) -> None:
    failed = make_delivery(status="failed")
    make_delivery(make_webhook(state="off"), status="failed")
    answer = app.test_cli_runner().invoke(args=[*COMMAND, "--dry-run"])
    assert "Deliveries to retry: 1\n" in answer.output
    assert "off or deleted: 1" in answer.output
    assert "/batches/" not in answer.output
    run_tasks()
    assert stored(failed)["status"] == "failed"


def test_a_span_that_it_cannot_read_is_explained(app: Flask) -> None:
    for span in ("", "24", "h", "0h", "-1h", "9999999d", "1 week"):
        answer = app.test_cli_runner().invoke(args=["retry", "--failed", f"--since={span}"])
        assert answer.exit_code == 2, span
        assert "such as 90m, 24h, or 7d" in answer.output, span
