"""Buttons of a webhook: off, on with what was held, and Test webhook."""

from typing import Any, Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from wtforms import RadioField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.models.webhooks import OffReason
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import once_only
from portal.services.webhooks import activation
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.activation import HeldChoice
from portal.services.webhooks.held_deliveries import send_waiting
from portal.services.webhooks.queries import WebhookDetail
from portal.services.webhooks.sample_deliveries import TestUnderWay, send_test
from portal.web.forms.base import HAS_A_PAGE, PortalForm, refusals_flashed, refusals_in, status_of
from portal.web.frame.access import actor, owner, requires
from portal.web.webhooks.views import WEBHOOK, Answer, delivery_path
from portal.web.webhooks.wording import has_moved, held_count, held_for, held_until_words

CHOOSE: Final = "choose"

blueprint = Blueprint("webhook_switches", __name__, url_prefix="/settings/webhooks")


class HeldForm(PortalForm):
    """What becomes of the held deliveries."""

    held = RadioField(
        "What should happen to them?",
        choices=[
            SelectChoice(HeldChoice.SEND, "Send them"),
            SelectChoice(CHOOSE, "Choose one by one"),
            SelectChoice(HeldChoice.DISCARD, "Discard them"),
        ],
        validate_choice=False,
    )

    @property
    def chosen(self) -> HeldChoice | None:
        """The choice, None where none was made."""
        return HeldChoice(self.held.data) if self.held.data in set(HeldChoice) else None


class TestForm(PortalForm):
    """Which event to test with; none is the webhook's first."""

    __test__ = False  # not a test case, whatever its name says

    event = StringField("Event")


@blueprint.post(f"{WEBHOOK}/off")
@requires("webhooks.switch")
def off(public_id: UUID) -> Answer:
    """Turn it off; what waits is held."""
    name = activation.turn_off(actor(), public_id)
    flash(f"“{name}” is off. {held_for()}", "success")
    return redirect(url_for("webhooks.show", public_id=public_id))


@blueprint.route(f"{WEBHOOK}/on", methods=["GET", "POST"])
@requires("webhooks.switch")
def on(public_id: UUID) -> Answer:
    """Turn it on; asks what to do with what was held."""
    form = HeldForm()
    if form.is_submitted() and form.held.data == CHOOSE:
        return redirect(url_for("webhook_held.choose", public_id=public_id))
    if form.validate_on_submit():
        with refusals_in(form):
            name = activation.turn_on(actor(), public_id, form.chosen)
            flash(_turned_on(name, form.chosen), "success")
            return redirect(url_for("webhooks.show", public_id=public_id))
    webhook = webhook_queries.show(public_id)
    page = render_template(
        "webhooks/on.html",
        form=form,
        webhook=webhook,
        held=held_count(webhook.held),
        held_until=held_until_words(webhook),
        is_closed=_is_closed(webhook),
    )
    return page, status_of(form)


@blueprint.post(f"{WEBHOOK}/send-waiting")
@requires("deliveries.retry")
def send_now(public_id: UUID) -> Answer:
    """After a fix: what waits for a later retry goes within a minute."""
    with refusals_flashed("warning"):
        count = send_waiting(actor(), public_id)
        words = f"{held_count(count)} {'goes' if count == 1 else 'go'} out within a minute."
        flash(*(words, "success") if count else ("Nothing waits for a later retry.", "info"))
    return redirect(url_for("webhooks.show", public_id=public_id))


@blueprint.post(f"{WEBHOOK}/test")
@requires("webhooks.test")
def test(public_id: UUID) -> Answer:
    """Queue a test and follow it on its delivery's page."""
    form = TestForm()
    try:
        return redirect(once_only(owner(), form.once_value, _test(form, public_id), delivery_path))
    except TestUnderWay as under_way:
        flash(under_way.sentence, "warning")
        return redirect(delivery_path(under_way.delivery))
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        flash(refusal.sentence, "error")
        return redirect(url_for("webhooks.show", public_id=public_id))


def _is_closed(webhook: WebhookDetail) -> bool:
    """Whether its address is still the one that its receiver closed for good."""
    if webhook.off_reason != OffReason.GONE or webhook.off_at is None:
        return False
    return not has_moved(webhook.off_at, webhook_queries.history(webhook.public_id))


def _test(form: TestForm, public_id: UUID) -> Any:
    return lambda: send_test(actor(), public_id, form.event.data or None)


def _turned_on(name: str, held: HeldChoice | None) -> str:
    done = {HeldChoice.SEND: " What was held is on its way.", HeldChoice.DISCARD: ""}
    return f"“{name}” is on.{done[held] if held else ''}"
