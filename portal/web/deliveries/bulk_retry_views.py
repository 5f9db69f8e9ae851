"""Serve the confirmation, progress, stop, resume, and report pages of bulk retries."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from flask import (
    Blueprint,
    Response,
    flash,
    jsonify,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as Answer
from wtforms import BooleanField, HiddenField, RadioField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its type stubs
from wtforms.validators import AnyOf

from portal.services.core.unit_of_work import once_only
from portal.services.deliveries import bulk_retry, bulk_retry_selection
from portal.services.deliveries.bulk_retry import Pace
from portal.services.deliveries.bulk_retry_selection import Selection
from portal.web.deliveries import bulk_retry_question as question
from portal.web.deliveries import bulk_retry_wording as wording
from portal.web.deliveries import log_presenter
from portal.web.deliveries.filter_wording import Names, filter_words
from portal.web.deliveries.forms import LogFilterForm
from portal.web.deliveries.views import log_page
from portal.web.forms.base import PortalForm, refusals_flashed, refusals_in, status_of
from portal.web.forms.csv_download import csv_download
from portal.web.forms.parsing import uuid_or_none
from portal.web.frame.access import actor, owner, requires

blueprint = Blueprint("batches", __name__)


class BatchForm(PortalForm):
    """The confirmation form. `newest` is the newest delivery at the time of the count."""

    newest = HiddenField()
    again = BooleanField("Also resend deliveries that already arrived")
    pace = RadioField(
        "Pace",
        choices=[SelectChoice(pace, words) for pace, words in wording.PACES.items()],
        default=str(Pace.FAST),
        validators=[AnyOf(list(Pace), "Choose a pace")],
        validate_choice=False,
    )

    @property
    def counted_to(self) -> int:
        """Return the id of the last delivery that the displayed count includes."""
        return bulk_retry_selection.newest_or_now(self.newest.data)


@blueprint.route("/deliveries/retry", methods=["GET", "POST"])
@requires(bulk_retry.PERMISSION)
def confirm() -> Answer | tuple[str, int]:
    """Ask for confirmation, then start a bulk retry."""
    form, log_filter = BatchForm(), LogFilterForm(request.args)
    if "all" in request.args and not log_filter.validate():
        return log_page(log_filter)
    choice = _chosen(form, log_filter)
    if choice.is_blank:
        flash(bulk_retry_selection.NONE_SELECTED, "info")
        return redirect(url_for("deliveries.index"))
    if form.validate_on_submit():
        with refusals_in(form):
            path = once_only(
                owner(),
                form.once_value,
                lambda: bulk_retry.start(actor(), choice, Pace(form.pace.data)),
                lambda public_id: url_for("batches.show", public_id=public_id),
            )
            return redirect(path)
    if choice.rest_of and not form.is_submitted():
        form.pace.data = str(bulk_retry.pace_of(bulk_retry.find(choice.rest_of)))
    form.newest.data = str(choice.newest)
    first = bulk_retry_selection.count(replace(choice, again=False))
    is_resend = bool(first.arrived and not first.total and not first.is_more)
    # If all of them were delivered, the page asks about resending them.
    count = bulk_retry_selection.count(replace(choice, again=True)) if is_resend else first
    back_label, back_url = _back(choice)
    page = render_template(
        "bulk_retry/confirm.html",
        back_label=back_label,
        back_url=back_url,
        form=form,
        words=filter_words(choice.wanted, Names()) if choice.wanted else "",
        count=count,
        is_resend=is_resend,
        since=question.since_words(choice, first),
        others=question.others(count),
        view=question,
    )
    return page, status_of(form)


@blueprint.get("/batches")
@requires("deliveries.read")
def index() -> str:
    """List all bulk retries."""
    page = bulk_retry.find_page(request.args.get("cursor"))
    lines = wording.lines_of(page.rows)
    return render_template(
        "bulk_retry/index.html",
        page=page,
        lines=lines,
        tabs_of_log=log_presenter.tabs(),
    )


@blueprint.get("/batches/<uuid:public_id>")
@requires("deliveries.read")
def show(public_id: UUID) -> str:
    """Show one bulk retry's progress, halted webhooks, and result."""
    page = wording.page_of(bulk_retry.find(public_id))
    return render_template("bulk_retry/show.html", page=page, view=wording, log_view=log_presenter)


@blueprint.get("/batches/<uuid:public_id>/live")
@requires("deliveries.read")
def live(public_id: UUID) -> Response:
    """Return the changing part of the page."""
    page = wording.page_of(bulk_retry.find(public_id))
    html = render_template("bulk_retry/_live.html", page=page, view=wording, log_view=log_presenter)
    return jsonify(html=html, stop=not page.is_live, announce=page.announcement)


@blueprint.post("/batches/<uuid:public_id>/stop")
@requires(bulk_retry.PERMISSION)
def stop(public_id: UUID) -> Answer:
    """Stop a bulk retry. Unsent deliveries are unchanged."""
    with refusals_flashed():
        bulk_retry.stop(actor(), public_id)
        is_stopping = bulk_retry.is_stopping(bulk_retry.find(public_id))
        flash(
            "Stopping. Requests in progress will finish." if is_stopping else "Stopped.", "success"
        )
    return redirect(url_for("batches.show", public_id=public_id))


@blueprint.get("/batches/<uuid:public_id>/go-on")
@requires(bulk_retry.PERMISSION)
def ask_go_on(public_id: UUID) -> Answer | str:
    """Ask before resuming another person's bulk retry, which then becomes the user's own."""
    page = wording.page_of(bulk_retry.find(public_id))
    if page.way_on is None:
        flash("There’s nothing to resume.", "info")
        return redirect(url_for("batches.show", public_id=public_id))
    names = [webhook.webhook_name for webhook in page.troubles if webhook.is_halted]
    return render_template(
        "bulk_retry/ask_go_on.html", page=page, line=page.way_on, names=names, view=wording
    )


@blueprint.post("/batches/<uuid:public_id>/go-on")
@requires(bulk_retry.PERMISSION)
def go_on(public_id: UUID) -> Answer:
    """Try the webhooks that failed too often once more."""
    return _done(public_id, "Bulk retry resumed.", bulk_retry.go_on)


@blueprint.get("/batches/<uuid:public_id>/report.csv")
@requires("deliveries.read")
def report(public_id: UUID) -> Response:
    """Download every delivery of a bulk retry with its outcome as CSV."""
    task = bulk_retry.find(public_id)
    return csv_download("bulk-retry.csv", wording.report_lines(task))


def _chosen(form: BatchForm, filter_: LogFilterForm) -> Selection:
    """Return the selection in the URL.

    `all` selects by the URL's filters, and `rest` selects a stopped bulk retry's unsent deliveries.
    Otherwise the ticked deliveries are selected.
    """
    again = bool(form.again.data)
    newest = form.counted_to
    if "all" in request.args:
        return Selection(wanted=filter_.chosen(), newest=newest, again=again)
    if rest_of := uuid_or_none(request.args.get("rest")):
        return Selection(rest_of=rest_of, again=again)
    ticked = dict.fromkeys(map(uuid_or_none, request.args.getlist("delivery")))
    return Selection(
        ticked=tuple(ticked_id for ticked_id in ticked if ticked_id), newest=newest, again=again
    )


def _back(choice: Selection) -> tuple[str, str]:
    """Return the label and URL of the originating page, a filtered log or a stopped bulk retry."""
    if choice.rest_of:
        return "Bulk retry", url_for("batches.show", public_id=choice.rest_of)
    filters = log_presenter.filters_in_force() if choice.wanted else {}
    webhook = choice.wanted.webhook if choice.wanted else None
    label = Names().of(webhook) if webhook else "Deliveries"
    return label, url_for("deliveries.index", **filters)


def _done(public_id: UUID, words: str, verb: Callable[..., None]) -> Answer:
    with refusals_flashed():
        verb(actor(), public_id)
        flash(words, "success")
    return redirect(url_for("batches.show", public_id=public_id))
