"""Turn webhooks off and on, decide about held deliveries, and send tests."""

from datetime import datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import HiddenField, RadioField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its type stubs

from portal.lib.clock import utcnow
from portal.lib.paging import Page
from portal.models.webhooks import OffReason
from portal.services.core.refusals import Refusal
from portal.services.core.unit_of_work import once_only
from portal.services.deliveries import log as log_pages
from portal.services.deliveries.bulk_retry_selection import row_id_in
from portal.services.deliveries.dismissals import decide, turn_on
from portal.services.deliveries.log import LogRow
from portal.services.deliveries.statuses import LogFilter, StatusFilter
from portal.services.webhooks import held_deliveries, turn_on_off
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.held_deliveries import HeldDecision, Rest, Seen
from portal.services.webhooks.queries import WebhookDetail
from portal.services.webhooks.sample_deliveries import TestUnderWay, send_test
from portal.services.webhooks.turn_on_off import HeldChoice, TurnedOn, last_end
from portal.web.deliveries import log_presenter
from portal.web.deliveries.dismissal_views import reason_field, shown
from portal.web.forms import moment_choice
from portal.web.forms.base import HAS_A_PAGE, PortalForm, refusals_flashed, refusals_in, status_of
from portal.web.forms.parsing import MomentField, uuid_or_none
from portal.web.frame.access import actor, owner, requires
from portal.web.frame.wording import zone
from portal.web.webhooks.presenter import what_reopens
from portal.web.webhooks.views import WEBHOOK, Answer, delivery_path
from portal.web.webhooks.wording import (
    has_moved,
    held_count,
    held_until_words,
    resumed_words,
    turned_off_words,
    turned_on_words,
)

CHOOSE, DISMISS = "choose", "dismiss"
BY_HAND = ""
MORNING: Final = time(8)

blueprint = Blueprint("webhook_switches", __name__, url_prefix="/settings/webhooks")


class HeldForm(PortalForm):
    """One choice for all deliveries on hold, with a reason if they are dismissed."""

    held = RadioField(
        "What should happen to them?",
        choices=[
            SelectChoice(HeldChoice.SEND, "Send them"),
            SelectChoice(CHOOSE, "Choose one by one"),
            SelectChoice(DISMISS, "Dismiss them"),
        ],
        validate_choice=False,
    )

    reason = reason_field()

    @property
    def chosen(self) -> HeldChoice | None:
        """Return the choice to send them, or None for any other."""
        return HeldChoice.SEND if self.held.data == HeldChoice.SEND else None


class OffForm(PortalForm):
    """The end of the off state. A person turns it on, or we do at an offered or typed time."""

    until = RadioField(
        "Off until",
        choices=[SelectChoice(BY_HAND, "Someone turns it on")],
        default=BY_HAND,
        validate_choice=False,
    )
    off_until = MomentField("Date and time", called="time")

    def prepare(self, webhook: WebhookDetail) -> None:
        """Offer the times that are left, and show the current end as a typed time."""
        now = utcnow()
        last = last_end(webhook.oldest_held_at, webhook.off_at)
        times = {name: at for name, at in off_times(now).items() if at <= last}
        moment_choice.offer(self.until, times, now)
        if webhook.off_until and not self.is_submitted():
            self.until.data, self.off_until.data = moment_choice.OTHER, webhook.off_until

    def end(self, before: datetime | None) -> datetime | None:
        """Return the time, or None if a person turns it on. `before` is the current end.

        Raises `Refusal`.
        """
        at = moment_choice.chosen(self.until, self.off_until, before)
        if at is None and self.until.data != BY_HAND:
            raise Refusal("Enter a date and time", field="off_until")
        return at


def off_times(now: datetime) -> dict[str, datetime]:
    """Return the mornings to choose from by name in the user's zone, each only once."""
    here = now.astimezone(zone())
    days = {"Tomorrow": 1, "Monday": 7 - here.weekday(), "1 week": 7}
    names = {many: name for name, many in reversed(days.items())}
    return {
        names[many]: datetime.combine(here.date() + timedelta(days=many), MORNING, zone())
        for many in sorted(names)
    }


class TestForm(PortalForm):
    """The event to test with, by default the webhook's first."""

    __test__ = False  # not a test case, despite its name

    event = StringField("Event")


@blueprint.route(f"{WEBHOOK}/off", methods=["GET", "POST"])
@requires("webhooks.switch")
def off(public_id: UUID) -> Answer:
    """Turn a webhook off until a chosen time and hold its waiting deliveries.

    For a webhook that is off, change the time.
    """
    form, webhook = OffForm(), webhook_queries.show(public_id)
    if form.validate_on_submit():
        with refusals_in(form):
            until = form.end(webhook.off_until)
            name = turn_on_off.turn_off(actor(), public_id, until)
            flash(turned_off_words(name, until), "success")
            return redirect(url_for("webhooks.show", public_id=public_id))
    form.prepare(webhook)
    return render_template("webhooks/off.html", form=form, webhook=webhook), status_of(form)


@blueprint.route(f"{WEBHOOK}/on", methods=["GET", "POST"])
@requires("webhooks.switch")
def on(public_id: UUID) -> Answer:
    """Turn a webhook on, after asking about its deliveries on hold."""
    form = HeldForm()
    if form.is_submitted() and form.held.data == CHOOSE:
        return redirect(url_for("webhook_held.choose", public_id=public_id))
    if form.validate_on_submit():
        here = url_for("webhooks.show", public_id=public_id)
        with refusals_in(form):
            if form.held.data == DISMISS:
                turned_on, dismissed = turn_on(actor(), public_id, form.reason.data or "")
                _tell(turned_on)
                return redirect(shown(dismissed, here))
            _tell(turn_on_off.turn_on(actor(), public_id, form.chosen))
            return redirect(here)
    webhook = webhook_queries.show(public_id)
    is_closed = _is_closed(webhook)
    page = render_template(
        "webhooks/on.html",
        form=form,
        webhook=webhook,
        held=held_count(webhook.held),
        held_until=held_until_words(webhook),
        is_closed=is_closed,
        reopens=what_reopens(webhook) if is_closed else "",
    )
    return page, status_of(form)


@blueprint.post(f"{WEBHOOK}/resume")
@requires("deliveries.retry")
def resume(public_id: UUID) -> Answer:
    """End the receiver's pause, and send the waiting deliveries within a minute."""
    with refusals_flashed("warning"):
        resumed = held_deliveries.resume(actor(), public_id)
        flash(resumed_words(resumed), "success" if resumed.total else "info")
    return redirect(url_for("webhooks.show", public_id=public_id))


@blueprint.post(f"{WEBHOOK}/test")
@requires("webhooks.test")
def test(public_id: UUID) -> Answer:
    """Send a test and show its delivery's page."""
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
    """Return whether the URL is still the one that the receiver closed for good."""
    if webhook.off_reason != OffReason.GONE or webhook.off_at is None:
        return False
    return not has_moved(webhook.off_at, webhook_queries.history(webhook.public_id))


def _tell(done: TurnedOn, *, rest_stays: bool = False) -> None:
    if words := turned_on_words(done, rest_stays=rest_stays):
        flash(words, "success")


def _test(form: TestForm, public_id: UUID) -> Any:
    return lambda: send_test(actor(), public_id, form.event.data or None)


held_blueprint = Blueprint("webhook_held", __name__, url_prefix="/settings/webhooks")


class ChooseForm(PortalForm):
    """The choice for unticked deliveries, and the deliveries on hold that the user saw.

    Ticked deliveries are repeated `send` fields, which are hidden for other pages.
    """

    rest = RadioField(
        "What should happen to the rest?",
        choices=[
            SelectChoice(Rest.KEEP, "Keep them on hold"),
            SelectChoice(Rest.DISMISS, "Dismiss them"),
        ],
        default=Rest.KEEP,
        validate_choice=False,
    )
    newest = HiddenField()
    count = HiddenField()
    reason = reason_field()

    @property
    def ticked(self) -> frozenset[UUID]:
        """Return the public ids to send, from this page and the others."""
        ids = map(uuid_or_none, request.form.getlist("send"))
        return frozenset(public_id for public_id in ids if public_id)

    @property
    def choice(self) -> HeldDecision:
        """Return the decision. An unknown one dismisses nothing."""
        rest = Rest.DISMISS if self.rest.data == Rest.DISMISS else Rest.KEEP
        seen = Seen(row_id_in(self.newest.data) or 0, row_id_in(self.count.data) or 0)
        return HeldDecision(send=self.ticked, rest=rest, seen=seen)


@held_blueprint.route(f"{WEBHOOK}/held", methods=["GET", "POST"])
@requires("webhooks.switch")
def choose(public_id: UUID) -> Answer:
    """Choose held deliveries page by page, then send them and turn the webhook on."""
    form = ChooseForm()
    cursor = request.form.get("page", request.values.get("cursor"))
    if "page" not in request.form and form.validate_on_submit():
        with refusals_in(form):
            here = url_for("webhooks.show", public_id=public_id)
            turned_on, done = decide(actor(), public_id, form.choice, form.reason.data or "")
            stays = form.choice.rest is Rest.KEEP
            _tell(turned_on, rest_stays=stays)
            return redirect(shown(done, here) if done.act else here)
    webhook = webhook_queries.show(public_id)
    if form.form_errors or not form.newest.data:
        form.newest.data, form.count.data = map(str, held_deliveries.count_seen(public_id))
    held = LogFilter(webhook=public_id, status=StatusFilter.ON_HOLD)
    page = log_pages.find_page(held, cursor).page
    return render_template(
        "webhooks/held.html",
        form=form,
        webhook=webhook,
        held=held_count(webhook.held),
        held_until=held_until_words(webhook),
        page=page,
        cursor=cursor or "",
        elsewhere=_elsewhere(form, page),
        view=log_presenter,
    ), status_of(form)


def _elsewhere(form: ChooseForm, page: Page[LogRow]) -> list[UUID]:
    """Return the public ids that are ticked on other pages."""
    return sorted(form.ticked - {row.public_id for row in page.rows})
