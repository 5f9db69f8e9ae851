"""The question before a bulk retry, and the report of its outcomes."""

import csv
import io
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from portal.lib.clock import utcnow
from portal.models.deliveries import BatchRow, Delivery, Priority, RowOutcome
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending as operation_sending
from portal.services.outbox.claimable import REFUSED
from tests.services.bulk_retry.test_bulk_retry import finish, handed, some, work
from tests.support.deliveries import change, lease, make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.pages import Page, Pages


def ask(pages: Pages, query: str) -> Page:
    return pages.get(f"/deliveries/retry?{query}")


def test_confirming_while_sending_is_stopped_repeats_the_question(support: Pages) -> None:
    hook = make_webhook()
    (made,), (arrived,) = some(1, hook), some(1, hook, status="delivered")
    page = ask(support, f"delivery={made}&delivery={arrived}")
    operation_sending.stop(make_user().actor)
    question, page = page, support.submit(page.form(), again="y")
    assert (page.status, page.path) == (400, question.path)
    assert page.errors == [REFUSED.removesuffix(".")]
    assert (page.h1, page.form().fields["again"]) == (question.h1, ["y"])
    assert question.h1.startswith("Retry 1 delivery to ")
    assert "1 already arrived" in page.main


def test_an_unknown_pace_is_refused_at_its_field(support: Pages) -> None:
    (made,) = some(1, make_webhook())
    form = ask(support, f"delivery={made}").form()
    for typed_over in ("", "hourly"):
        page = support.submit(form, pace=typed_over)
        assert (page.status, page.errors) == (400, ["Choose a pace"]), typed_over
    page = support.submit(page.form(), pace="ten_seconds")
    assert "1 every 10 seconds." in page.main


def test_confirming_with_nothing_left_to_send_repeats_the_question(support: Pages) -> None:
    (made,) = some(1, make_webhook(name="Sync"))
    form = ask(support, f"delivery={made}").form()
    change(made, status="delivered")
    page = support.submit(form)
    assert (page.status, page.h1) == (400, "Resend 1 delivery to Sync?")
    assert len(page.errors) == 1
    assert support.get("/batches").rows() == []


def test_all_delivered_ones_are_resent_after_one_question(support: Pages) -> None:
    made = some(11, make_webhook(name="Sync"), status="delivered")
    for query in ("&".join(f"delivery={delivery}" for delivery in made), "all=1&status=delivered"):
        page = ask(support, query)
        assert page.h1 == "Resend 11 deliveries to Sync?"
        assert "Not included" not in page.main
        assert "again" in page.form().hidden
        assert page.form().buttons == ["Resend 11"]
    page = support.submit(page.form())
    assert page.path.startswith("/batches/")
    work()
    assert handed(made)


def test_exclusion_reasons_are_listed_by_frequency(support: Pages) -> None:
    sync, off = make_webhook(), make_webhook(state="off")
    ids = [
        make_delivery(sync),
        *some(2, sync, status="delivered"),
        make_delivery(off, status="failed"),
        make_delivery(off, status="on_hold"),
        *some(1, sync),
        make_delivery(sync, status="failed", priority=Priority.TEST),
        uuid4(),
    ]
    sending = make_delivery(sync)
    lease(sending)
    in_another = some(1, sync)
    bulk_retry.start(make_user("support").actor, Selection(ticked=tuple(in_another)))
    work()
    change(in_another[0], status="failed")
    ticked = [*ids, sending, *in_another]
    page = ask(support, "&".join(f"delivery={delivery}" for delivery in [*ticked, ids[0], "junk"]))
    assert "2 already delivered" in page.main
    for words in (
        "already queued",
        "being sent now",
        "on hold because the webhook is off",
        "in another bulk retry",
        "sent as a test",
        "for a deleted or turned-off webhook",
        "no longer kept",
    ):
        assert f"1 {words}" in page.main
    assert page.main.index("2 already delivered") < page.main.index("1 sent as a test")


def test_reasons_with_the_same_words_share_a_line_ordered_by_count(support: Pages) -> None:
    hook = make_webhook(name="Sync")
    some(2, hook, reason="dns")
    some(2, hook, reason="reset")
    some(1, hook, reason="no_reply")
    some(1, hook)
    page = ask(support, "all=1")
    assert page.rows() == [
        ["Connection closed early", "3"],
        ["Server not found", "2"],
        ["No failure so far", "1"],
    ]


def test_a_count_that_ended_early_says_at_least(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    some(3, make_webhook(name="Sync"))
    monkeypatch.setattr(bulk_retry_selection, "MOST_COUNTED", 3)
    assert ask(support, "all=1").h1 == "Retry at least 3 deliveries to Sync?"
    monkeypatch.setattr(bulk_retry_selection, "MOST_COUNTED", 4)
    assert ask(support, "all=1").h1 == "Retry 3 deliveries to Sync?"
    monkeypatch.setattr(bulk_retry_selection, "COUNT_SECONDS", -1.0)
    assert ask(support, "all=1").h1 == "Retry at least 3 deliveries to Sync?"


def test_deliveries_newer_than_the_question_are_excluded(support: Pages) -> None:
    for typed_over in ("", "x", "\u00b2", "9" * 19):
        hook = make_webhook()
        (made,) = some(1, hook)
        form = ask(support, "all=1&status=failed").form()
        (later,) = some(1, hook)
        typed: dict[str, Any] = {"newest": typed_over} if typed_over else {}
        support.submit(form, **typed)
        work()
        assert handed([made, later]) == ([made, later] if typed_over else [made]), typed_over


def test_the_question_links_back_to_the_filtered_log(support: Pages) -> None:
    for query, label, back in (
        ("all=1&status=failed", "Deliveries", "/deliveries?status=failed"),
        ("delivery={made}&status=failed", "Deliveries", "/deliveries"),
    ):
        (made,) = some(1, make_webhook())
        page = ask(support, query.format(made=made))
        assert back in page.links(label), query
        assert back in page.links("Cancel"), query


def test_the_report_names_each_deliverys_outcome(app: Flask, support: Pages) -> None:
    hook = make_webhook(name="Sync")
    made = some(6, hook, reason="server", code=500, asset_tag="AST-1", asset_name="Saw")
    batch = bulk_retry.start(make_user("support").actor, Selection(ticked=tuple(made)))
    work()
    finish(made[3], "failed")
    change(made[0], created_at=utcnow() - timedelta(days=1))
    for delivery, outcome in zip(made, RowOutcome, strict=True):
        row_id = select(Delivery.id).where(Delivery.public_id == delivery).scalar_subquery()
        message = "No longer kept" if outcome is RowOutcome.SKIPPED else ""
        with writing() as current:
            query = update(BatchRow).where(BatchRow.delivery_id == row_id)
            current.execute(query.values(outcome=outcome, message=message))
    text = support.client.get(f"/batches/{batch}/report.csv", buffered=True).text
    lines = list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))
    assert lines[0] == [
        "delivery_id",
        "outcome",
        "reason",
        "code",
        "event",
        "event_name",
        "asset_tag",
        "asset_name",
        "webhook",
        "stored_at",
    ]
    assert [line[0] for line in lines[1:]] == [str(delivery) for delivery in made]
    assert [line[1:3] for line in lines[1:]] == [
        ["Not sent yet", ""],
        ["Being sent", ""],
        ["Delivered", ""],
        ["Attempt failed", "Server error (500)"],
        ["Skipped", "No longer kept"],
        ["Not sent", ""],
    ]
    event = ["asset.created", "Asset created", "AST-1", "Saw", "Sync"]
    assert [line[3:9] for line in lines[1:]] == [["500", *event]] * 6
    assert lines[1][9] < lines[2][9]
