"""Import, the second step: what the headings and words of the file become."""

from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.models.tasks import Task, TaskState
from portal.services.csv import import_answers, import_matches, import_task
from portal.web.csv.import_words import origin_notes
from portal.web.csv.match_forms import MatchForm, chosen_matches, form_of
from portal.web.forms.refusals import refusals_in, status_of
from portal.web.frame.access import actor, requires

blueprint = Blueprint("import_match", __name__, url_prefix="/assets/import")


@blueprint.route("/<uuid:public_id>/match", methods=["GET", "POST"])
@requires(import_task.PERMISSION)
def match(public_id: UUID) -> Response | tuple[str, int]:
    """Say what each heading becomes, and each word that the register does not know."""
    check = import_task.find_check(public_id)
    if check.state in {TaskState.WAITING, TaskState.RUNNING}:
        return redirect(url_for("tasks.show", public_id=public_id))
    if check.params.get("import") or "headings" not in check.params:
        return redirect(url_for("importing.check", public_id=public_id))
    form = _form(check)
    if form.validate_on_submit():
        with refusals_in(form):
            columns = [name for name, _ in check.params["headings"]]
            import_matches.refuse_unfit(columns, form.answer().matches)
            if form.is_answered:
                import_answers.answer(actor(), public_id, form.answer())
                return redirect(url_for("tasks.show", public_id=public_id))
    asks_more = form.is_submitted() and not form.is_answered and status_of(form) == 200
    page = render_template(
        "csv/import_match.html",
        task=check,
        form=form,
        asks_more=asks_more,
        notes=list(origin_notes(check)),
    )
    return page, status_of(form)


def _form(check: Task) -> MatchForm:
    chosen = chosen_matches(check.params) if request.method == "POST" else None
    asked = import_answers.question(check, chosen)
    return form_of(asked, may_add=bool(check.params["may_add"]))
