"""The page on which a person decides one by one about what was held."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from wtforms import HiddenField, RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.lib.paging import Page
from portal.services.deliveries.log import pages as log_pages
from portal.services.deliveries.log.filters import LogFilter, StatusFilter
from portal.services.deliveries.log.pages import LogRow
from portal.services.webhooks import held_deliveries
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.held_deliveries import Decided, HeldDecision, Rest, Seen
from portal.web.deliveries import log_presenter
from portal.web.forms.base import PortalForm, refusals_in, status_of
from portal.web.forms.query_values import uuid_or_none
from portal.web.frame.access import actor, requires
from portal.web.frame.wording import plural
from portal.web.webhooks.views import WEBHOOK, Answer
from portal.web.webhooks.wording import held_count, held_until_words

blueprint = Blueprint("webhook_held", __name__, url_prefix="/settings/webhooks")


class ChooseForm(PortalForm):
    """What is not ticked, and what was held when the person looked.

    The ticks themselves are `send`, repeated; those of other pages are carried along hidden.
    """

    rest = RadioField(
        "What should happen to those that are not ticked?",
        choices=[SelectChoice(Rest.KEEP, "Keep them"), SelectChoice(Rest.DISCARD, "Discard them")],
        default=Rest.KEEP,
        validate_choice=False,
    )
    newest = HiddenField()
    count = HiddenField()

    @property
    def ticked(self) -> frozenset[UUID]:
        """The public ids to send, of this page and the others."""
        found = map(uuid_or_none, request.form.getlist("send"))
        return frozenset(each for each in found if each)

    @property
    def choice(self) -> HeldDecision:
        """What the person decided. Whatever else was sent discards nothing."""
        rest = Rest.DISCARD if self.rest.data == Rest.DISCARD else Rest.KEEP
        seen = Seen(_number(self.newest.data), _number(self.count.data))
        return HeldDecision(send=self.ticked, rest=rest, seen=seen)


@blueprint.route(f"{WEBHOOK}/held", methods=["GET", "POST"])
@requires("webhooks.switch")
def choose(public_id: UUID) -> Answer:
    """Tick what is to be sent, page by page; nothing changes before it is turned on."""
    form = ChooseForm()
    cursor = request.form.get("page", request.values.get("cursor"))
    if "page" not in request.form and form.validate_on_submit():
        with refusals_in(form):
            flash(_done(held_deliveries.decide(actor(), public_id, form.choice)), "success")
            return redirect(url_for("webhooks.show", public_id=public_id))
    webhook = webhook_queries.show(public_id)
    if form.form_errors or not form.newest.data:
        form.newest.data, form.count.data = map(str, held_deliveries.look(public_id))
    wanted = LogFilter(webhook=public_id, status=StatusFilter.HELD)
    page = log_pages.find_page(wanted, cursor).page
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


def _number(text: str | None) -> int:
    """A number of ours that came back, 0 for anything else."""
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0


def _elsewhere(form: ChooseForm, page: Page[LogRow]) -> list[UUID]:
    """What is ticked on other pages."""
    return sorted(form.ticked - {row.public_id for row in page.rows})


def _done(decided: Decided) -> str:
    words = [f"“{decided.name}” is on."]
    if decided.sent:
        sent = plural(decided.sent, "held delivery is", "held deliveries are")
        words.append(f"{sent} on the way.")
    if decided.discarded:
        words.append(f"{plural(decided.discarded, 'was', 'were')} discarded.")
    return " ".join(words if len(words) > 1 else [*words, "What was held stays held."])
