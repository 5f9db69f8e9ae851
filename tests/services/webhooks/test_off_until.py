"""A webhook turned off until a time is turned on then, once, and sends its held deliveries."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select

from portal.lib.clock import frozen, utcnow
from portal.models.audit import AuditEntry
from portal.models.deliveries import Delivery
from portal.models.webhooks import Webhook
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import session
from portal.services.operations import sending
from portal.services.webhooks import crud, turn_on_off
from portal.services.webhooks.turn_on_off import HeldChoice
from tests.services.webhooks.other_keys import NEW_KEY, Keys
from tests.support.database.rivals import at_once, meanwhile
from tests.support.factories import Hook, Person, make_user, make_webhook, publish

pytestmark = [pytest.mark.usefixtures("app"), pytest.mark.both_databases]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def ana() -> Person:
    return make_user(time_zone="Europe/Vienna")


def stored(hook: Hook) -> Webhook:
    current = session()
    current.rollback()
    return current.get_one(Webhook, hook.id)


def statuses(hook: Hook) -> list[str]:
    session().rollback()
    query = select(Delivery.status).where(Delivery.webhook_id == hook.id).order_by(Delivery.id)
    return list(session().scalars(query))


def trail() -> list[tuple[str, str, str]]:
    entries = select(AuditEntry.actor_name, AuditEntry.origin, AuditEntry.action)
    return [tuple(row) for row in session().execute(entries.order_by(AuditEntry.id))]


def run(at: datetime) -> None:
    """Turn on the webhooks that are due at this time."""
    with frozen(at):
        turn_on_off.turn_on_due()


def off_with_one_on_hold(ana: Person, until: datetime, **columns: object) -> Hook:
    """Make a webhook that Ana turned off until this time, with one held delivery."""
    hook = make_webhook(**columns)  # type: ignore[arg-type]
    turn_on_off.turn_off(ana.actor, hook.public_id, until)
    publish()
    return hook


def test_a_webhook_is_turned_on_at_its_time_and_sends_held_deliveries_once(ana: Person) -> None:
    until = utcnow() + HOUR
    hook = off_with_one_on_hold(ana, until)
    for at, state, status in (
        (until - timedelta(seconds=1), "off", "on_hold"),
        (until, "active", "queued"),
        (until + DAY, "active", "queued"),
    ):
        run(at)
        assert (stored(hook).state, statuses(hook)) == (state, [status])
    after = stored(hook)
    assert (after.off_until, after.off_at, after.off_reason) == (None, None, None)
    assert trail() == [
        (ana.name, "ui", "webhook.turned_off"),
        ("Asset register", "cron", "webhook.turned_on"),
    ]
    last = session().scalars(select(AuditEntry.changes).order_by(AuditEntry.id.desc())).first()
    assert last == {
        "status": {"from": "Off", "to": "Active"},
        "deliveries_send": {"from": None, "to": 1},
    }


def test_concurrent_runs_turn_a_webhook_on_once(ana: Person, app: Flask) -> None:
    until = utcnow() + HOUR
    hook = off_with_one_on_hold(ana, until)
    assert at_once(app, [partial(run, until)] * 4) == [None] * 4
    assert (stored(hook).state, statuses(hook)) == ("active", ["queued"])
    actions = select(func.count()).where(AuditEntry.action == "webhook.turned_on")
    assert session().scalar(actions) == 1


def test_a_later_time_set_meanwhile_keeps_the_webhook_off(ana: Person, app: Flask) -> None:
    until, later = utcnow() + HOUR, utcnow() + DAY
    hook = off_with_one_on_hold(ana, until)
    meanwhile(
        app, partial(run, until), lambda _: turn_on_off.turn_off(ana.actor, hook.public_id, later)
    )
    assert (stored(hook).off_until, statuses(hook)) == (later, ["on_hold"])


def test_a_run_that_dies_leaves_the_webhook_to_the_next_run(
    ana: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = off_with_one_on_hold(ana, utcnow() + HOUR)

    def die(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(turn_on_off, "record_turned_on", die)
        with pytest.raises(SystemExit):
            run(utcnow() + HOUR)
    assert (stored(hook).state, statuses(hook)) == ("off", ["on_hold"])
    run(utcnow() + HOUR)
    assert (stored(hook).state, statuses(hook)) == ("active", ["queued"])


def test_an_error_at_one_webhook_keeps_no_other_off(
    ana: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    until = utcnow() + HOUR
    first, other = off_with_one_on_hold(ana, until - HOUR / 2), off_with_one_on_hold(ana, until)
    send = turn_on_off.send_held

    def fail(current: object, webhook_id: int) -> int:
        if webhook_id == first.id:
            raise RuntimeError("a database that is full")
        return send(current, webhook_id)  # type: ignore[arg-type]

    monkeypatch.setattr(turn_on_off, "send_held", fail)
    run(until)
    assert [stored(hook).state for hook in (first, other)] == ["off", "active"]
    assert "a database that is full" in caplog.text


def test_while_all_sending_is_paused_a_webhook_stays_off_until_a_later_run(ana: Person) -> None:
    hook = off_with_one_on_hold(ana, utcnow() + HOUR)
    sending.stop(ana.actor)
    with frozen(utcnow() + DAY):
        turn_on_off.turn_on_due()
        assert (stored(hook).state, statuses(hook)) == ("off", ["on_hold"])
        sending.start(ana.actor)
        turn_on_off.turn_on_due()
    assert (stored(hook).state, statuses(hook)) == ("active", ["queued"])


def test_a_webhook_with_a_lost_key_stays_off_and_others_turn_on(
    ana: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys, until = Keys(app, monkeypatch), utcnow() + HOUR
    signed = off_with_one_on_hold(ana, until - HOUR / 2, secret="the secret of it")
    bare = off_with_one_on_hold(ana, until)
    keys.become(NEW_KEY)
    with frozen(until):
        turn_on_off.turn_on_due()
        assert [stored(hook).state for hook in (signed, bare)] == ["off", "active"]
        keys.become(NEW_KEY, *keys.old)
        turn_on_off.turn_on_due()
    assert (stored(signed).state, statuses(signed)) == ("active", ["queued", "queued"])


def by_hand(ana: Person, hook: Hook) -> None:
    turn_on_off.turn_on(ana.actor, hook.public_id, HeldChoice.SEND)


def deleted(ana: Person, hook: Hook) -> None:
    crud.delete(ana.actor, hook.public_id)


@pytest.mark.parametrize(("how", "state"), [(by_hand, "active"), (deleted, "off")])
def test_a_manual_change_before_the_time_cancels_it(
    ana: Person, how: Callable[[Person, Hook], None], state: str
) -> None:
    hook = off_with_one_on_hold(ana, utcnow() + HOUR)
    how(ana, hook)
    before = trail()
    run(utcnow() + DAY)
    assert (stored(hook).state, trail()) == (state, before)


def test_turning_off_again_replaces_or_removes_the_time(ana: Person) -> None:
    hook, until = make_webhook(), utcnow() + DAY
    turn_on_off.turn_off(ana.actor, hook.public_id, until)
    off_at = stored(hook).off_at
    for again in (until + HOUR, until + HOUR, None, None):
        turn_on_off.turn_off(ana.actor, hook.public_id, again)
        assert (stored(hook).off_until, stored(hook).off_at) == (again, off_at)
    changed = "webhook.off_until_changed"
    assert [action for _, _, action in trail()] == ["webhook.turned_off", changed, changed]


def test_the_time_must_come_before_on_hold_deliveries_expire(ana: Person) -> None:
    now = utcnow()
    hook, month = make_webhook(), timedelta(days=30)
    with frozen(now):
        for until, words in (
            (now, "Choose a time in the future"),
            (now - DAY, "Choose a time in the future"),
            (now + month, "At most .*, before on-hold deliveries expire"),
        ):
            with pytest.raises(Refusal, match=words) as refused:
                turn_on_off.turn_off(ana.actor, hook.public_id, until)
            assert refused.value.field == "off_until"
        assert stored(hook).state == "active"
        turn_on_off.turn_off(ana.actor, hook.public_id, now + month - HOUR)
    with frozen(now + DAY):  # nothing is on hold
        turn_on_off.turn_off(ana.actor, hook.public_id, now + DAY + month - HOUR)
    publish()
    with frozen(now + DAY), pytest.raises(Refusal, match="At most"):
        turn_on_off.turn_off(ana.actor, hook.public_id, now + DAY + month - HOUR)


@pytest.mark.parametrize("reason", ["gone", "failing", "lost_key"])
def test_a_webhook_turned_off_by_us_waits_for_a_person(ana: Person, reason: str) -> None:
    hook = make_webhook(state="off", off_reason=reason, off_at=utcnow())
    with pytest.raises(Refusal, match="We turned this webhook off"):
        turn_on_off.turn_off(ana.actor, hook.public_id, utcnow() + DAY)
    turn_on_off.turn_off(ana.actor, hook.public_id)
    run(utcnow() + 2 * DAY)
    assert (stored(hook).state, stored(hook).off_reason) == ("off", reason)
