"""The log: its rows, its pages, and its filters."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from portal.engine.events.catalogue import EventName
from portal.lib.clock import utcnow
from portal.lib.paging import Cursor
from portal.models.deliveries import Priority
from portal.models.operations import Process
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session, writing
from portal.services.deliveries import log as log_pages
from portal.services.deliveries import log_query
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.outbox.claimable import WaitsFor
from portal.services.outbox.connectivity import SENDER
from tests.support.deliveries import lease, make_attempt, make_delivery, make_many
from tests.support.factories import make_asset, make_webhook
from tests.support.heartbeats import record_own

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]


def ids(wanted: LogFilter) -> list[object]:
    return [row.public_id for row in log_pages.find_page(wanted).page.rows]


def test_the_log_lists_the_newest_first_with_webhook_name_and_asset_tag() -> None:
    webhook = make_webhook(name="Sync to ERP")
    first, second = make_delivery(webhook), make_delivery(webhook, asset_tag="LAP-1")
    rows = log_pages.find_page(LogFilter()).page.rows
    assert [row.public_id for row in rows] == [second, first]
    assert (rows[0].webhook_name, rows[0].asset_tag) == ("Sync to ERP", "LAP-1")


def test_a_page_newer_than_the_newest_is_the_first_page() -> None:
    made = make_delivery()
    cursor = Cursor((10**9,), newer=True).encode()
    assert [row.public_id for row in log_pages.find_page(LogFilter(), cursor).page.rows] == [made]


def test_a_delivery_with_a_live_lease_is_being_sent_and_keeps_its_status() -> None:
    webhook = make_webhook()
    waiting, retrying = make_delivery(webhook), make_delivery(webhook, status="retrying")
    sending, lapsed = make_delivery(webhook), make_delivery(webhook, status="retrying")
    lease(sending)
    lease(lapsed, -1)
    assert ids(LogFilter(status=StatusFilter.QUEUED)) == [sending, waiting]
    assert ids(LogFilter(status=StatusFilter.RETRYING)) == [lapsed, retrying]
    assert ids(LogFilter(status=StatusFilter.OPEN)) == [lapsed, sending, retrying, waiting]
    shown = {row.public_id: row for row in log_pages.find_page(LogFilter()).page.rows}
    assert [public_id for public_id, row in shown.items() if row.is_being_sent] == [sending]
    assert [shown[public_id].sent for public_id in (waiting, sending)] == [0, 1]
    make_attempt(sending)
    (row,) = log_pages.find_page(LogFilter(delivery=sending)).page.rows
    assert row.sent == 2


def test_attention_is_undelivered_deliveries_of_webhooks_in_trouble() -> None:
    well, ill, gone = make_webhook(), make_webhook(), make_webhook(state="off", off_reason="gone")
    statuses = ("queued", "retrying", "on_hold", "delivered", "dismissed")
    waits = [make_delivery(well, status=status) for status in statuses][:3]
    theirs = [make_delivery(ill, status=status) for status in statuses][:3]
    theirs.append(make_delivery(ill, status="failed"))
    make_delivery(ill, status="failed", priority=Priority.TEST)
    held = make_delivery(gone, status="on_hold")
    attention = [held, *theirs[::-1]]
    assert ids(LogFilter(status=StatusFilter.ATTENTION)) == attention
    assert log_pages.count(StatusFilter.ATTENTION) == len(attention)
    assert ids(LogFilter(status=StatusFilter.UNDELIVERED)) == [*attention, *waits[::-1]]
    for status, hook, deliveries in (
        (StatusFilter.ATTENTION, ill, theirs),
        (StatusFilter.ATTENTION, well, []),
        (StatusFilter.UNDELIVERED, well, waits),
    ):
        assert ids(LogFilter(status=status, webhook=hook.public_id)) == deliveries[::-1]
        assert log_pages.count(status, hook.public_id) == len(deliveries)


def test_a_row_says_why_a_due_delivery_still_waits() -> None:
    now = utcnow()
    later = now + timedelta(minutes=4)
    away = make_webhook(throttled=True, backoff_seconds=300, backoff_until=later)
    ordered = make_webhook(in_order=True, throttled=True, backoff_until=later)
    full = make_webhook()
    made: dict[UUID, WaitsFor | None] = {
        make_delivery(away): WaitsFor.RECEIVER,
        make_delivery(away, status="retrying", tries=1): WaitsFor.RECEIVER,
        make_delivery(away, status="retrying", tries=1, due_at=now + timedelta(hours=1)): None,
        make_delivery(away, status="retrying", tries=1, due_at=later): None,
        make_delivery(away, priority=Priority.INTERACTIVE, prior_status="failed"): None,
        make_delivery(away, priority=Priority.BULK, prior_status="failed"): WaitsFor.RECEIVER,
        make_delivery(ordered): None,
        make_delivery(ordered): WaitsFor.ORDER,
        make_delivery(ordered, priority=Priority.TEST): None,
        make_delivery(): None,
        make_delivery(full): WaitsFor.PLACES,
        make_delivery(full, due_at=later): None,
        make_delivery(full, priority=Priority.TEST): None,
    }
    sending = [make_delivery(full) for _ in range(8)]
    for delivery in sending:
        lease(delivery)
    rows = {row.public_id: row for row in log_pages.find_page(LogFilter()).page.rows}
    assert {delivery: rows[delivery].waits_for for delivery in made} == made
    assert {rows[delivery].waits_for for delivery in sending} == {None}


def test_a_due_delivery_waits_while_no_machine_can_connect_to_its_host() -> None:
    erp, desk = make_webhook("https://erp.example.com/x"), make_webhook("https://desk.example.com")
    due, later = make_delivery(erp), make_delivery(erp, due_at=utcnow() + timedelta(minutes=4))
    make_delivery(desk)
    record_own(SENDER)
    with writing() as current:
        cut_off = {"offline_since": utcnow(), "offline_hosts": "erp.example.com"}
        current.execute(update(Process).where(Process.kind == SENDER).values(cut_off))
    rows = log_pages.find_page(LogFilter()).page.rows
    assert [row.public_id for row in rows if row.waits_for is WaitsFor.CONNECTION] == [due]
    assert later in {row.public_id for row in rows}


def test_a_delivered_row_shows_its_success_despite_failed_attempts() -> None:
    before = make_delivery(status="delivered", tries=2, attempts=1, code=200, took_ms=22)
    since = make_delivery(status="delivered", reason="server", code=500, took_ms=9)
    make_attempt(since, outcome="delivered", code=201, phases={"total": 31.4})
    make_attempt(since, kind="manual", reason="server", code=500)
    rows = {row.public_id: row for row in log_pages.find_page(LogFilter()).page.rows}
    results = {
        public_id: (row.reason, row.code, row.took_ms, row.resent)
        for public_id, row in rows.items()
    }
    assert results == {before: (None, 200, 22, None), since: (None, 201, 31, ("server", 500))}


def test_a_chosen_asset_overrides_the_search_text() -> None:
    made, other = (make_delivery(asset_id=asset_id) for asset_id in (1, 2))
    for search in ("nothing is called so", str(other)[:13], str(other)):
        assert ids(LogFilter(asset_id=1, search=search)) == [made]


def test_an_exact_tag_finds_one_asset_and_partial_text_finds_every_match(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_query, "FOLLOWED", 2)
    assets = [make_asset(f"Dock {number}", asset_tag=f"D-{number}") for number in range(12)]
    made = [make_delivery(asset_id=asset_id) for asset_id in assets]
    assert ids(LogFilter(search="d-1")) == [made[1]]
    assert ids(LogFilter(search="dock")) == made[::-1]
    assert ids(LogFilter(search="k 1")) == [made[11], made[10], made[1]]


def test_no_transaction_is_open_while_a_chunk_is_written_out() -> None:
    made = make_delivery()
    for row in log_pages.every(LogFilter()):
        assert row.public_id == made
        assert not session().in_transaction()


def test_a_search_without_an_index_stops_and_returns_a_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 20)
    webhook = make_webhook()
    match = make_delivery(webhook, event="asset.deleted", asset_id=None)
    make_many([webhook], 30, utcnow())
    search = LogFilter(webhook=webhook.public_id, event=EventName.DELETED, asset_id=None)
    first = log_pages.find_page(search)
    assert first.further
    assert len(first.page.rows) == 7
    second = log_pages.find_page(search, first.further)
    assert second.page.rows[-1].public_id == match
    assert second.further is None


def test_latest_returns_the_newest_few() -> None:
    webhook = make_webhook()
    made = [make_delivery(webhook) for _ in range(3)]
    rows = log_pages.latest(LogFilter(webhook=webhook.public_id), 2)
    assert [row.public_id for row in rows] == made[:0:-1]


def test_an_assets_newest_deliveries_are_counted_by_status_without_drafts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_pages, "COUNT_LIMIT", 3)
    hook = make_webhook()
    for status in ("delivered", "failed", "on_hold", "failed"):
        make_delivery(hook, status=status)
    make_delivery(hook, status="dismissed", asset_id=8)
    make_delivery(make_webhook(state="draft"), status="dismissed")
    assert log_pages.count_of_asset(7) == {"failed": 2, "on_hold": 1}
    assert log_pages.count_of_asset(9) == {}


def test_webhooks_of_the_same_name_are_listed_oldest_first() -> None:
    made = [make_webhook(name="Desk", deleted_at=utcnow()), make_webhook(name="desk")]
    made.append(make_webhook(name="Cargo"))
    with writing() as current:  # written last, so that storage order can't decide
        older = update(Webhook).where(Webhook.id == made[0].id)
        current.execute(older.values(deleted_at=utcnow()))
    names = [(public_id, is_deleted) for public_id, _, is_deleted in log_pages.webhook_names()]
    ids = [webhook.public_id for webhook in made]
    assert names == [(ids[2], False), (ids[0], True), (ids[1], False)]


@pytest.mark.parametrize(
    ("asked", "along", "is_side_by_side"),
    [
        ({}, ["status"], True),
        ({"webhook": True}, ["webhook_id"], True),
        ({"asset_id": 7}, ["asset_id"], False),
        # An asset has fewer deliveries than a webhook.
        ({"webhook": True, "asset_id": 7}, ["asset_id"], False),
    ],
)
def test_the_attention_filter_scans_along_the_narrowest_column(
    asked: dict[str, Any], along: list[str], is_side_by_side: bool
) -> None:
    hooks = [make_webhook() for _ in range(2)]
    for hook in hooks:
        make_delivery(hook, status="failed")
    webhook = {"webhook": hooks[0].public_id} if "webhook" in asked else {}
    log_filter = LogFilter(status=StatusFilter.ATTENTION, **{**asked, **webhook})
    scan = log_query.scan_for(session(), log_filter, None, utcnow())
    assert scan is not None
    branches = [scan.branches[0].key] if scan.branches else []
    assert bool(branches) is is_side_by_side
    assert ([branch.key for branch in scan.along] or branches) == along
