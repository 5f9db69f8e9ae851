"""Bulk retries as things: their list, the line above the log, what remains, and whose they are."""

import re
from uuid import UUID

import pytest
from flask import Flask

from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from tests.services.bulk_retry.test_bulk_retries import stopped_after_one
from tests.services.bulk_retry.test_bulk_retry import FAILED, all_that, finish, some, work
from tests.support.deliveries import stored
from tests.support.factories import Person, make_user, make_webhook
from tests.support.pages import Page, Pages
from tests.web.bulk_retry.test_bulk_retry_pages import confirm
from tests.web.signed_in import signed_in, visit

CLOCK = re.compile(r"\d\d:\d\d")


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


@pytest.fixture
def sam(app: Flask) -> Person:
    return make_user("support", name="Sam Okoro")


def interrupted(sam: Person) -> tuple[UUID, list[UUID]]:
    """Sam's, of which ten failed in a row and two remain."""
    made = some(12, make_webhook(name="Sync to ERP"), reason="server", code=500)
    batch = bulk_retry.start(sam.actor, all_that(FAILED))
    work()
    for each in made[:10]:
        finish(each, "failed")
    work()
    return batch, made


def lines(page: Page) -> list[str]:
    """The lines of bulk retries under way."""
    found = [node for node in page.root.find_all("li") if node.get("class") == "batch"]
    return [node.find_all("p")[0].text for node in found]


def test_all_of_them_stand_in_a_tab_with_who_what_and_how_far(support: Pages, sam: Person) -> None:
    interrupted(sam)
    page = support.get("/deliveries").links("Bulk retries")
    assert page == ["/batches"]
    page_of_all = support.get("/batches")
    (row,) = page_of_all.rows()
    assert row[0] == "All with status Failed"
    assert row[1].startswith("Sam Okoro")
    assert row[2:5] == ["Interrupted", "10 of 12 10 of 12", "10 failed in a row"]
    assert page_of_all.here == ["Deliveries 12 undelivered", "Bulk retries 1"]


def test_the_lists_say_who_started_one_and_that_somebody_else_continued_it(
    app: Flask, sam: Person
) -> None:
    batch, _ = interrupted(sam)
    ana = signed_in(app, make_user("support", name="Ana Gruber"))
    ana.submit(ask(ana, batch).form(f"/batches/{batch}/go-on"))
    for path in ("/deliveries", "/"):
        (line,) = lines(ana.get(path))
        who = CLOCK.sub("12:34", line).split(" · ")[1:3]
        assert who == ["Sam Okoro, 12:34", "continued by Ana Gruber"]
    (row,) = ana.get("/batches").rows()
    assert row[1].startswith("Sam Okoro")
    assert row[1].endswith("Continued by Ana Gruber")


def ask(pages: Pages, batch: UUID) -> Page:
    """The question before another person's bulk retry is continued."""
    page = pages.get(f"/batches/{batch}")
    assert page.links("Retry the remaining 2") == [f"/batches/{batch}/go-on"]
    return pages.get(f"/batches/{batch}/go-on")


def test_another_persons_is_continued_after_a_question_and_ones_own_at_once(
    app: Flask, support: Pages, sam: Person
) -> None:
    batch, _ = interrupted(sam)
    go_on = f"/batches/{batch}/go-on"
    own = signed_in(app, sam)
    for path in ("/deliveries", "/batches", f"/batches/{batch}"):
        assert support.get(path).links("Retry the remaining 2") == [go_on]
        assert go_on not in [form.action for form in support.get(path).forms]
        assert own.get(path).form(go_on)
    page = ask(support, batch)
    assert page.h1 == "Retry the remaining 2?"
    assert "This is a bulk retry of Sam Okoro." in page.main
    assert page.links("Cancel") == [f"/batches/{batch}"]
    own.submit(own.get(f"/batches/{batch}").form(go_on))
    assert "There is nothing to continue" in support.get(go_on).text


def test_without_any_the_list_says_how_one_begins(support: Pages) -> None:
    page = support.get("/batches")
    assert "No bulk retries yet" in page.main
    assert support.client.get("/batches?cursor=x").status_code == 400


def test_a_line_above_the_log_and_on_the_start_page_as_long_as_one_is_under_way(
    support: Pages, sam: Person
) -> None:
    assert lines(support.get("/deliveries")) == []
    batch, made = interrupted(sam)
    for path in ("/deliveries", "/"):
        (line,) = lines(support.get(path))
        assert CLOCK.sub("12:34", line) == (
            "Retry all with status Failed · Sam Okoro, 12:34 · 10 of 12 · 10 failed in a row"
        )
    page = support.get("/deliveries")
    assert "Bulk retries 1" in page.main
    page = support.submit(ask(support, batch).form(f"/batches/{batch}/go-on"))
    work()
    assert stored(made[11])["prior_status"] == "failed"
    assert "Retry the remaining" not in support.get("/deliveries").main
    for each in made[10:]:
        finish(each, "delivered")
    work()
    assert lines(support.get("/deliveries")) == []


def test_what_a_stopped_one_left_is_retried_through_the_question_once(
    support: Pages, sam: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, made = interrupted(sam)
    bulk_retry.stop(sam.actor, batch)
    work()
    page = support.get("/batches")
    assert page.rows()[0][2:5] == ["Stopped", "10 of 12 10 of 12", "2 were not sent"]
    assert page.links("Retry the remaining 2") == [f"/deliveries/retry?rest={batch}"]
    page = support.get(f"/batches/{batch}")
    page = support.follow("Retry the remaining 2")
    assert page.h1 == "Retry 2 deliveries?"
    assert page.links("Bulk retry") == [f"/batches/{batch}"]
    page = support.submit(page.form())
    assert page.h1 == "Retry what a stopped bulk retry did not send"
    work()
    assert [stored(each)["prior_status"] for each in made[10:]] == ["failed", "failed"]
    assert support.get("/batches").links("Retry the remaining 2") == []
    assert support.get(f"/batches/{batch}").links("Retry the remaining 2") == []


def test_who_may_not_retry_sees_what_remains_and_no_button(app: Flask, sam: Person) -> None:
    batch, _ = interrupted(sam)
    pages = visit(app, "manager")
    assert lines(pages.get("/deliveries"))
    for path in ("/deliveries", "/batches", f"/batches/{batch}"):
        assert "Retry the remaining" not in pages.get(path).main


def test_a_second_one_hears_who_retries_these_now(support: Pages, sam: Person) -> None:
    made = some(3, make_webhook(name="Sync to ERP"), reason="server", code=500)
    bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    page = support.get("/deliveries/retry?all=1&status=failed")
    assert "Sam Okoro has just started another bulk retry." in page.main
    work()
    page = support.get(f"/deliveries/retry?delivery={made[0]}&delivery={made[1]}")
    assert page.h1 == "Nothing to retry"
    assert "2 are in a bulk retry of Sam Okoro, which sends them." in page.main
    assert page.links("Retry 3 selected deliveries")
    assert "2 in another bulk retry that has not ended" in page.main


def test_a_second_one_hears_of_one_that_was_interrupted_and_takes_the_others(
    app: Flask, support: Pages, sam: Person
) -> None:
    interrupted(sam)
    page = support.get("/deliveries/retry?all=1&status=failed")
    assert page.h1 == "Retry 10 deliveries?"
    words = "2 more are in a bulk retry of Sam Okoro, which was interrupted."
    assert words in page.main
    assert "(Interrupted, 10 of 12)" in page.main
    assert "Retry the remaining 2" in page.main


def test_it_says_you_where_the_first_one_is_ones_own(
    support: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_retry, "MOST_UNDER_WAY", 1)
    some(2, make_webhook())
    confirm(support, "all=1")
    page = support.get("/deliveries/retry?all=1")
    assert "You have just started another bulk retry." in page.main
    work()
    words = "2 are in a bulk retry of yours, which sends them."
    assert words in support.get("/deliveries/retry?all=1").main
    some(1, make_webhook())
    page = support.get("/deliveries/retry?all=1")
    assert (page.h1, words.replace("2", "2 more", 1) in page.main) == ("Retry 1 delivery?", True)


def test_the_heading_says_the_filter_in_words(support: Pages) -> None:
    hook = make_webhook(name="Sync")
    some(2, hook, reason="server", code=500)
    page = confirm(support, f"all=1&webhook={hook.public_id}&reason=server&code=500")
    assert page.h1 == "Retry to Sync, Server error (500)"


def test_one_under_way_that_is_older_hides_nothing_of_who_took_up_a_rest(
    support: Pages, sam: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    bulk_retry.start(sam.actor, Selection(ticked=tuple(some(1, make_webhook()))))
    batch = stopped_after_one(sam.actor, some(3, make_webhook()), monkeypatch)
    bulk_retry.start(sam.actor, Selection(rest_of=batch))
    monkeypatch.setattr(bulk_retry, "MOST_LATER", 1)
    assert "Retry the remaining" not in support.get("/batches").main
