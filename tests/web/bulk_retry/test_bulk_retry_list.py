"""The list of bulk retries, the line above the log, and the retry of the remaining deliveries."""

import re
from uuid import UUID

import pytest
from flask import Flask

from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry import Pace
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.services.bulk_retry.test_bulk_retry import FAILED, all_that, finish, some, work
from tests.support.deliveries import change, stored
from tests.support.factories import Person, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.signed_in import signed_in

CLOCK = re.compile(r"\d\d:\d\d")


@pytest.fixture
def sam(app: Flask) -> Person:
    return make_user("support", name="Sam Okoro")


def paused(sam: Person) -> tuple[UUID, list[UUID]]:
    """Start Sam's bulk retry, in which ten deliveries fail in a row and two remain."""
    made = some(12, make_webhook(name="Sync to ERP"), reason="server", code=500)
    batch = bulk_retry.start(sam.actor, all_that(FAILED))
    work()
    for delivery in made[:10]:
        finish(delivery, "failed")
    work()
    return batch, made


def lines(page: Page) -> list[str]:
    """Return the lines about bulk retries in progress."""
    nodes = [node for node in page.root.find_all("li") if node.get("class") == "batch"]
    return [node.find_all("p")[0].text for node in nodes]


def test_the_bulk_retries_tab_lists_owner_webhook_and_progress(support: Pages, sam: Person) -> None:
    paused(sam)
    page = support.get("/deliveries").links("Bulk retries")
    assert page == ["/batches"]
    page_of_all = support.get("/batches")
    (row,) = page_of_all.rows()
    assert row[0] == "Sam Okoro’s bulk retry of Sync to ERPAll failed"
    assert row[2:4] == ["Paused", "10 failed, 2 leftPaused after 10 failures in a row."]
    assert page_of_all.here == ["Deliveries 12 undelivered", "Bulk retries 1"]


def test_a_resumed_bulk_retry_belongs_to_the_person_who_resumed_it(app: Flask, sam: Person) -> None:
    batch, _ = paused(sam)
    ana = signed_in(app, make_user("support", name="Ana Gruber"))
    ana.submit(ask(ana, batch).form(f"/batches/{batch}/go-on"))
    for path in ("/deliveries", "/"):
        (line,) = lines(ana.get(path))
        name, who, *_ = CLOCK.sub("12:34", line).split(" · ")
        assert name == "Your bulk retry of Sync to ERP"
        assert who == "started 12:34 by Sam Okoro"
    (row,) = ana.get("/batches").rows()
    assert row[1].endswith("By Sam Okoro")


def ask(pages: Pages, batch: UUID) -> Page:
    """Open the question before another person's bulk retry is resumed."""
    page = pages.get(f"/batches/{batch}")
    assert page.links("Resume") == [f"/batches/{batch}/go-on"]
    return pages.get(f"/batches/{batch}/go-on")


def test_resuming_anothers_bulk_retry_asks_and_ones_own_does_not(
    app: Flask, support: Pages, sam: Person
) -> None:
    batch, _ = paused(sam)
    go_on = f"/batches/{batch}/go-on"
    own = signed_in(app, sam)
    for path in ("/deliveries", "/batches", f"/batches/{batch}"):
        assert support.get(path).links("Resume") == [go_on]
        assert go_on not in [form.action for form in support.get(path).forms]
        assert own.get(path).form(go_on)
    page = ask(support, batch)
    assert page.h1 == "Resume this bulk retry?"
    assert "Sam Okoro’s bulk retry of Sync to ERP" in page.main
    assert page.links("Cancel") == [f"/batches/{batch}"]
    own.submit(own.get(f"/batches/{batch}").form(go_on))
    assert support.get(go_on).flashes == [("info", "There’s nothing to resume.")]


def test_the_empty_list_of_bulk_retries_says_so(support: Pages) -> None:
    page = support.get("/batches")
    assert "No bulk retries yet" in page.main
    assert support.client.get("/batches?cursor=x").status_code == 400


def test_log_and_start_page_show_a_line_during_a_bulk_retry(support: Pages, sam: Person) -> None:
    assert lines(support.get("/deliveries")) == []
    batch, made = paused(sam)
    for path in ("/deliveries", "/"):
        (line,) = lines(support.get(path))
        assert CLOCK.sub("12:34", line) == (
            "Sam Okoro’s bulk retry of Sync to ERP · started 12:34 · 10 failed, 2 left"
            " · Paused after 10 failures in a row."
        )
    page = support.get("/deliveries")
    assert "Bulk retries 1" in page.main
    page = support.submit(ask(support, batch).form(f"/batches/{batch}/go-on"))
    work()
    assert stored(made[11])["prior_status"] == "failed"
    assert "/go-on" not in support.get("/deliveries").html
    for delivery in made[10:]:
        finish(delivery, "delivered")
    work()
    assert lines(support.get("/deliveries")) == []


def test_the_rest_of_a_stopped_bulk_retry_can_be_retried_once(support: Pages, sam: Person) -> None:
    batch, made = paused(sam)
    bulk_retry.stop(sam.actor, batch)
    work()
    page = support.get("/batches")
    assert page.rows()[0][2:4] == ["Stopped", "10 failed, 2 not sent"]
    assert page.links("Retry the remaining 2") == [f"/deliveries/retry?rest={batch}"]
    page = support.get(f"/batches/{batch}")
    (button,) = [node for node in page.root.find_all("a") if "Retry the remaining" in node.text]
    assert button.get("class") == "btn btn-quiet", "someone has just stopped it"
    page = support.follow("Retry the remaining 2")
    assert page.h1 == "Retry 2 deliveries to Sync to ERP?"
    assert page.links("Bulk retry") == [f"/batches/{batch}"]
    page = support.submit(page.form())
    assert page.h1 == "Bulk retry of 2 deliveries to Sync to ERP"
    assert "The rest of a stopped bulk retry." in page.main
    work()
    assert [stored(delivery)["prior_status"] for delivery in made[10:]] == ["failed", "failed"]
    assert support.get("/batches").links("Retry the remaining 2") == []
    assert support.get(f"/batches/{batch}").links("Retry the remaining 2") == []


def test_the_rest_of_a_stopped_bulk_retry_keeps_its_pace(support: Pages, sam: Person) -> None:
    some(2, make_webhook())
    batch = bulk_retry.start(sam.actor, all_that(FAILED), Pace.SECOND)
    bulk_retry.stop(sam.actor, batch)
    page = support.get(f"/deliveries/retry?rest={batch}")
    assert "1 per second." in support.submit(page.form()).main


def test_deliveries_that_arrived_since_the_stop_are_not_retried(
    support: Pages, sam: Person
) -> None:
    made = some(13, make_webhook(name="Sync to ERP"))
    batch = bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    work()
    for delivery in made[:10]:
        finish(delivery, "failed")
    work()
    change(made[10], status="delivered")
    sentence = "1 of the 3 has been delivered since. 2 are left."
    for path in ("/deliveries", "/batches"):
        page = support.get(path)
        assert sentence in page.main, path
        assert page.links("Resume"), path
    bulk_retry.stop(sam.actor, batch)
    work()
    for path in ("/batches", f"/batches/{batch}"):
        page = support.get(path)
        assert sentence in page.main, path
    page = support.follow("Retry the remaining 2")
    assert page.h1 == "Retry 2 deliveries to Sync to ERP?"
    assert sentence in page.main


def test_a_second_bulk_retry_names_the_one_in_progress(support: Pages, sam: Person) -> None:
    made = some(3, make_webhook(name="Sync to ERP"), reason="server", code=500)
    bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    page = support.get(f"/deliveries/retry?delivery={made[0]}&delivery={made[1]}")
    assert page.h1 == "Nothing to retry"
    assert "Sam Okoro’s bulk retry of Sync to ERP is already sending 2 (3 left)." in page.main
    assert page.links("Sam Okoro’s bulk retry of Sync to ERP")
    assert "2 in another bulk retry" in page.main


def test_a_second_bulk_retry_leaves_out_a_paused_ones_deliveries(
    support: Pages, sam: Person
) -> None:
    paused(sam)
    page = support.get("/deliveries/retry?all=1&status=failed")
    assert page.h1 == "Retry 10 deliveries to Sync to ERP?"
    words = "Sam Okoro’s bulk retry of Sync to ERP is paused with 2 more (10 failed, 2 left)."
    assert words in page.main
    assert page.links("Resume")
