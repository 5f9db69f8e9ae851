"""Some deliveries of a problem are put aside: ticked in the log, or on the page of one."""

from collections.abc import Sequence
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from flask import Flask

from portal.models.deliveries import Priority
from portal.services.core.permissions import SYSTEM
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending
from tests.services.bulk_retry.test_bulk_retry import work
from tests.support.deliveries import make_delivery
from tests.support.factories import make_user, make_webhook
from tests.support.pages import Form, Page, Pages
from tests.web.home.test_home import problems
from tests.web.signed_in import visit

RETRY, CHOSEN = "/deliveries/retry", "/deliveries/problems/dismiss-selected"
GROUP, BRING_BACK = "/deliveries/problems/dismiss", "/deliveries/problems/bring-back"
SELECTED = "Dismiss selected"
BACK = "/deliveries/problems/bring-back-selected"


def broken(count: int = 12) -> list[UUID]:
    """So many that read the same."""
    hook = make_webhook(name="Finance", failures_in_row=7)
    failed = {"status": "failed", "reason": "server", "code": 500}
    return [make_delivery(hook, **failed) for _ in range(count)]


def in_part_retried(monkeypatch: pytest.MonkeyPatch) -> list[UUID]:
    """Five, of which Sam retries the first three: one is on its way, two wait for it."""
    monkeypatch.setattr("portal.services.deliveries.bulk_retry.MOST_UNDER_WAY", 1)
    made = broken(5)
    sam = make_user("support", name="Sam").actor
    bulk_retry.start(sam, Selection(ticked=tuple(made[:3])))
    work()
    return made


def bar(page: Page) -> Form:
    """What can be done with ticked rows."""
    return page.form(RETRY)


def press(pages: Pages, ids: Sequence[object], address: str = "/deliveries") -> Page:
    return pages.submit(bar(pages.get(address)), SELECTED, delivery=list(map(str, ids)))


def test_three_of_twelve_are_put_aside_and_brought_back(app: Flask) -> None:
    made = broken()
    pages = visit(app, "support", name="Sam")
    page = press(pages, made[2:5], "/deliveries?status=attention&sort=when")
    assert page.path == "/deliveries?status=attention&sort=when"
    words = "Dismissed. 3 deliveries stay Failed, and are no longer listed as problems."
    assert words in page.text
    assert "9 deliveries" in problems(page)[0]
    assert "Needs attention 9" in page.main
    assert len(page.rows()) == 9

    page = pages.get(page.links("Show dismissed")[0])
    (row,) = page.rows()
    assert row[:3] == ["Finance", "Server error", "3 selected"]
    assert row[3].endswith("by Sam")
    page = pages.get(f"/deliveries/{made[2]}")
    assert "by Sam: it stays Failed, and is not listed as a problem." in page.main
    assert "Retry" in page.main
    page = pages.submit(page.form(BACK))
    assert "Brought back. 1 delivery is listed as a problem again." in page.text
    assert "10 deliveries" in problems(pages.get("/deliveries"))[0]
    page = pages.submit(pages.get("/deliveries/problems/dismissed").form(BRING_BACK))
    assert "Brought back. 2 deliveries are listed as a problem again." in page.text
    assert "12 deliveries" in problems(pages.get("/deliveries"))[0]


def test_the_token_is_in_no_address_and_goes_with_the_button_that_needs_it(app: Flask) -> None:
    made = broken(2)
    pages = visit(app, "support")
    form = bar(pages.get("/deliveries"))
    assert form.buttons[:2] == ["Retry selected", SELECTED]
    assert "csrf_token" not in form.fields
    page = pages.submit(form, "Retry selected", delivery=list(map(str, made)))
    assert page.h1 == "Retry 2 deliveries?"
    assert "csrf_token" not in page.path
    (button,) = [each for each in form.node.find_all("button") if each.text == SELECTED]
    action = button.get("formaction")
    assert urlsplit(action).path == CHOSEN
    assert pages.client.post(action, data={"delivery": made}).status_code == 400
    assert len(pages.get("/deliveries?status=attention").rows()) == 2


def test_one_is_dismissed_on_its_page_and_the_other_is_not(app: Flask) -> None:
    made = broken(3)
    pages = visit(app, "support", name="Sam")
    page = pages.get(f"/deliveries/{made[1]}")
    page = pages.submit(page.form(CHOSEN))
    assert page.path == f"/deliveries/{made[1]}"
    words = "Dismissed. 1 delivery stays Failed, and is no longer listed as a problem."
    assert words in page.text
    assert "by Sam: it stays Failed" in page.main
    page = pages.get(f"/deliveries/{made[0]}")
    assert "Dismissed" not in page.main
    assert "Dismiss the 2 that failed for this reason" in page.main


def test_what_cannot_be_dismissed_is_left_out_in_words(app: Flask) -> None:
    made = broken(4)
    sam = make_user("support", name="Sam").actor
    bulk_retry.start(sam, Selection(ticked=tuple(made[:1])))
    work()
    pages = visit(app, "support")
    arrived = make_delivery(status="delivered")
    trial = make_delivery(status="failed", reason="dns", priority=Priority.TEST)
    page = press(pages, made[:1])
    assert "Nothing is dismissed: what was selected is being sent again" in page.text
    page = press(pages, [arrived, trial])
    assert "There is nothing to dismiss: only failed deliveries" in page.text
    assert "Tick the deliveries first." in press(pages, []).text
    page = press(pages, [*made[:3], arrived, trial])
    told = (
        "Dismissed. 2 deliveries stay Failed, and are no longer listed as problems. "
        "3 were not listed as problems."
    )
    assert told in page.text
    assert press(pages, ["soon"]).status == 400
    assert pages.submit(bar(pages.get("/deliveries")), SELECTED, delivery=made[3]).status == 200
    assert problems(pages.get("/deliveries")) == []


def test_a_whole_problem_says_which_of_it_go_out_all_the_same(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_part_retried(monkeypatch)
    pages = visit(app, "support")
    page = pages.submit(pages.get("/deliveries").form(GROUP))
    told = (
        "Dismissed. 2 deliveries stay Failed, and are no longer listed as a problem. "
        "2 more are being retried in a bulk retry: what fails again is a problem again."
    )
    assert told in page.text


def test_some_that_wait_in_a_bulk_retry_are_dismissed_as_a_whole_problem_is(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = in_part_retried(monkeypatch)
    pages = visit(app, "support")
    waits = [each for each in made[:3] if f"/{each}" in pages.get("/deliveries?status=failed").html]
    page = press(pages, [waits[0], made[4]])
    told = (
        "Dismissed. 1 delivery stays Failed, and is no longer listed as a problem. "
        "1 more is being retried in a bulk retry: what fails again is a problem again."
    )
    assert told in page.text
    page = pages.get(f"/deliveries/{waits[0]}")
    assert "it stays Failed, and is not listed as a problem." in page.main
    told = (
        "Dismissed. 1 delivery is no longer listed as a problem. It is still being retried in a "
        "bulk retry: what fails again is a problem again."
    )
    assert told in press(pages, waits[1:2]).text


def test_who_may_not_is_offered_nothing_and_a_list_without_a_failed_one_neither(
    app: Flask,
) -> None:
    (made,) = broken(1)
    assert SELECTED not in visit(app, "manager").get("/deliveries").main
    assert visit(app, "manager").client.post(CHOSEN).status_code in (400, 403)
    pages = visit(app, "support")
    make_delivery(status="delivered")
    assert SELECTED not in pages.get("/deliveries?status=delivered").main
    sending.stop(SYSTEM)
    page = pages.get("/deliveries")
    assert (bar(page).buttons[:1], "Retry selected" in page.main) == ([SELECTED], False)
    assert "Dismissed. 1 delivery" in press(pages, [made]).text


def test_what_was_chosen_is_brought_back_by_itself_and_a_whole_problem_is_not(app: Flask) -> None:
    made = broken(5)
    pages, other = visit(app, "support", name="Sam"), visit(app, "support", name="Ana")
    press(pages, made[:1])
    press(other, made[1:3])
    listed = "/deliveries?status=dismissed"
    form = bar(pages.get(listed))
    assert form.buttons[:2] == ["Retry selected", "Bring back selected"]
    page = pages.submit(form, "Bring back selected", delivery=str(made[0]))
    assert page.path == listed
    assert "Brought back. 1 delivery is listed as a problem again." in page.text
    assert [str(each) in page.html for each in made[:3]] == [False, True, True]
    assert "Tick the deliveries" in pages.submit(bar(page), "Bring back selected").text

    pages.submit(pages.get("/deliveries").form(GROUP))
    assert "Bring back the whole problem" in pages.get(f"/deliveries/{made[4]}").main
    page = pages.submit(bar(pages.get(listed)), "Bring back selected", delivery=str(made[4]))
    assert "Nothing is brought back: this was dismissed with a whole problem." in page.text
    later = make_delivery(make_webhook(name="Other"), status="failed", reason="gone", code=410)
    press(pages, [later])
    both = [str(later), str(made[4])]
    page = pages.submit(bar(pages.get(listed)), "Bring back selected", delivery=both)
    told = "1 delivery is listed as a problem again. 1 was dismissed with a whole problem, and is"
    assert told in page.text


def test_what_was_dismissed_is_listed_by_itself(app: Flask) -> None:
    made = broken(4)
    pages = visit(app, "support")
    page = press(pages, made[:2])
    page = pages.get(page.links("Show dismissed")[0])
    page = pages.get(page.links("Finance")[0])
    assert "Status: Dismissed" in page.main
    assert [str(each) in page.html for each in made] == [True, True, False, False]
    other = make_delivery(make_webhook(name="Other"), status="failed", reason="gone", code=410)
    pages.submit(pages.get("/deliveries?status=attention&reason=gone").form(GROUP))
    page = pages.get("/deliveries?status=dismissed")
    assert len(page.rows()) == 3
    assert str(other) in page.html
