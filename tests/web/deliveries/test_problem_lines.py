"""Problems above the log: each line opens exactly what it counts, and retries it."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import frozen, utcnow
from portal.lib.paging import Cursor
from portal.models.audit import AuditEntry
from portal.services.core.unit_of_work import session
from portal.web.frame.layout import icon
from tests.support.deliveries import change, make_delivery
from tests.support.factories import make_webhook
from tests.support.pages import Page, Pages
from tests.web.home.test_home import problems
from tests.web.signed_in import visit

NOON = datetime(2025, 5, 4, 12, 0, tzinfo=UTC)


@pytest.fixture
def support(app: Flask) -> Pages:
    """Support staff, signed in."""
    return visit(app, "support")


def drawn(page: Page) -> list[str]:
    """What is drawn in front of each problem."""
    return re.findall(r'<li class="problem problem-\w+">(<svg.*?</svg>)', page.html)


def broken(name: str = "Finance depreciation", **columns: object) -> None:
    """Three that failed for good, and one that is still retried."""
    hook = make_webhook(name=name, failures_in_row=7, **columns)
    for hours in (9, 5, 0):
        at = NOON - timedelta(hours=hours)
        make_delivery(hook, status="failed", reason="server", code=500, created_at=at)
    make_delivery(
        hook, status="retrying", reason="server", code=500, tries=4, created_at=NOON, due_at=NOON
    )


def test_a_line_says_where_why_how_many_when_and_how_it_goes_on(app: Flask) -> None:
    pages = visit(app, "support")
    with frozen(NOON + timedelta(hours=1)):
        broken()
        page = pages.get("/deliveries")
    (line,) = problems(page)
    assert drawn(page) == [icon("x-octagon-fill")]
    expected = (
        "Finance depreciation · Server error (500) · 4 deliveries"
        " · 4 May 2025, 05:00 to 4 May 2025, 14:00"
    )
    assert line == f"{expected} · none has arrived since"


def test_open_shows_exactly_those_and_retry_asks_about_exactly_those(support: Pages) -> None:
    broken()
    broken("Helpdesk")
    page = support.get("/deliveries")
    (opened, _), (retry, _) = page.links("Open"), page.links("Retry 4")
    page = support.get(opened)
    assert len(page.rows()) == 4
    assert {row[3] for row in page.rows()} == {"Finance depreciation"}
    assert [line.split(" · ")[0] for line in problems(page)] == ["Finance depreciation"]
    assert page.links("Open") == []
    page = support.get(retry)
    assert page.h1 == "Retry 4 deliveries?"
    assert "Finance depreciation, Server error (500)" in page.main
    page = support.submit(page.form())
    assert page.h1 == "Retry to Finance depreciation, Server error (500)"
    started = session().scalars(select(AuditEntry.action)).all()
    assert started[-1] == "batch.started"


def test_a_problem_that_is_resolved_has_no_line(support: Pages) -> None:
    made = make_delivery(make_webhook(name="Desk"), status="failed", reason="dns")
    assert len(problems(support.get("/deliveries"))) == 1
    change(made, status="delivered", reason=None)
    assert problems(support.get("/deliveries")) == []


def test_who_may_only_read_sees_the_problems_and_opens_them(app: Flask) -> None:
    broken()
    pages = visit(app, "manager")
    page = pages.get("/deliveries")
    assert len(problems(page)) == 1
    assert (len(page.links("Open")), page.links("Retry 4")) == (1, [])
    assert not re.search(r"Dismiss (\d|selected)", page.main)


def test_they_stand_where_the_log_shows_them_and_nowhere_else(support: Pages) -> None:
    broken()
    for query in ("", "?status=attention", "?reason=receiver_problem", "?code=5xx"):
        assert len(problems(support.get(f"/deliveries{query}"))) == 1, query
    for query in (
        "?status=delivered",
        "?time=hour",
        "?reason=dns",
        "?code=404",
        "?q=AST",
        "?code=x",
    ):
        assert problems(support.get(f"/deliveries{query}")) == [], query


def test_what_waits_for_a_receiver_says_when_it_is_retried(support: Pages) -> None:
    now = utcnow()
    away = {"throttled": True, "backoff_until": now + timedelta(minutes=84), "failures_in_row": 9}
    hook = make_webhook(name="Door", **away)
    for _ in range(2):
        make_delivery(hook, created_at=now - timedelta(days=1))
    page = support.get("/deliveries")
    (line,) = problems(page)
    assert drawn(page) == [icon("pause-fill")]
    told = "Door · paused: the receiver asked us to wait · 2 deliveries · yesterday "
    assert line.startswith(told)
    assert re.search(r" · first attempt not before (\d+ \w{3}, )?[0-2]\d:[0-5]\d$", line)
    page = support.follow("Open")
    assert len(page.rows()) == 2
    assert "Reason: No attempt yet" in page.main


def test_it_says_that_deliveries_arrive_again_only_where_one_has(support: Pages) -> None:
    now = utcnow()
    for name, arrived in (("Never", None), ("Before", -9), ("Since", -1)):
        at = None if arrived is None else now + timedelta(minutes=arrived)
        hook = make_webhook(name=name, last_delivered_at=at)
        failed_at = now - timedelta(minutes=5)
        make_delivery(hook, status="failed", reason="dns", finished_at=failed_at)
    told = {line.split(" · ")[0]: line for line in problems(support.get("/deliveries"))}
    ends = {name: line.endswith("deliveries arrive again") for name, line in told.items()}
    assert ends == {"Never": False, "Before": False, "Since": True}


def test_two_stand_in_sight_and_the_others_are_folded_away(support: Pages) -> None:
    hooks = {name: make_webhook(name=name) for name in ("Access", "Books", "Cost centres", "Door")}
    for hook in list(hooks.values())[:3]:
        make_delivery(hook, status="failed", reason="dns")
    page = support.get("/deliveries")
    # One alone would take as much room folded away.
    assert "more problem" not in page.main
    make_delivery(hooks["Door"], status="failed", reason="dns")
    page = support.get("/deliveries")
    assert len(problems(page)) == 4
    assert folded(page) == "2 more problems: Cost centres 1, Door 1"
    for reason in ("auth", "server"):
        make_delivery(hooks["Door"], status="failed", reason=reason, finished_at=NOON)
    # Each name once, with all that stands still there.
    assert folded(support.get("/deliveries")) == "4 more problems: Cost centres 1, Door 3"
    in_turn = make_webhook(name="Zone", in_order=True)
    make_delivery(in_turn, status="retrying", reason="auth", code=401, tries=4)
    for _ in range(3):
        make_delivery(in_turn)
    # Four stand still there, for the one that goes first.
    page = support.get("/deliveries")
    assert problems(page)[0].startswith("Zone · ")
    make_delivery(make_webhook(name="Yard"), status="failed", reason="dns")
    assert "Zone" not in folded(support.get("/deliveries"))


def folded(page: Page) -> str:
    """What stands in place of those that are folded away."""
    (more,) = [each for each in page.root.find_all("details") if "problems" in each.get("class")]
    return more.find_all("summary")[0].text


def test_a_webhook_that_was_deleted_has_no_page_to_go_to(support: Pages) -> None:
    hook = make_webhook(name="Gone", deleted_at=utcnow())
    make_delivery(hook, status="failed", reason="dns")
    page = support.get("/deliveries")
    assert problems(page)[0].endswith("webhook deleted")
    assert page.links("Retry 1") == []
    assert "/settings/webhooks" not in "".join(page.links("Gone"))


def test_they_stand_on_the_first_page_of_the_log_alone(support: Pages) -> None:
    for _ in range(2):
        make_delivery(status="failed", reason="dns")
    older = Cursor((2,)).encode()
    assert len(problems(support.get("/deliveries"))) == 2
    page = support.get(f"/deliveries?cursor={older}")
    assert (len(page.rows()), problems(page)) == (1, [])
