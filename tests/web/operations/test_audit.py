"""Settings → Audit: the entries, filters, and CSV file of the audit trail."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import insert, text

from portal.extensions import db
from portal.lib.clock import utcnow
from portal.models.audit import AuditEntry
from portal.services import audit
from portal.services import audit as audit_queries
from portal.services.audit import TrailFilter
from portal.services.core.permissions import SYSTEM
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import dismissals
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.statuses import LogFilter
from portal.services.webhooks import crud, turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.support.factories import Person, make_asset, make_user, make_webhook, publish
from tests.support.pages import Pages
from tests.web.signed_in import visit

AUDIT = "/settings/audit"


def note(action: str, name: str, by: Person | None = None, **changes: Any) -> None:
    kind = action.partition(".")[0]
    with writing() as current:
        actor = by.actor if by else SYSTEM
        audit.record(current, actor, action, target=(kind, "7", name), changes=changes)


def read_csv(pages: Pages, query: str = "") -> list[list[str]]:
    answer = pages.client.get(f"{AUDIT}/export.csv{query}", buffered=True)
    assert answer.status_code == 200
    assert answer.mimetype == "text/csv"
    return list(csv.reader(io.StringIO(answer.get_data(as_text=True).removeprefix("\ufeff"))))


def test_entries_use_the_words_of_pages(app: Flask) -> None:
    ana, hook = make_user(name="Ana"), make_webhook(name="Sync to ERP")
    publish()
    publish()
    crud.delete(ana.actor, hook.public_id)
    crud.delete(ana.actor, make_webhook(name="Quiet").public_id)
    turn_on_off.turn_on(ana.actor, make_webhook(state="off").public_id)
    held = make_webhook(state="off")
    publish()
    turn_on_off.turn_on(ana.actor, held.public_id, HeldChoice.SEND)
    note("asset.liquidated", "AST-00005", ana)
    liquidated, sent, _, quiet, deleted = visit(app).get(AUDIT).rows()
    assert liquidated[2] == "Asset: disposed of"
    assert sent[4].endswith("Deliveries on hold queued: 1")
    assert quiet[4] == ""
    assert deleted[4] == "Deliveries dismissed: 2"


def test_entries_are_filtered_by_person_action_and_day(app: Flask) -> None:
    ana = make_user(name="Ana")
    note("webhook.created", "Sync", ana)
    note("location.created", "Cellar", ana)
    note("location.created", "Attic")
    pages = visit(app)

    def found(**wanted: str) -> list[str]:
        return [row[3] for row in pages.submit(pages.get(AUDIT).form(AUDIT), **wanted).rows()]

    assert found(kind="location") == ["Attic", "Cellar"]
    assert found(kind="location.created") == ["Attic", "Cellar"]
    assert found(kind="location.deleted") == []
    assert found(who=str(ana.public_id)) == ["Cellar", "Sync"]
    assert found(who="portal") == ["Attic"]
    assert found(who=str(ana.public_id), kind="location") == ["Cellar"]
    today, tomorrow = utcnow().date(), utcnow().date() + timedelta(days=2)
    assert len(found(since=str(today - timedelta(days=1)))) == 3
    assert found(since=str(tomorrow)) == []
    note("staff.erased", "A former colleague")
    note("person.role_changed", "Sue")
    assert found(kind="deletions") == ["A former colleague"]
    assert found(kind="access") == ["Sue"]


def test_deliveries_dismissed_in_bulk_are_listed_as_deliveries(app: Flask) -> None:
    ana, hook = make_user(name="Ana"), make_webhook(name="Sync to ERP")
    for _ in range(3):
        publish()
    one, *more = [row.public_id for row in log_pages.find_page(LogFilter()).page.rows]
    dismissals.dismiss(ana.actor, Selection(ticked=(one,)))
    dismissals.dismiss(ana.actor, Selection(ticked=tuple(more)), "Sent by hand")
    crud.delete(ana.actor, hook.public_id)
    pages = visit(app)
    for kind in ("delivery", "delivery.dismissed"):
        many, single = pages.get(f"{AUDIT}?kind={kind}").rows()
        assert many[2:] == [
            "Delivery: dismissed",
            "Sync to ERP",
            "Deliveries: 2 Reason: Sent by hand",
        ]
        assert single[2:4] == ["Delivery: dismissed", "Asset created AST-00007"]
    assert [row[2] for row in pages.get(f"{AUDIT}?kind=webhook").rows()] == ["Webhook: deleted"]


def test_an_asset_is_found_by_its_tag(app: Flask) -> None:
    make_asset("Projector", asset_tag="AV-7")
    make_asset("Camera", asset_tag="AV-70")
    note("webhook.created", "AV-7")
    pages = visit(app)
    page = pages.get(f"{AUDIT}?q=av-7")
    assert [row[3] for row in page.rows()] == ["AV-7 Projector"]
    assert page.links("Asset tag: av-7") == [AUDIT]
    assert pages.get(f"{AUDIT}?q=AV").rows() == []


def test_ids_in_a_change_are_shown_as_names_or_links(app: Flask) -> None:
    hook, delivery = make_webhook(name="Sync to ERP"), str(uuid4())
    filter_ = {"status": "failed", "webhook": str(hook.public_id), "event": "asset.created"}
    note("batch.started", "", **{name: {"from": None, "to": to} for name, to in filter_.items()})
    note("dismissal.started", "", filter={"from": None, "to": filter_})
    note("batch.delivery_taken_out", "", delivery={"from": None, "to": delivery})
    note("batch.started", "", rest_of={"from": None, "to": delivery})
    note("webhook.changed", "", events={"from": ["asset.created"], "to": ["asset.lost"]})
    note("batch.started", "", status={"from": None, "to": "of another version"})
    page = visit(app).get(AUDIT)
    assert [row[4] for row in page.rows()] == [
        "Status: of another version",
        "Events: Asset created → Asset lost",
        "Rest of: View bulk retry",
        "Delivery: View delivery",
        *["Filter: Sync to ERP, all failed, Asset created"] * 2,
    ]
    assert page.links("View delivery") == [f"/deliveries/{delivery}"]
    assert page.links("View bulk retry") == [f"/batches/{delivery}"]


def test_an_active_filter_can_be_removed(app: Flask) -> None:
    note("webhook.created", "Sync")
    page = visit(app).get(f"{AUDIT}?since=2990-01-01&kind=webhook.created")
    assert page.rows() == []
    assert page.links("Action: Webhook: added") == [f"{AUDIT}?since=2990-01-01"]


@pytest.mark.parametrize("typed", ["30.11.2019", "3 Nov 2019", "Nov 3 2019"])
def test_a_typed_day_is_shown_in_its_filter(app: Flask, typed: str) -> None:
    page = visit(app).get(f"{AUDIT}?since={typed}&kind=webhook.created")
    assert page.links(f"From: {typed}") == [f"{AUDIT}?kind=webhook.created"]
    assert set(page.links("Clear filters")) == {AUDIT}


def test_an_unreadable_filter_shows_no_rows(app: Flask) -> None:
    for query, problems in (
        ("?who=x&kind=nothing&since=never", 3),
        ("?until=9999-12-31&who=%00", 2),
    ):
        note("webhook.created", "Sync")
        pages = visit(app)
        for path in (AUDIT, f"{AUDIT}/export.csv"):
            page = pages.get(path + query)
            assert (page.status, len(page.errors), page.rows()) == (400, problems, [])


def many(count: int) -> None:
    columns = {"actor_name": "Ana", "origin": "ui", "action": "webhook.changed", "changes": {}}
    columns |= {"target_kind": "webhook", "target_id": "7"}
    # One second apart, because ANALYZE picks from thousands of rows of one moment by chance.
    times = [utcnow() - timedelta(seconds=count - number) for number in range(count)]
    rows = [{**columns, "target_name": f"Thing {n}", "at": at} for n, at in enumerate(times)]
    with writing() as current:
        current.execute(insert(AuditEntry), rows)


def test_the_file_contains_the_entries_of_the_page(app: Flask) -> None:
    note("webhook.created", "Sync")
    note("location.created", "Cellar")
    pages = visit(app)
    (link,) = pages.get(f"{AUDIT}?kind=webhook").links("Download as CSV")
    assert [row[6] for row in read_csv(pages, link.removeprefix(f"{AUDIT}/export.csv"))[1:]] == [
        "Sync"
    ]


@pytest.mark.both_databases
def test_each_filter_is_read_through_an_index(app: Flask) -> None:
    if session().get_bind().dialect.name != "sqlite":
        pytest.skip("the planner of PostgreSQL reads a small table whole")
    many(5000)
    person = make_user()
    with writing() as current:
        current.execute(text("ANALYZE"))
    db.engine.dispose()  # a connection reads the statistics when it is opened
    filters = [
        TrailFilter(person=person.public_id),
        TrailFilter(nobody=True, since=utcnow()),
        TrailFilter(asset_tag="AV-7"),
        TrailFilter(since=utcnow()),
    ]
    for trail_filter in filters:
        newest = (AuditEntry.at.desc(), AuditEntry.id.desc())
        statement = audit_queries._matching(trail_filter).order_by(*newest).limit(51)
        compiled = statement.compile(session().get_bind(), compile_kwargs={"literal_binds": True})
        plan = session().execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all()
        assert "SEARCH audit_entries USING INDEX" in str(plan), plan
