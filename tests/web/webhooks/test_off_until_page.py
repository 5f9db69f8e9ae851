"""Turning a webhook off until a time in the user's time zone."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import select

from portal.lib.clock import utcnow
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import session
from portal.services.operations import sending
from portal.services.webhooks import turn_on_off
from portal.web.webhooks import switch_views
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.pages import Page
from tests.web.signed_in import visit

LIST = "/settings/webhooks"
VIENNA = "Europe/Vienna"


def path_of(hook: Hook) -> str:
    return f"{LIST}/{hook.public_id}"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def until(hook: Hook) -> datetime | None:
    session().rollback()
    return session().scalar(select(Webhook.off_until).where(Webhook.id == hook.id))


Clock = Callable[[datetime], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Return a function that sets the time for this page alone, so that the session stays valid."""

    def set_to(now: datetime) -> None:
        monkeypatch.setattr(switch_views, "utcnow", lambda: now)
        monkeypatch.setattr(turn_on_off, "common_now", lambda: now)

    return set_to


def pills(page: Page) -> dict[str, tuple[str, bool]]:
    """Return each choice's value and whether it is selected, by its label."""
    labels = [node for node in page.root.find_all("label") if "pill" in node.get("class").split()]
    boxes = [(node.text, node.find_all("input")[0]) for node in labels]
    return {words: (box.get("value"), box.has("checked")) for words, box in boxes}


@pytest.mark.parametrize(
    ("now", "offered"),
    [
        ("2030-03-28T11:00", ["Tomorrow Fri, Mar 29", "Monday Mon, Apr 1", "1 week Thu, Apr 4"]),
        # After midnight in Vienna.
        ("2030-03-28T23:30", ["Tomorrow Sat, Mar 30", "Monday Mon, Apr 1", "1 week Fri, Apr 5"]),
        ("2030-03-31T10:00", ["Tomorrow Mon, Apr 1", "1 week Sun, Apr 7"]),
        ("2030-04-01T05:00", ["Tomorrow Tue, Apr 2", "Monday Mon, Apr 8"]),
    ],
)
def test_offered_mornings_are_in_the_users_time_zone(
    app: Flask, clock: Clock, now: str, offered: list[str]
) -> None:
    clock(at(now))
    page = visit(app, time_zone=VIENNA).get(f"{path_of(make_webhook())}/off")
    first, *mornings, last = pills(page)
    assert (first, last) == ("Someone turns it on", "On a date…")
    assert mornings == [f"{words}, 08:00" for words in offered]


def test_a_morning_after_on_hold_deliveries_expire_is_not_offered(app: Flask, clock: Clock) -> None:
    hook = make_webhook(state="off", off_reason="person", off_at=at("2030-03-01T00:00"))
    publish()
    clock(at("2030-03-28T11:00"))
    page = visit(app, time_zone=VIENNA).get(f"{path_of(hook)}/off")
    assert "Tomorrow Fri, Mar 29, 08:00" in pills(page)
    assert len(pills(page)) == 3


def test_a_webhook_is_turned_off_until_monday(app: Flask) -> None:
    pages, hook = visit(app, time_zone=VIENNA), make_webhook(name="ERP")
    publish()
    pages.get(path_of(hook))
    page = pages.follow("Turn off…")
    assert page.title.startswith("Turn off ERP?")
    assert pills(page)["Someone turns it on"] == ("", True)
    monday = next(value for words, (value, _) in pills(page).items() if words.startswith("Monday"))
    page = pages.submit(page.form(page.path), "Turn off", until=monday)
    assert until(hook) == datetime.fromisoformat(monday).replace(tzinfo=ZoneInfo(VIENNA))
    assert page.flashes[0][1].startswith("ERP turned off until Mon, ")
    assert ", until Mon, " in page.main
    assert "1 delivery is on hold. We’ll turn it on then and send everything on hold." in page.main
    assert "Off until Mon, " in pages.get(LIST).rows()[0][2]
    assert f", {monday[-5:]}" in pages.get("/deliveries").rows()[0][6]


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("2030-03-30T02:30", "2030-03-30T01:30"),
        ("2030-03-31T01:59", "2030-03-31T00:59"),
        ("2030-03-31T03:00", "2030-03-31T01:00"),
        ("01.04.2030 08:00", "2030-04-01T06:00"),
        ("2030-10-27T02:30", "2030-10-27T00:30"),  # occurs twice, the first counts
        ("2030-10-27T03:00", "2030-10-27T02:00"),
    ],
)
def test_a_time_is_read_in_the_users_zone_around_dst_changes(
    app: Flask, clock: Clock, typed: str, stored: str
) -> None:
    hook, pages = make_webhook(), visit(app, time_zone=VIENNA)
    clock(at(stored) - timedelta(days=2))
    form = pages.get(f"{path_of(hook)}/off").form(f"{path_of(hook)}/off")
    page = pages.submit(form, until="other", off_until=typed)
    assert (page.tone, until(hook)) == ("success", at(stored))


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"until": "other"}, "Enter a date and time"),
        ({"until": "soon"}, "Enter a date and time"),
        ({"until": "", "off_until": "2030-04-01T08:00"}, "Select “On a date…” above"),
        ({"until": "other", "off_until": "Monday"}, "Enter the time as date and time"),
        ({"until": "other", "off_until": "2030-02-31T08:00"}, "There is no"),
        ({"until": "other", "off_until": "2030-03-31T02:30"}, "the clocks skip that night"),
        ({"until": "other", "off_until": "2020-03-31T02:30"}, "Choose a time in the future"),
        ({"until": "2020-03-31T08:00"}, "Choose a time in the future"),
        ({"until": "other", "off_until": "2099-03-31T08:00"}, "before on-hold deliveries expire"),
    ],
)
def test_an_invalid_time_is_refused_at_its_field(
    app: Flask, given: dict[str, str], error: str
) -> None:
    hook = make_webhook()
    pages = visit(app, time_zone=VIENNA)
    form = pages.get(f"{path_of(hook)}/off").form(f"{path_of(hook)}/off")
    page = pages.submit(form, **given)
    assert (page.status, page.wrong) == (400, ["off_until"])
    assert error in page.errors[0]
    assert until(hook) is None


def test_a_script_can_omit_the_choice(app: Flask) -> None:
    pages, timed, for_good = visit(app, time_zone=VIENNA), make_webhook(), make_webhook()
    tomorrow = utcnow().astimezone(ZoneInfo(VIENNA)) + timedelta(days=1)
    for hook, typed in ((timed, f"{tomorrow:%Y-%m-%dT%H:%M}"), (for_good, None)):
        pages.submit(
            pages.get(f"{path_of(hook)}/off").form(f"{path_of(hook)}/off"),
            until=None,
            off_until=typed,
        )
    assert (until(timed), until(for_good)) == (tomorrow.replace(second=0, microsecond=0), None)
    assert [row[1] for row in pages.get(LIST).rows()] == ["Off", "Off"]


def off_since_yesterday(name: str, **columns: Any) -> Hook:
    """Make a webhook whose off time ended an hour ago."""
    past = {"off_at": utcnow() - timedelta(days=1), "off_until": utcnow() - timedelta(hours=1)}
    return make_webhook(name=name, state="off", off_reason="person", **past, **columns)


def test_a_webhook_still_off_after_its_time_says_why(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare, signed = off_since_yesterday("Bare"), off_since_yesterday("Signed", secret="a secret")
    pages = visit(app)
    assert "We’re about to turn it on." in pages.get(path_of(bare)).main
    sending.stop(make_user().actor)
    assert "We’ll turn it on when sending resumes." in pages.get(path_of(bare)).main
    Keys(app, monkeypatch).become(NEW_KEY)
    page = pages.get(path_of(signed))
    assert "We can’t turn it on because its secret key can’t be decrypted." in page.main
    for _, _, details, *_ in pages.get(LIST).rows():
        assert details.startswith("Should have turned on ")


def test_the_time_can_be_changed_while_the_webhook_is_off(app: Flask) -> None:
    hook, pages = make_webhook(name="ERP"), visit(app, time_zone=VIENNA)
    turn_on_off.turn_off(make_user().actor, hook.public_id, utcnow() + timedelta(days=2))
    pages.get(path_of(hook))
    page = pages.follow("Stay off until…")
    assert page.h1 == "How long should ERP stay off?"
    assert pills(page)["On a date…"] == ("other", True)
    # Without scripts, the form also sends the date that is hidden beside a choice.
    page = pages.submit(page.form(page.path), "Save", until="")
    assert until(hook) is None
    assert "New events are on hold for 30 days" in page.main
    trail = pages.get(f"{path_of(hook)}/history").main
    assert "changed when this webhook is turned on" in trail


def test_an_automatically_turned_off_webhook_gets_no_time(app: Flask) -> None:
    hook, pages = make_webhook(state="off", off_reason="gone", off_at=utcnow()), visit(app)
    assert pages.get(path_of(hook)).links("Stay off until…") == []
    page = pages.post(f"{path_of(hook)}/off", {"off_until": "2099-03-31T08:00"})
    assert page.errors == ["We turned this webhook off. Turn it on when the receiver is ready"]


@pytest.mark.parametrize("role", ["admin", "support"])
def test_on_hold_deliveries_are_announced_for_that_time(app: Flask, role: str) -> None:
    hook = make_webhook(name="ERP")
    turn_on_off.turn_off(make_user().actor, hook.public_id, utcnow() + timedelta(days=2))
    publish()
    pages = visit(app, role)
    page = pages.get("/deliveries")
    (path,) = {link for link in page.links() if link.startswith("/deliveries/0")}
    main = pages.get(path.partition("?")[0]).main
    assert "“ERP” is off until " in main
    assert "We’ll send this delivery then." in main
    assert "urn on the webhook if this can’t wait." in main
    main = pages.get(path_of(hook)).main
    assert ("Next step" in main) is (role == "admin")
    assert ("Turn the webhook on if it’s needed sooner." in main) is (role == "admin")
