"""“Now” is said of what is being sent, and of nothing that waits in a bulk retry."""

from datetime import timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Flask

from portal.lib.clock import utcnow
from portal.services.deliveries import bulk_retry, dismissals
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.operations import sending
from tests.services.bulk_retry.test_bulk_retry import finish, set_webhook, some, work
from tests.support.deliveries import free, lease, make_attempt, make_delivery
from tests.support.factories import Hook, make_user, make_webhook
from tests.support.pages import Pages
from tests.web.deliveries.test_delivery_parts import caller_text
from tests.web.home.test_home import troubled
from tests.web.signed_in import signed_in, visit

NOW = "It is being sent again now, in a bulk retry."
WHO = "Sam Okoro is retrying it now"


def away(name: str) -> Hook:
    """A receiver that is left alone for five minutes."""
    return make_webhook(name=name, throttled=True, backoff_until=utcnow() + timedelta(minutes=5))


def back(hook: Hook) -> None:
    """It responds again."""
    set_webhook(hook, throttled=False, backoff_until=None)


def test_what_is_finished_waits_and_is_tried_comes_to_the_whole(app: Flask) -> None:
    sync = away("Sync")
    made = some(9, sync, reason="unavailable", code=503)
    batch = bulk_retry.start(make_user("support").actor, Selection(ticked=tuple(made)))
    pages = visit(app, "support")

    def said() -> str:
        work()
        return pages.get(f"/batches/{batch}").main

    # One is handed over, and waits like the others.
    until = utcnow() + timedelta(minutes=4)
    set_webhook(sync, backoff_until=until)
    at = until.astimezone(ZoneInfo("Europe/Vienna"))
    page = said()
    assert "the 9 that are left here wait until one arrives: Sync" in page
    assert "from time to time, of these or others, the next one at" in page
    assert f"{at:%H:%M} or soon after" in page
    set_webhook(sync, backoff_until=utcnow() - timedelta(seconds=1))
    lease(made[0])
    page = said()
    assert "the 8 that are left here wait until one arrives; 1 is being tried now: Sync" in page
    free(made[0])
    finish(made[0], "failed")
    page = said()
    assert "1 of 9 finished. 1 failed." in page
    assert "of these or others; the 8 that are left here wait until one arrives: Sync" in page


def told(pages: Pages, made: UUID) -> tuple[str, str]:
    """The result of a delivery in the log, and its page."""
    page = pages.get(f"/deliveries?q={made}")
    (row,) = page.rows()
    result = next(cell for cell in row if "Server error" in cell)
    return result, pages.get(f"/deliveries/{made}").main


def test_what_waits_in_a_bulk_retry_is_not_said_to_be_sent_now(app: Flask) -> None:
    sync, door = away("Sync"), make_webhook(name="Door")
    made = [
        *some(12, sync, reason="server", code=500),
        *some(1, door, reason="server", code=500),
    ]
    for each in made[-2:]:
        make_attempt(each, reason="server", code=500)
    last, other = made[-2:]
    sam = make_user("support", name="Sam Okoro")
    batch = bulk_retry.start(sam.actor, Selection(ticked=tuple(made)))
    work()
    pages, own = visit(app, "support"), signed_in(app, sam)
    row, page = told(pages, last)
    assert row.endswith("It waits in the bulk retry of Sam Okoro")
    assert "It waits in the bulk retry of Sam Okoro." in page
    assert "Not delivered after" in page
    assert "Fix the cause" not in page
    shown = pages.get(f"/deliveries/{last}")
    assert pages.get(shown.links("the bulk retry of Sam Okoro")[0]).path == f"/batches/{batch}"
    assert ("It is going to be sent again, in a bulk retry." in page, NOW in page) == (True, False)
    assert told(own, last)[0].endswith("It waits in your bulk retry")
    back(sync)
    row, page = told(pages, last)
    assert (row.endswith(WHO), WHO in page, NOW in page) == (True, True, True)
    work()
    for each in made[:10]:
        finish(each, "failed")
    work()
    # Only there: to the other webhook it is sent.
    row, page = told(pages, last)
    assert row.endswith("It waits in the bulk retry of Sam Okoro, which was interrupted")
    assert "in a bulk retry that was interrupted: somebody has to continue it." in page
    assert NOW not in page
    assert told(own, last)[0].endswith("It waits in your bulk retry, which was interrupted")
    row, page = told(pages, other)
    assert (row.endswith(WHO), NOW in page) == (True, True)
    sending.stop(make_user("admin").actor)
    row, page = told(pages, other)
    assert row.endswith("It waits in the bulk retry of Sam Okoro")
    assert "We have stopped all sending for now. It is going to be sent again, in a bulk" in page


def test_the_caller_is_told_what_becomes_of_one_that_is_retried_anyhow(app: Flask) -> None:
    sync, in_an_hour = away("Sync"), utcnow() + timedelta(hours=1)
    others = some(12, sync, reason="server", code=500)
    (failed,) = some(1, sync, reason="server", code=500)
    retried = make_delivery(sync, status="retrying", reason="server", code=500, due_at=in_an_hour)
    for each in (failed, retried):
        make_attempt(each, reason="server", code=500)
    ticked = Selection(ticked=(*others, failed, retried))
    bulk_retry.start(make_user("support").actor, ticked)
    work()
    pages = visit(app, "support")
    for each, is_retried in ((failed, False), (retried, True)):
        told_the_caller = caller_text(pages.get(f"/deliveries/{each}"))
        assert "It is going to be sent again, in a bulk retry." in told_the_caller
        assert ("It is retried automatically, at " in told_the_caller) is is_retried


def test_a_problem_says_one_number_for_each_person_and_now_only_where_it_is_so(
    app: Flask,
) -> None:
    sync = away("Sync")
    made = some(12, sync, reason="server", code=500)
    sam, ana = (make_user("support", name=name) for name in ("Sam Okoro", "Ana Gruber"))
    parts_of = ((sam, made[:4]), (ana, made[4:6]), (sam, made[6:11]))
    for person, part in parts_of:
        bulk_retry.start(person.actor, Selection(ticked=tuple(part)))
        work()
    pages = signed_in(app, sam)
    # One of each is handed over: it waits like the others, and is tried once the receiver responds.
    page = pages.get("/deliveries")
    waits = "of these wait in your bulk retries", "of these wait in the bulk retry of Ana Gruber"
    number = troubled(page)[0][1]
    assert number.startswith("12 ")
    assert number.endswith(f" 9 {waits[0]} 2 {waits[1]}")
    (link,) = page.links("the bulk retry of Ana Gruber")
    assert pages.get(link).h1 == "Retry 2 selected deliveries"
    assert page.links("your bulk retries") == []
    dismissals.dismiss(sam.actor, Selection(ticked=(made[2], made[5])))
    number = troubled(pages.get("/deliveries"))[0][1]
    assert number.startswith("10 ")
    assert number.endswith(f" 8 {waits[0]} 1 of these waits in the bulk retry of Ana Gruber")
    dismissals.restore(sam.actor, [made[2], made[5]])
    back(sync)
    number = troubled(pages.get("/deliveries"))[0][1]
    words = "You are retrying 9 of these now Ana Gruber is retrying 2 of these now"
    assert number.endswith(words)
