"""The reason why a webhook is off, and the warning before we turn it off."""

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from portal.engine.circuit_breaker import NOTICE, PATIENCE
from portal.engine.events.catalogue import CATALOGUE
from portal.lib.clock import utcnow
from portal.services.core.time_zones import moment_words
from tests.support.factories import Hook, make_webhook, publish
from tests.support.pages import Pages
from tests.web.signed_in import visit

LIST = "/settings/webhooks"


def off(reason: str) -> Hook:
    at = utcnow() - timedelta(hours=2)
    url = "https://erp.example.com/hook"
    return make_webhook(url, name="Sync", state="off", off_reason=reason, off_at=at)


@pytest.mark.parametrize(
    ("reason", "listed", "said"),
    [
        (
            "person",
            "Turned off manually",
            "Someone turned it off 2 hours ago.",
        ),
        (
            "failing",
            "Turned off automatically: nothing delivered for 5 days",
            "Turned off automatically 2 hours ago. No delivery to erp.example.com succeeded for 5",
        ),
        (
            "gone",
            "Turned off automatically: URL permanently closed",
            "Turned off automatically 2 hours ago. Sync permanently closed its URL.",
        ),
    ],
)
def test_list_and_page_say_who_turned_it_off_and_why(
    app: Flask, reason: str, listed: str, said: str
) -> None:
    hook, pages = off(reason), visit(app)
    assert pages.get(LIST).rows()[0][1:3] == ["Off", f"{listed}Gets 1 of {len(CATALOGUE)} events"]
    main = pages.get(f"{LIST}/{hook.public_id}").main
    assert said in main
    assert "New events are on hold" in main


@pytest.mark.parametrize("reason", ["gone", "failing", "person"])
def test_turning_on_warns_while_the_url_is_still_the_closed_one(pages: Pages, reason: str) -> None:
    at = utcnow() - timedelta(hours=2)
    url = "https://erp.example.com/hook"
    hook = make_webhook(url, name="Sync", state="off", off_reason=reason, off_at=at)
    publish()
    path, edit = f"{LIST}/{hook.public_id}", f"{LIST}/{hook.public_id}/edit"
    warning = "Sync permanently closed this URL."
    pages.get(path)
    page = pages.follow("Turn on")
    assert (warning in page.main) is (reason == "gone")
    assert (page.links("Edit the webhook") == [edit]) is (reason == "gone")
    pages.submit(pages.get(edit).form(edit), url="https://erp.example.com/new")
    assert warning not in pages.get(f"{path}/on").main


SOON = "We’ll turn it off on {} unless a delivery succeeds."


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (NOTICE + timedelta(minutes=5), ""),
        (NOTICE - timedelta(minutes=5), SOON),
        (timedelta(hours=1), SOON),
        (timedelta(hours=-1), "We’ll turn it off if the next attempt fails."),
    ],
)
def test_automatic_turn_off_is_announced_two_days_before(
    app: Flask, left: timedelta, words: str
) -> None:
    end = utcnow() + left
    hook = make_webhook(failures_in_row=9, failing_since=end - PATIENCE)
    pages = visit(app, "support")
    main = pages.get(f"{LIST}/{hook.public_id}").main
    assert ("We’ll turn it off" in main) is bool(words)
    assert words.format(moment_words(end, ZoneInfo("Europe/Vienna"))) in main
    assert ("Turns off " in " ".join(pages.get(LIST).rows()[0])) is bool(words)


def test_no_turn_off_is_announced_for_an_off_or_healthy_webhook(app: Flask) -> None:
    failing = {"failures_in_row": 9, "failing_since": utcnow() - PATIENCE}
    gone, well = make_webhook(state="off", **failing), make_webhook()
    pages = visit(app)
    for hook in (gone, well):
        assert "We’ll turn it off" not in pages.get(f"{LIST}/{hook.public_id}").main
