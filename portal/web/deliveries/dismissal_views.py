"""Dismiss deliveries after confirmation, and restore them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer
from wtforms import HiddenField, StringField

from portal.services.core.unit_of_work import once_only
from portal.services.deliveries import bulk_retry_selection, dismissals
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.services.deliveries.dismissals import LONGEST_REASON, PERMISSION, Done, Preview
from portal.web.deliveries import log_presenter
from portal.web.deliveries.bulk_retry_question import to_whom
from portal.web.deliveries.dismissal_wording import (
    dismissed_words,
    restored_words,
    tone_of,
)
from portal.web.deliveries.filter_wording import Names, filter_words
from portal.web.deliveries.forms import LogFilterForm
from portal.web.deliveries.views import log_page
from portal.web.deliveries.wording import deliveries
from portal.web.forms.base import PortalForm, refusals_flashed, refusals_in, status_of
from portal.web.forms.parsing import UnreadableAddress, uuid_or_none
from portal.web.frame.access import actor, local_path, owner, requires

LOG: Final = "deliveries.index"

blueprint = Blueprint("dismissals", __name__, url_prefix="/deliveries")


def reason_field() -> StringField:
    """Return the form field for the reason of a dismissal."""
    return StringField("Reason", render_kw={"maxlength": LONGEST_REASON, "autocomplete": "off"})


class DismissForm(PortalForm):
    """The confirmation form. `newest` is the newest delivery at the time of the count."""

    newest = HiddenField()
    reason = reason_field()


@blueprint.route("/dismiss", methods=["GET", "POST"])
@requires(PERMISSION)
def dismiss() -> Answer | tuple[str, int]:
    """Ask for confirmation and a reason, then dismiss the selected deliveries.

    The URL names deliveries, or with `all` selects those that match its filters.
    """
    form, log_filter = DismissForm(), LogFilterForm(request.args)
    if "all" in request.args and not log_filter.validate():
        return log_page(log_filter)
    choice, back = _chosen(form, log_filter), _back()
    if choice.is_blank:
        flash(bulk_retry_selection.NONE_SELECTED, "info")
        return redirect(back)
    if form.validate_on_submit():
        with refusals_in(form):
            verb = _Verb(choice, form.reason.data or "", back)
            return redirect(once_only(owner(), form.once_value, verb.run, verb.path))
    form.newest.data = str(choice.newest)
    preview = dismissals.preview(choice)
    page = render_template(
        "deliveries/dismiss.html",
        form=form,
        found=preview,
        whose=to_whom(_webhooks(preview, choice)),
        words=filter_words(choice.wanted, Names()) if choice.wanted else "",
        how_many=deliveries,
        back=back,
    )
    return page, status_of(form)


class _Verb:
    """One submission of the form, with the page for its result."""

    def __init__(self, choice: Selection, reason: str, back: str) -> None:
        self.choice, self.reason, self.back = choice, reason, back

    def run(self) -> Done:
        return dismissals.dismiss(actor(), self.choice, self.reason)

    def path(self, done: Done) -> str:
        return shown(done, self.back)


def shown(done: Done, back: str) -> str:
    """Return the URL of the task for long work. Otherwise flash the result and return `back`."""
    if done.task:
        return url_for("tasks.show", public_id=done.task)
    flash(dismissed_words(done, back), tone_of(done))
    return back


@blueprint.get("/restore")
@requires(PERMISSION)
def ask_restore() -> Answer | str:
    """Ask before restoring all deliveries of one dismissal."""
    act = uuid_or_none(request.args.get("dismissal"))
    count = dismissals.count_of_act(act) if act else 0
    if not count:
        flash("Nothing to restore.", "info")
        return redirect(_back())
    return render_template(
        "_partials/confirm.html",
        title=f"Restore {deliveries(count)}?",
        text="Failed deliveries return to Failed. We’ll send the others.",
        action=url_for("dismissals.restore", dismissal=act, back=request.args.get("back")),
        submit_label=f"Restore {count}",
        cancel_url=_back(),
        kind="primary",
    )


@blueprint.post("/restore")
@requires(PERMISSION)
def restore() -> Answer:
    """Restore the given deliveries, or with `dismissal` all deliveries of that dismissal."""
    verb = _restoring()
    with refusals_flashed("warning"):
        done = verb()
        if done.task:
            return redirect(url_for("tasks.show", public_id=done.task))
        flash(restored_words(done), tone_of(done))
    return redirect(_back())


@blueprint.get("/problems/dismissed")
@requires("deliveries.read")
def moved() -> Answer:
    """Redirect the former page of dismissed deliveries to the log."""
    return redirect(url_for(LOG, status="dismissed"))


def _restoring() -> Callable[[], Done]:
    if "dismissal" in request.args:
        return partial(dismissals.restore_act, actor(), _act())
    named = request.values.getlist("delivery")
    ids = [public_id for public_id in map(uuid_or_none, named) if public_id]
    if len(ids) != len(named):
        raise UnreadableAddress
    return partial(dismissals.restore, actor(), ids)


def _act() -> UUID:
    act = uuid_or_none(request.args.get("dismissal"))
    if act is None:
        raise UnreadableAddress
    return act


def _chosen(form: DismissForm, log_filter: LogFilterForm) -> Selection:
    if "all" in request.args:
        newest = bulk_retry_selection.newest_or_now(form.newest.data)
        return Selection(wanted=log_filter.chosen(), newest=newest)
    named = dict.fromkeys(map(uuid_or_none, request.values.getlist("delivery")))
    return Selection(ticked=tuple(public_id for public_id in named if public_id))


def _webhooks(found: Preview, choice: Selection) -> Sequence[str]:
    """Return the webhooks' names. If there are too many, only a filtered webhook is named."""
    if not found.webhooks and choice.wanted and choice.wanted.webhook:
        return [Names().of(choice.wanted.webhook)]
    return list(found.webhooks.values())


def _back() -> str:
    """Return the URL of the list or page in `back`, or of the log."""
    if back := request.values.get("back"):
        return local_path(back)
    filters = log_presenter.filters_in_force() if "all" in request.args else {}
    filters.pop("back", None)
    return url_for(LOG, **filters)
