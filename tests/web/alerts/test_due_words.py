"""Due alerts have the same count on all pages, and everyone sees when they are sent."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest
from flask import Flask
from sqlalchemy import update

from portal.lib.clock import utcnow
from portal.models.alerts import RunKind
from portal.models.planning import Maintenance
from portal.models.tasks import Task
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.rules import AlertRules
from portal.services.core import queries
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import writing
from portal.web.alerts.wording import OFF, due_words
from tests.services.alerts.due_things import (
    a_run_is_missing,
    decided,
    lent,
    with_maintenance,
    with_warranty,
    work,
)
from tests.support.factories import make_asset
from tests.support.golden.expected_file import Golden
from tests.support.pages import Page
from tests.web.signed_in import visit


def kinds(page: Page) -> dict[str, str]:
    """Return the text about each kind on the page."""
    terms = [node.text for node in page.root.find_all("dt")]
    return dict(zip(terms, [node.text for node in page.root.find_all("dd")], strict=True))


def test_due_maintenance_has_the_same_count_on_every_page(app: Flask) -> None:
    decided()
    lent(3)
    begun = with_maintenance(-4)
    with writing() as current:
        current.execute(update(Maintenance).values(state="in_progress"))
    asset_ids = [with_maintenance(2) for _ in range(3)]
    runs.run(RunKind.MANUAL)
    for _ in range(4):
        with_maintenance(5)
    pages = visit(app)
    assert "Maintenance due 7" in pages.get("/").main
    page = pages.follow("Maintenance due")
    assert page.path == "/maintenance?show=due"
    assert len(page.rows()) == 7
    assert "Due 7" in page.main
    page = pages.get("/alerts")
    assert "Maintenance alerts 3" in page.main  # the alerts that were sent
    assert "7 due now" in kinds(page)["Maintenance due"]
    assert "marked as sent. The next check sends 4 (AST-" in kinds(page)["Maintenance due"]
    assert "It will send 4 alerts." in page.main
    assert "4 alerts: 4 maintenance due." in pages.get("/settings/alerts/preview").main
    assert "Maintenance due" in pages.get(f"/assets/{asset_ids[0]}").main
    assert "Maintenance due" not in pages.get(f"/assets/{begun}").main
    runs.run(RunKind.MANUAL)
    page = pages.get("/alerts")
    assert "Maintenance alerts 7" in page.main
    assert "It will send" not in page.main


def test_a_count_at_its_limit_says_that_there_are_more(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "COUNT_LIMIT", 2)
    decided()
    for _ in range(3):
        with_maintenance(2)
    words = kinds(visit(app).get("/alerts"))["Maintenance due"]
    assert "2+ due now" in words
    assert "now: maintenance due. The next check sends 2+ (AST-" in words


def test_support_sees_the_next_check_and_its_rules(app: Flask) -> None:
    decided()
    rules = AlertRules(warranty_days=45, maintenance_days=0, repeat_every_days=3)
    alert_settings.save(SYSTEM, alert_settings.read().version, rules)
    page = visit(app, "support").get("/alerts")
    with app.test_request_context():
        words = due_words(utcnow())
    assert words.next_check in page.main
    assert all(kinds(page)[line.kind.word].startswith(line.rule) for line in words.lines.values())


def test_a_kind_that_is_off_says_so(app: Flask) -> None:
    decided()
    lent(3)
    version = alert_settings.read().version
    off = {"overdue_on": False, "maintenance_on": False, "low_stock_on": False}
    rules = replace(AlertRules(), warranty_on=False, **off)
    alert_settings.save(SYSTEM, version, rules)
    page = visit(app, "support").get("/alerts")
    assert all(words.startswith(OFF) for words in kinds(page).values())


def test_everyone_sees_undecided_alerts_and_administrators_decide(app: Flask) -> None:
    lent(3)
    with_warranty(5)
    runs.start_due(utcnow())
    admin, helper = visit(app), visit(app, "support")
    page = admin.get("/alerts")
    assert page.links("Decide") == ["/settings/alerts"]
    assert "It will send" not in page.main
    page = helper.get("/alerts")
    assert page.links("Decide") == []
    assert "No alerts sent yet" in page.main
    assert "Alerts waiting for your decision 2" in admin.get("/").main
    page = admin.get("/settings/alerts")
    assert "2 alerts are due but not sent yet. No webhook is subscribed to 1 overdue, " in page.main
    assert "An administrator decides about 1 (AST-" in page.main


def test_support_also_sees_late_and_running_checks(app: Flask) -> None:
    make_asset()
    a_run_is_missing()
    decided()
    pages = visit(app, "support")
    assert "Alerts are late" in pages.get("/alerts").main
    runs.start_due(utcnow())
    assert "A check is running." in pages.get("/alerts").main
    with writing() as current:
        current.execute(update(Task).values(due_at=utcnow() - timedelta(seconds=1)))
    work()
    assert "A check is running." not in pages.get("/alerts").main


RULES: Final = (
    AlertRules(),
    AlertRules(repeat_every_days=1, maintenance_days=1, warranty_days=0),
    AlertRules(repeat_every_days=2, maintenance_days=0, low_stock_on=False),
    AlertRules(overdue_on=False, maintenance_on=False),
    AlertRules(maintenance_on=False, warranty_on=False),
)


def test_rules_match_the_golden_file_and_link_to_due_assets(app: Flask, golden: Golden) -> None:
    texts = {}
    for number, rules in enumerate(RULES):
        alert_settings.save(SYSTEM, alert_settings.read().version, rules)
        with app.test_request_context():
            lines = list(due_words(utcnow()).lines.values())
        texts |= {f"{number} {line.kind.word}": line.rule for line in lines}
        assert [(line.due, line.rest, line.due_url) for line in lines] == [
            ("0 due now", ".", url)
            for url in ("/assets?show=overdue", "/maintenance?show=due", "/assets?show=low", "")
        ]
    golden.said(Path(__file__).parent / "golden" / "rules.txt", texts)


def test_the_next_check_counts_the_alerts_it_will_send(app: Flask) -> None:
    decided()
    for sentence in ("", " It will send 1 alert.", " It will send 2 alerts."):
        with app.test_request_context():
            words = due_words(utcnow())
            assert words.next_check.endswith(f", 07:00.{sentence}")
        assert (words.waits, words.late_since) == (0, None)
        with_warranty(3)
