"""The log: what it shows, page by page, and what each filter leaves."""

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


def test_it_shows_the_newest_first_with_names_from_webhook_and_event() -> None:
    webhook = make_webhook(name="Sync to ERP")
    first, second = make_delivery(webhook), make_delivery(webhook, asset_tag="LAP-1")
    rows = log_pages.find_page(LogFilter()).page.rows
    assert [row.public_id for row in rows] == [second, first]
    assert (rows[0].webhook_name, rows[0].asset_tag) == ("Sync to ERP", "LAP-1")


def test_a_page_newer_than_the_newest_is_the_first_page() -> None:
    made = make_delivery()
    cursor = Cursor((10**9,), newer=True).encode()
    assert [row.public_id for row in log_pages.find_page(LogFilter(), cursor).page.rows] == [made]


def test_what_is_being_sent_has_a_live_lease_and_keeps_its_status() -> None:
    webhook = make_webhook()
    waiting, retrying = make_delivery(webhook), make_delivery(webhook, status="retrying")
    sending, lapsed = make_delivery(webhook), make_delivery(webhook, status="retrying")
    lease(sending)
    lease(lapsed, -1)
    assert ids(LogFilter(status=StatusFilter.QUEUED)) == [sending, waiting]
    assert ids(LogFilter(status=StatusFilter.RETRYING)) == [lapsed, retrying]
    assert ids(LogFilter(status=StatusFilter.OPEN)) == [lapsed, sending, retrying, waiting]
    shown = {row.public_id: row for row in log_pages.find_page(LogFilter()).page.rows}
    assert [each for each, row in shown.items() if row.is_being_sent] == [sending]
    assert [shown[each].sent for each in (waiting, sending)] == [0, 1]
    make_attempt(sending)
    (row,) = log_pages.find_page(LogFilter(delivery=sending)).page.rows
    assert row.sent == 2


def test_undelivered_is_what_nobody_decided_about_and_attention_that_of_webhooks_in_trouble() -> (
    None
):
    well, ill, gone = make_webhook(), make_webhook(), make_webhook(state="off", off_reason="gone")
    statuses = ("queued", "retrying", "on_hold", "delivered", "dismissed")
    waits = [make_delivery(well, status=status) for status in statuses][:3]
    theirs = [make_delivery(ill, status=status) for status in statuses][:3]
    theirs.append(make_delivery(ill, status="failed"))
    make_delivery(ill, status="failed", priority=Priority.TEST)
    held = make_delivery(gone, status="on_hold")
    wanted = [held, *theirs[::-1]]
    assert ids(LogFilter(status=StatusFilter.ATTENTION)) == wanted
    assert log_pages.count(StatusFilter.ATTENTION) == len(wanted)
    assert ids(LogFilter(status=StatusFilter.UNDELIVERED)) == [*wanted, *waits[::-1]]
    for status, hook, found in (
        (StatusFilter.ATTENTION, ill, theirs),
        (StatusFilter.ATTENTION, well, []),
        (StatusFilter.UNDELIVERED, well, waits),
    ):
        assert ids(LogFilter(status=status, webhook=hook.public_id)) == found[::-1]
        assert log_pages.count(status, hook.public_id) == len(found)


def test_a_line_says_what_keeps_it_beyond_its_own_time() -> None:
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
    for each in sending:
        lease(each)
    rows = {row.public_id: row for row in log_pages.find_page(LogFilter()).page.rows}
    assert {each: rows[each].waits_for for each in made} == made
    assert {rows[each].waits_for for each in sending} == {None}


def test_what_is_due_waits_while_no_machine_can_connect_to_its_host() -> None:
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


def test_what_was_delivered_has_one_result_whatever_failed_before_or_since() -> None:
    before = make_delivery(status="delivered", tries=2, attempts=1, code=200, took_ms=22)
    since = make_delivery(status="delivered", reason="server", code=500, took_ms=9)
    make_attempt(since, outcome="delivered", code=201, phases={"total": 31.4})
    make_attempt(since, kind="manual", reason="server", code=500)
    rows = {row.public_id: row for row in log_pages.find_page(LogFilter()).page.rows}
    told = {each: (row.reason, row.code, row.took_ms, row.resent) for each, row in rows.items()}
    assert told == {before: (None, 200, 22, None), since: (None, 201, 31, ("server", 500))}


def test_a_chosen_asset_goes_before_what_is_searched_for() -> None:
    made, other = (make_delivery(asset_id=each) for each in (1, 2))
    for search in ("nothing is called so", str(other)[:13], str(other)):
        assert ids(LogFilter(asset_id=1, search=search)) == [made]


def test_an_exact_tag_means_one_asset_and_many_similar_ones_are_searched_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_query, "FOLLOWED", 2)
    assets = [make_asset(f"Dock {number}", asset_tag=f"D-{number}") for number in range(12)]
    made = [make_delivery(asset_id=each) for each in assets]
    assert ids(LogFilter(search="d-1")) == [made[1]]
    assert ids(LogFilter(search="dock")) == made[::-1]
    assert ids(LogFilter(search="k 1")) == [made[11], made[10], made[1]]


def test_while_a_chunk_is_written_out_no_transaction_is_open() -> None:
    made = make_delivery()
    for row in log_pages.every(LogFilter()):
        assert row.public_id == made
        assert not session().in_transaction()


def test_a_search_that_no_index_covers_stops_and_says_where_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_query, "MOST_READ", 20)
    webhook = make_webhook()
    wanted = make_delivery(webhook, event="asset.deleted", asset_id=None)
    make_many([webhook], 30, utcnow())
    search = LogFilter(webhook=webhook.public_id, event=EventName.DELETED, asset_id=None)
    first = log_pages.find_page(search)
    assert first.further
    assert len(first.page.rows) == 7
    second = log_pages.find_page(search, first.further)
    assert second.page.rows[-1].public_id == wanted
    assert second.further is None


def test_other_pages_get_the_latest_few() -> None:
    webhook = make_webhook()
    made = [make_delivery(webhook) for _ in range(3)]
    found = log_pages.latest(LogFilter(webhook=webhook.public_id), 2)
    assert [row.public_id for row in found] == made[:0:-1]


def test_the_newest_of_an_asset_are_counted_by_status_without_those_of_an_open_form(
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


def test_of_webhooks_that_had_one_name_the_older_one_is_chosen_from_first() -> None:
    made = [make_webhook(name="Desk", deleted_at=utcnow()), make_webhook(name="desk")]
    made.append(make_webhook(name="Cargo"))
    with writing() as current:  # the older one was written last
        mine = update(Webhook).where(Webhook.id == made[0].id)
        current.execute(mine.values(deleted_at=utcnow()))
    found = [(public_id, is_deleted) for public_id, _, is_deleted in log_pages.webhook_names()]
    ids = [each.public_id for each in made]
    assert found == [(ids[2], False), (ids[0], True), (ids[1], False)]


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
def test_what_needs_attention_is_looked_for_along_the_narrowest_part(
    asked: dict[str, Any], along: list[str], is_side_by_side: bool
) -> None:
    hooks = [make_webhook() for _ in range(2)]
    for hook in hooks:
        make_delivery(hook, status="failed")
    webhook = {"webhook": hooks[0].public_id} if "webhook" in asked else {}
    wanted = LogFilter(status=StatusFilter.ATTENTION, **{**asked, **webhook})
    scan = log_query.scan_for(session(), wanted, None, utcnow())
    assert scan is not None
    branches = [scan.branches[0].key] if scan.branches else []
    assert bool(branches) is is_side_by_side
    assert ([each.key for each in scan.along] or branches) == along
