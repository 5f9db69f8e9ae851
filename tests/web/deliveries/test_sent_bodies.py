"""The body of each attempt as sent, and of an unsent delivery as it would be sent now."""

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final
from uuid import UUID, uuid4

import pytest
from flask import Flask
from sqlalchemy import select, update

from jobs import tasks as job
from jobs.deliver import deliver_due
from portal.extensions import db
from portal.models.deliveries import Delivery, Event
from portal.models.webhooks import Webhook
from portal.services.core.unit_of_work import writing
from portal.services.deliveries import bulk_retry
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.detail import find_delivery
from portal.services.webhooks import crud, drafts, held_deliveries, turn_on_off
from portal.services.webhooks.held_deliveries import HeldDecision, Rest
from portal.services.webhooks.queries import stored_values
from portal.services.webhooks.rows import body_to_send
from tests.jobs.dispatcher.delivery_clock import crash_after_claim, make_due
from tests.support.deliveries import change
from tests.support.factories import Hook, Person, make_user, make_webhook, publish
from tests.support.pages import Page, Pages
from tests.support.receiver import Receiver

SECRET: Final = "whsec_Ym9kaWVzIGFzIHRoZXkgd2VudCB0byBjaGF0cyEhISE="
NOW: Final = "This is the request as we’d send it now."


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture
def hook(receiver: Receiver, support: Pages) -> Hook:
    """Make a Slack webhook with one queued delivery."""
    del support
    made = make_webhook(receiver.url, format="slack", url_is_secret=True, secret=SECRET)
    publish()
    return made


def the_delivery() -> UUID:
    db.session.rollback()
    return db.session.scalars(select(Delivery.public_id)).one()


def event_body() -> bytes:
    """Return the body of the newest event."""
    newest = select(Event.body).order_by(Event.id.desc()).limit(1)
    return db.session.scalars(newest).one()


def set_format(key: str | None) -> None:
    with writing() as current:
        current.execute(update(Webhook).values(format=key))


def send(receiver: Receiver, *answers: int) -> None:
    for code in answers:
        receiver.answer_next(code)
        make_due()
        deliver_due()


def code(page: Page, name: str) -> str:
    """Return the text of a block as it would be copied."""
    match = re.search(rf'<pre id="{name}"[^>]*><code>(.*?)</code>', page.html, re.DOTALL)
    return html.unescape(match[1]) if match else ""


def went(receiver: Receiver) -> list[bytes]:
    return [message.body for message in receiver.received]


def shown(support: Pages) -> list[bytes]:
    """Return the body of each attempt as its page and download show it, oldest first."""
    path = f"/deliveries/{the_delivery()}"
    newest = support.client.get(f"{path}/body").data
    page = support.get(f"{path}?show=request")
    attempts = len(find_delivery(the_delivery()).attempts)
    earlier = [code(page, f"body-text-{number}").encode() for number in range(1, attempts)]
    return [*(body or newest for body in earlier), newest]


@pytest.mark.usefixtures("hook")
def test_a_chat_post_is_also_shown_in_readable_form(receiver: Receiver, support: Pages) -> None:
    def told() -> bool:
        page = support.get(f"/deliveries/{the_delivery()}?show=request")
        return "When" in [node.text for node in page.root.find_all("dt")]

    assert told()  # as it would be sent now
    send(receiver, 500)
    assert told()
    set_format("discord")
    assert not told()  # the post sent to Slack isn't rebuilt
    set_format(None)
    send(receiver, 500)
    assert not told()


@pytest.mark.usefixtures("hook")
def test_each_attempt_shows_the_bytes_it_sent(receiver: Receiver, support: Pages) -> None:
    for key in ("slack", "discord", None, "teams", "teams"):
        set_format(key)
        send(receiver, 500)
    sent = went(receiver)
    assert len(set(sent)) == 4
    assert shown(support) == sent
    path = f"/deliveries/{the_delivery()}"
    file = support.client.get(f"{path}/help-bundle").text
    assert [body for body in sent if body.decode() not in file] == []
    assert f"Body, {len(sent[-1])} bytes, as sent:" in file
    page = support.get(f"{path}?show=request")
    assert sent[-1].decode() in code(page, "curl-command")
    assert NOW not in page.main
    assert page.main.count("This attempt’s request body") == 3
    set_format("google_chat")
    assert shown(support) == sent


@pytest.mark.usefixtures("hook")
def test_an_unsent_body_is_shown_as_it_would_be_sent_now(support: Pages) -> None:
    bundles = []
    for key in ("slack", "discord", None):
        set_format(key)
        delivery = find_delivery(the_delivery())
        assert shown(support) == [body_to_send(key, event_body())]
        assert delivery.body == delivery.body_now
        page = support.get(f"/deliveries/{delivery.public_id}")
        assert (NOW in page.main) is (key is not None)
        bundles.append(support.client.get(f"/deliveries/{delivery.public_id}/help-bundle").text)
    assert ["as we’d send it now:" in file for file in bundles] == [True, True, False]


def waiting(_hook: Hook, _ana: Person, _receiver: Receiver) -> None:
    """Leave the delivery queued."""


def retrying(_hook: Hook, _ana: Person, receiver: Receiver) -> None:
    send(receiver, 500, 503)


def on_hold(hook: Hook, ana: Person, receiver: Receiver) -> None:
    send(receiver, 500)
    turn_on_off.turn_off(ana.actor, hook.public_id)


def in_a_bulk_retry(_hook: Hook, ana: Person, receiver: Receiver) -> None:
    send(receiver, 400)
    change(the_delivery(), status="failed")
    bulk_retry.start(ana.actor, Selection(ticked=(the_delivery(),)))
    job.work({bulk_retry.NAME: bulk_retry.KIND})
    assert find_delivery(the_delivery()).is_manual


def crashed(_hook: Hook, _ana: Person, _receiver: Receiver) -> None:
    crash_after_claim()


@pytest.mark.parametrize("state", [waiting, retrying, on_hold, in_a_bulk_retry, crashed])
def test_a_changed_format_applies_to_later_attempts_only(
    hook: Hook, receiver: Receiver, support: Pages, state: Callable[[Hook, Person, Receiver], None]
) -> None:
    ana = make_user()
    state(hook, ana, receiver)
    before = went(receiver)
    values = replace(stored_values(hook.public_id), format="discord")
    crud.edit(ana.actor, hook.public_id, 1, values)
    if state is on_hold:
        seen = held_deliveries.count_seen(hook.public_id)
        decision = HeldDecision(send=[the_delivery()], rest=Rest.KEEP, seen=seen)
        held_deliveries.decide(ana.actor, hook.public_id, decision)
    send(receiver, 204)
    assert set(before) <= {body_to_send("slack", event_body())}
    assert went(receiver) == [*before, body_to_send("discord", event_body())]
    ids = {message.header("X-Asset-Webhook-Id") for message in receiver.received}
    assert ids == {str(the_delivery())}
    attempts = find_delivery(the_delivery()).attempts
    assert [attempt.body for attempt in attempts if not attempt.is_interrupted] == went(receiver)
    assert shown(support)[-1] == receiver.received[-1].body
    assert find_delivery(the_delivery()).status == "delivered"


@pytest.mark.usefixtures("hook")
def test_after_an_interruption_the_request_is_shown_as_of_now(
    receiver: Receiver, support: Pages
) -> None:
    send(receiver, 500)
    make_due()
    crash_after_claim()
    path = f"/deliveries/{the_delivery()}?show=request"
    assert NOW in support.get(path).main  # the crashed attempt's result is unknown
    make_due()
    set_format("discord")
    page = support.get(path)
    assert NOW in page.main
    assert shown(support) == [went(receiver)[0], *2 * [body_to_send("discord", event_body())]][:2]


def test_a_signature_is_checked_against_its_attempts_body(
    hook: Hook, receiver: Receiver, support: Pages
) -> None:
    del hook
    for key in ("slack", "discord"):
        set_format(key)
        send(receiver, 500)
    path = f"/deliveries/{the_delivery()}/signature"
    for number, message in enumerate(receiver.received, 1):
        for name in ("X-Asset-Webhook-Signature", "webhook-signature"):
            pasted = message.header(name) or ""
            page = support.submit(support.get(path).form(path), signature=pasted)
            assert f"exactly our {name}" in page.main.replace(" of attempt 2", "")
            is_told = "It belongs to attempt 1. Later attempts had a different body." in page.main
            assert is_told is (number == 1)
    wrong = "0" * 64
    page = support.submit(support.get(path).form(path), signature=wrong)
    assert "We couldn’t identify this signature" in page.main


def test_a_draft_is_tested_with_its_format_and_shows_the_sent_body(
    receiver: Receiver, app: Flask
) -> None:
    del app
    ana, form = make_user(), uuid4()
    hook = make_webhook("https://chat.example.com/hook")
    for version, key in enumerate(("slack", "teams"), 2):
        typed = replace(stored_values(hook.public_id), name="Chat", url=receiver.url, format=key)
        drafts.send_test(ana.actor, form, typed, "asset.created")
        deliver_due()
        draft = drafts.find(ana.actor, form)
        assert (draft.values.format, draft.values.url_is_secret) == (key, True)
        detail = find_delivery(draft.tests[0], draft=form)
        assert (detail.body, detail.attempts[0].body) == 2 * (receiver.received[-1].body,)
        assert detail.body == body_to_send(key, event_body())
        row = db.session.scalars(select(Webhook).where(Webhook.public_id == form)).one()
        assert row.version == version
    assert find_delivery(draft.tests[1], draft=form).body == receiver.received[0].body
