"""Alert settings: permissions, the first question, Check now and acknowledgment."""

import re
from collections.abc import Callable
from datetime import time
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.alerts import AlertRun
from portal.models.audit import AuditEntry
from portal.models.tasks import Task
from portal.services.alerts import ledger as alert_ledger
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.queries import AlertFilter, Which
from portal.services.alerts.rules import AlertRules
from portal.services.alerts.settings import Emails
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, NotFound, Refusal, Stale
from portal.services.core.unit_of_work import session, writing
from tests.services.alerts.due_things import decided, fired, ledger, with_warranty, work
from tests.support.factories import make_asset, make_user

WARRANTY = "alert.warranty_expiring"


def audited() -> list[str]:
    session().rollback()
    query = select(AuditEntry.action).where(AuditEntry.action.startswith("alert"))
    return list(session().scalars(query.order_by(AuditEntry.id)))


def last_run() -> AlertRun:
    session().rollback()
    return session().scalars(select(AlertRun).order_by(AlertRun.id.desc())).first()  # type: ignore[return-value]  # there is one


def test_settings_are_saved_and_audited_and_a_stale_edit_is_refused(app: Flask) -> None:
    ana = make_user()
    assert alert_settings.read().version == 0
    rules = AlertRules(warranty_days=60, repeat_every_days=3, at=time(6, 30), low_stock_on=False)
    assert alert_settings.save(ana.actor, 0, rules)
    assert not alert_settings.save(ana.actor, 1, rules)
    stored = alert_settings.read()
    assert (stored.rules, stored.version, stored.is_answered) == (rules, 1, False)
    for version in (0, 2):
        with pytest.raises(Stale):
            alert_settings.save(ana.actor, version, AlertRules())
    (entry,) = session().scalars(select(AuditEntry).where(AuditEntry.target_id == "1"))
    assert entry.changes["time_of_day"] == {"from": "07:00", "to": "06:30"}
    assert entry.changes["repeat_every_days"] == {"from": None, "to": 3}
    assert set(entry.changes) == {
        "warranty_days",
        "repeat_every_days",
        "low_stock_on",
        "time_of_day",
    }


def test_a_stale_form_cannot_bring_back_an_erased_address(
    app: Flask,
) -> None:
    ana = make_user()
    rules, emails = AlertRules(), Emails(mail_overdue=["gone@example.com", "it@example.com"])
    assert alert_settings.save(ana.actor, 0, rules, emails)
    with writing() as current:
        alert_settings.forget_addresses(current, ["Gone@example.com"])
    with pytest.raises(Stale):
        alert_settings.save(ana.actor, 1, AlertRules(warranty_days=60), emails)
    assert alert_settings.read().emails.mail_overdue == ["it@example.com"]


VERBS: list[Callable[[Actor], object]] = [
    lambda actor: alert_settings.save(actor, 0, AlertRules(warranty_days=1)),
    runs.request_run,
    runs.mark_as_sent,
    lambda actor: runs.answer_first(actor, send=True),
]


def test_only_admins_save_and_run_and_support_cannot_acknowledge(
    app: Flask,
) -> None:
    manager, support = make_user("manager"), make_user("support")
    for verb in VERBS:
        for person in (manager, support):
            with pytest.raises(NotAllowed):
                verb(person.actor)
    with pytest.raises(NotAllowed):
        alert_ledger.acknowledge(support.actor, uuid4())
    with pytest.raises(NotFound):
        alert_ledger.acknowledge(manager.actor, uuid4())
    assert audited() == []
    assert session().scalars(select(Task)).all() == []


def test_the_first_run_asks_before_it_sends(app: Flask) -> None:
    ana = make_user()
    for days in (1, 2):
        with_warranty(days)
    now = utcnow()
    assert runs.start_due(now)
    assert (last_run().outcome, last_run().waiting, last_run().counts) == ("asked", 2, {})
    assert alert_queries.run_status(now).needs_first_answer
    with pytest.raises(Refusal, match="First decide"):
        runs.request_run(ana.actor)
    assert fired() == []
    preview = runs.preview(now, shown=1)
    assert (preview.counts, preview.total, preview.is_capped) == ({WARRANTY: 2}, 2, False)
    (first,) = preview.first
    assert (first.asset_tag, first.details["threshold_days"]) == ("AST-00001", 30)
    task_id = runs.answer_first(ana.actor, send=True)
    status = alert_queries.run_status(now)
    assert (status.running, status.needs_first_answer) == (task_id, False)
    assert runs.request_run(ana.actor) == task_id  # it is already running
    work()
    assert len(fired()) == 2
    assert runs.preview(now).total == 0
    with pytest.raises(Refusal, match="already decided"):
        runs.answer_first(ana.actor, send=False)
    assert audited() == ["alert_settings.answered", "alerts.run"]
    columns = (AuditEntry.target_kind, AuditEntry.target_id, AuditEntry.target_name)
    query = select(*columns, AuditEntry.changes).where(AuditEntry.action.startswith("alert"))
    entries = session().execute(query.order_by(AuditEntry.id)).all()
    answered = {"first_answer": {"from": None, "to": "send"}}
    alerts = ("alert_settings", "1", "Alerts")
    assert [tuple(entry) for entry in entries] == [(*alerts, answered), (*alerts, {})]


def test_alerts_marked_as_sent_are_in_the_ledger_but_not_published(app: Flask) -> None:
    ana = make_user()
    with_warranty(1)
    low = make_asset("Toner", kind="stock", quantity=1, min_quantity=5)
    runs.answer_first(ana.actor, send=False)
    work()
    assert fired() == []
    assert [(alert.is_sent, alert.event_id) for alert in ledger()] == [(False, None)] * 2
    assert (last_run().is_marking, sum(last_run().counts.values())) == (True, 2)
    with_warranty(2)
    runs.request_run(ana.actor)
    work()
    assert [name for name, _ in fired()] == [WARRANTY]
    assert {alert.asset_id for alert in ledger() if not alert.is_sent} >= {low}


def test_a_first_run_that_finds_nothing_answers_the_first_question(
    app: Flask,
) -> None:
    now = utcnow()
    assert not runs.start_due(now)
    assert not alert_settings.read().is_answered
    assert not alert_queries.run_status(now).needs_first_answer
    with_warranty(60)
    assert runs.start_due(now)  # the run of the same day
    assert alert_settings.read().first_answer == "nothing"
    assert last_run().outcome == "done"
    assert session().scalars(select(Task)).all() == []


@pytest.mark.both_databases
def test_an_acknowledged_alert_leaves_the_open_list_once(app: Flask) -> None:
    ben = make_user("manager")
    decided()
    ids = [with_warranty(days) for days in (1, 2)]
    runs.request_run(make_user().actor)
    work()
    alert = ledger()[0]
    assert alert_ledger.acknowledge(ben.actor, alert.public_id)
    assert not alert_ledger.acknowledge(ben.actor, alert.public_id)
    stored = alert_queries.find(alert.public_id)
    assert (stored.acknowledged_by, stored.acknowledged_by_id) == (ben.name, ben.id)
    open_alerts = alert_queries.list_alerts(AlertFilter()).rows
    assert [row.asset_id for row in open_alerts] == ids[1:]
    all_alerts = AlertFilter(which=Which.ALL, event=WARRANTY)
    assert [row.asset.id for row in alert_queries.list_alerts(all_alerts).rows] == ids[::-1]
    assert alert_queries.count_alerts(AlertFilter(event=WARRANTY)) == 1
    assert alert_queries.count_alerts(all_alerts) == 2
    assert alert_queries.list_alerts(AlertFilter(which=Which.ALL, asset_id=ids[0])).rows[0].asset_id
    assert "alert.acknowledged" in audited()


ADDRESSES: dict[str, tuple[list[str], str]] = {
    "none": (["ok@example.com", "the office"], "“the office” isn’t one"),
    "a header": (["a@example.com\nBcc: b@example.com"], "“a@example.com"),
    "two in one": (["a@example.com, b@example.com"], "“a@example.com, b@example.com” isn’t one"),
    "too long": ([f"{'a' * 250}@example.com"], "“aaa"),
    "the 21st": ([f"a{n}@example.com" for n in range(21)], "“a20@example.com” is number 21"),
}


@pytest.mark.parametrize("case", ADDRESSES)
def test_an_invalid_or_excess_address_is_named_at_its_field(app: Flask, case: str) -> None:
    typed, sentence = ADDRESSES[case]
    with pytest.raises(Refusal, match=re.escape(sentence)) as refused:
        alert_settings.save(make_user().actor, 0, AlertRules(), Emails(mail_warranty=typed))
    assert refused.value.field == "mail_warranty"
    assert alert_settings.read().version == 0


def test_duplicate_addresses_are_merged_and_changes_are_audited(app: Flask) -> None:
    ana = make_user()
    typed = [" Office@Example.com ", "", "office@example.com", "it@example.com"]
    emails = Emails(mail_overdue=typed, remind_holder=True, holder_text="Room\r\n 12 ")
    assert alert_settings.save(ana.actor, 0, AlertRules(), emails)
    stored = alert_settings.read().emails
    assert stored.mail_overdue == ["office@example.com", "it@example.com"]
    assert stored.holder_text == "Room 12"
    assert not alert_settings.save(ana.actor, 1, AlertRules(), stored)
    (entry,) = session().scalars(select(AuditEntry).where(AuditEntry.target_id == "1"))
    assert entry.changes["mail_overdue"] == {"from": [], "to": list(stored.mail_overdue)}
    with pytest.raises(Refusal, match="1,000 characters"):
        alert_settings.save(ana.actor, 1, AlertRules(), Emails(holder_text="a" * 1001))
