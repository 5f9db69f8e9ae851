"""Bulk retry: the page that asks first, the progress, Stop, Go on, and the report."""

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
    stream_with_context,
    url_for,
)
from werkzeug.wrappers import Response as Answer
from wtforms import BooleanField, HiddenField

from portal.lib.csv_safe import write_csv
from portal.services import batch_choice, batches
from portal.services.batch_choice import Choice
from portal.services.refusals import NotAllowed, NotFound, Refusal
from portal.services.unit import once_only
from portal.web import batch_view, log_view
from portal.web.access import actor, owner, requires
from portal.web.forms.addressed import uuid_or_none
from portal.web.forms.base import PortalForm
from portal.web.forms.deliveries import LogFilterForm
from portal.web.submitting import refusals_in, status_of

blueprint = Blueprint("batches", __name__)


class BatchForm(PortalForm):
    """Yes. `newest`: the newest delivery when it was counted."""

    newest = HiddenField()
    again = BooleanField("Send what has arrived once more, too")

    @property
    def counted_to(self) -> int:
        """The id up to which a person saw the count."""
        text = self.newest.data or ""
        is_id = text.isascii() and text.isdigit() and len(text) < 19
        return int(text) if is_id else batch_choice.newest_now()


@blueprint.route("/deliveries/retry", methods=["GET", "POST"])
@requires(batches.PERMISSION)
def confirm() -> Answer | tuple[str, int]:
    """How many, to whom, why they failed, what is left out; then the button."""
    form = BatchForm()
    choice = _chosen(form)
    if choice.wanted is None and not choice.ticked:
        flash("Tick the deliveries to retry first.", "info")
        return redirect(url_for("deliveries.index"))
    if form.validate_on_submit():
        with refusals_in(form):
            path = once_only(
                owner(),
                form.once_value,
                lambda: batches.start(actor(), choice),
                lambda public_id: url_for("batches.show", public_id=public_id),
            )
            return redirect(path)
    form.newest.data = str(choice.newest)
    count = batch_choice.count(replace(choice, again=False))
    page = render_template(
        "batches/confirm.html", form=form, choice=choice, count=count, view=batch_view
    )
    return page, status_of(form)


@blueprint.get("/batches/<uuid:public_id>")
@requires("deliveries.read")
def show(public_id: UUID) -> str:
    """How far it got, where it waits, and how it ended."""
    page = batch_view.page_of(batches.find(public_id))
    return render_template("batches/show.html", page=page, view=batch_view, log_view=log_view)


@blueprint.get("/batches/<uuid:public_id>/live")
@requires("deliveries.read")
def live(public_id: UUID) -> Response:
    """The changing part of the page."""
    page = batch_view.page_of(batches.find(public_id))
    html = render_template("batches/_live.html", page=page, view=batch_view, log_view=log_view)
    return jsonify(html=html, stop=not page.base.is_live, announce=page.announcement)


@blueprint.post("/batches/<uuid:public_id>/stop")
@requires("deliveries.stop")
def stop(public_id: UUID) -> Answer:
    """End it: what is not being sent yet is as it was before."""
    return _done(public_id, "Stopped.", batches.stop)


@blueprint.post("/batches/<uuid:public_id>/go-on")
@requires(batches.PERMISSION)
def go_on(public_id: UUID) -> Answer:
    """Try the webhooks that failed too often once more."""
    return _done(public_id, "It goes on.", batches.go_on)


@blueprint.get("/batches/<uuid:public_id>/report.csv")
@requires("deliveries.read")
def report(public_id: UUID) -> Response:
    """Every delivery of it, and what became of it, as a file."""
    rows = write_csv(batch_view.lines(batches.find(public_id)))
    answer = Response(stream_with_context(rows), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="bulk-retry.csv"'
    return answer


def _chosen(form: BatchForm) -> Choice:
    """What the address names: ticked deliveries, or with `all` its filters."""
    again = bool(form.again.data)
    newest = form.counted_to
    if "all" in request.args:
        wanted = LogFilterForm(request.args).chosen()
        return Choice(wanted=wanted, newest=newest, again=again)
    ticked = dict.fromkeys(map(uuid_or_none, request.args.getlist("delivery")))
    return Choice(ticked=tuple(each for each in ticked if each), newest=newest, again=again)


def _done(public_id: UUID, words: str, verb: Callable[..., None]) -> Answer:
    try:
        verb(actor(), public_id)
        flash(words, "success")
    except (NotFound, NotAllowed):
        raise
    except Refusal as refusal:
        flash(refusal.sentence, "info")
    return redirect(url_for("batches.show", public_id=public_id))
