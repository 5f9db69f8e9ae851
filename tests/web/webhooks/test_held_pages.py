"""Turning a webhook on with a choice of the on-hold deliveries to send."""

from typing import Any

from sqlalchemy import select

from portal.engine.reasons import Reason
from portal.extensions import db
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.webhooks import turn_on_off
from tests.jobs.dispatcher.delivery_clock import claim, ended, write_down
from tests.support.factories import Hook, make_user, make_webhook, publish
from tests.support.pages import Page, Pages


def held_for(hook: Hook) -> str:
    return f"/settings/webhooks/{hook.public_id}/held"


def off_with(count: int) -> Hook:
    hook = make_webhook(state="off")
    for number in range(count):
        publish(asset_id=number + 1)
    return hook


def statuses() -> list[str]:
    db.session.rollback()
    return list(db.session.scalars(select(Delivery.status).order_by(Delivery.id)))


def ids() -> list[str]:
    """Return public ids, oldest first."""
    return [
        str(delivery)
        for delivery in db.session.scalars(select(Delivery.public_id).order_by(Delivery.id))
    ]


def state(hook: Hook) -> str:
    db.session.rollback()
    return db.session.get_one(Webhook, hook.id).state


def decide(pages: Pages, page: Page, button: str = "Turn on", **chosen: Any) -> Page:
    return pages.submit(page.form(page.path.partition("?")[0]), button, **chosen)


def test_choosing_one_by_one_opens_a_list_and_changes_nothing(pages: Pages) -> None:
    hook = off_with(2)
    page = pages.get(f"/settings/webhooks/{hook.public_id}/on")
    for choice in ("Send them", "Choose one by one", "Dismiss them"):
        assert choice in page.main
    page = pages.submit(page.form(page.path), held="choose")
    assert page.path == held_for(hook)
    assert "2 deliveries are on hold. Select the ones to send." in page.main
    assert len(page.rows()) == 2
    assert (statuses(), state(hook)) == (["on_hold"] * 2, "off")


def test_selected_deliveries_are_sent_and_the_rest_is_kept(pages: Pages) -> None:
    hook = off_with(3)
    page = decide(pages, pages.get(held_for(hook)), send=[ids()[1]])
    assert page.flashes == [("success", f"{hook.name} turned on. We’re sending 1 delivery.")]
    assert (statuses(), state(hook)) == (["on_hold", "queued", "on_hold"], "active")


def test_deliveries_queued_by_turning_on_are_not_called_sent(pages: Pages) -> None:
    hook = off_with(3)
    path = f"/settings/webhooks/{hook.public_id}"
    page = pages.submit(pages.get(f"{path}/on").form(f"{path}/on"), held="send")
    assert page.flashes == [("success", f"{hook.name} turned on. We’re sending 3 deliveries.")]
    for delivery in claim(3):
        write_down(ended(delivery, Reason.AUTH))
    assert "Deliveries on hold queued: 3" in pages.get(f"{path}/history").main


def test_the_rest_is_dismissed_on_request(pages: Pages) -> None:
    hook = off_with(3)
    page = decide(pages, pages.get(held_for(hook)), send=[ids()[0]], rest="dismiss")
    assert "Dismissed 2 deliveries." in page.text
    assert statuses() == ["queued", "dismissed", "dismissed"]


def test_without_a_selection_no_delivery_is_announced(pages: Pages) -> None:
    hook = off_with(2)
    page = decide(pages, pages.get(held_for(hook)))
    assert "turned on. Its deliveries stay on hold." in page.text
    turn_on_off.turn_off(make_user().actor, hook.public_id)
    page = decide(pages, pages.get(held_for(hook)), rest="dismiss")
    assert "Dismissed 2 deliveries." in page.text


def test_selections_are_kept_across_pages(pages: Pages) -> None:
    hook = off_with(52)
    every = ids()
    page = decide(pages, pages.get(held_for(hook)), "Older", send=[every[-1]])
    assert "1 delivery on other pages selected." in page.main
    assert len(page.rows()) == 2
    assert state(hook) == "off"
    already = page.form(held_for(hook)).fields["send"]
    page = decide(pages, page, send=[*already, every[0]], rest="dismiss")
    assert "We’re sending 2 deliveries." in page.text
    assert "Dismissed 50 deliveries." in page.text
    assert (statuses()[0], statuses()[-1]) == ("queued", "queued")


def test_new_events_must_be_reviewed_before_deciding(pages: Pages) -> None:
    hook = off_with(1)
    page = pages.get(held_for(hook))
    publish(asset_id=9)
    page = decide(pages, page, send=ids()[:1], rest="dismiss")
    assert page.status == 400
    assert "New events arrived while you were choosing" in page.errors[0]
    assert (statuses(), state(hook)) == (["on_hold", "on_hold"], "off")
    decide(pages, page, rest="dismiss")
    assert statuses() == ["queued", "dismissed"]


def test_a_malformed_marker_of_seen_deliveries_is_refused(pages: Pages) -> None:
    hook = off_with(1)
    page = pages.get(held_for(hook))
    for typed in ("x", "\u00b2", "9" * 5000):
        refused = decide(pages, page, newest=typed, count=typed, rest="dismiss")
        assert (refused.status, statuses()) == (400, ["on_hold"]), typed[:9]


def test_a_delivery_in_progress_at_turn_off_must_be_reviewed_too(pages: Pages) -> None:
    """Older than the listed delivery, it goes on hold only when its attempt fails."""
    hook = make_webhook()
    publish(asset_id=1)
    (sending,) = claim()
    publish(asset_id=2)
    turn_on_off.turn_off(make_user().actor, hook.public_id)
    page = pages.get(held_for(hook))
    assert len(page.rows()) == 1
    write_down(ended(sending, Reason.SERVER))
    page = decide(pages, page, send=ids()[1:], rest="dismiss")
    assert "New events arrived while you were choosing" in page.errors[0]
    assert (statuses(), state(hook)) == (["on_hold", "on_hold"], "off")
    decide(pages, page, send=ids()[1:], rest="dismiss")
    assert statuses() == ["dismissed", "queued"]


def test_another_webhooks_deliveries_cannot_be_sent_from_here(pages: Pages) -> None:
    hook = off_with(1)
    other = make_webhook(state="off")
    publish()
    theirs = db.session.scalars(
        select(Delivery.public_id).where(Delivery.webhook_id == other.id)
    ).one()
    decide(pages, pages.get(held_for(hook)), send=[str(theirs), "no id"])
    assert state(hook) == "active"
    assert set(statuses()) == {"on_hold"}


def test_without_held_deliveries_there_is_nothing_to_decide(pages: Pages) -> None:
    assert "No deliveries on hold" in pages.get(held_for(make_webhook())).main
