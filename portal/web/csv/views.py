"""Export the register to a file, and import one: upload, match, check, confirm."""

from collections.abc import Iterator, Mapping
from uuid import UUID

from flask import Blueprint, Response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as Answer

from portal.engine.events.catalogue import EventName
from portal.extensions import settings
from portal.lib.clock import utcnow
from portal.lib.csv_cells import write_csv
from portal.models.tasks import Task, TaskState
from portal.services.core.unit_of_work import once_only
from portal.services.csv import export as csv_export
from portal.services.csv import import_answers, import_matches, import_task
from portal.services.csv.export import COLUMNS
from portal.services.csv.import_rows import Verdict
from portal.services.webhooks.queries import count_listeners
from portal.web.assets.forms import AssetFilterForm
from portal.web.assets.views import list_page
from portal.web.csv import wording
from portal.web.csv.forms import UploadForm, chosen_matches, correct_form, form_of
from portal.web.csv.wording import origin_notes
from portal.web.forms.base import PortalForm, refusals_in, status_of
from portal.web.forms.csv_download import csv_download
from portal.web.forms.parsing import UnreadableAddress, linked, number_or_none
from portal.web.frame.access import actor, owner, requires

blueprint = Blueprint("importing", __name__, url_prefix="/assets/import")
match_blueprint = Blueprint("import_match", __name__, url_prefix="/assets/import")
export_blueprint = Blueprint("exporting", __name__, url_prefix="/assets")


@blueprint.route("", methods=["GET", "POST"])
@requires(import_task.PERMISSION)
def upload() -> Answer | tuple[str, int]:
    """Upload a file and start its check. Nothing changes yet."""
    form = UploadForm()
    if form.validate_on_submit():
        with refusals_in(form):
            sheet, name = form.sheet(), form.file.data.filename or ""
            path = once_only(
                owner(),
                form.once_value,
                lambda: import_task.upload(
                    actor(),
                    sheet,
                    change_existing=bool(form.change_existing.data),
                    file_name=name,
                    asks=True,
                ),
                _next_path,
            )
            return redirect(path)
    return render_template(
        "csv/import.html", form=form, columns=COLUMNS, currency=settings().currency
    ), status_of(form)


def _next_path(public_id: UUID) -> str:
    """Return the URL of the matching page if the file needs it, else of its check."""
    is_asked = import_task.find_check(public_id).state == TaskState.PAUSED
    return url_for("import_match.match" if is_asked else "tasks.show", public_id=public_id)


@blueprint.route("/<uuid:public_id>", methods=["GET", "POST"])
@requires(import_task.PERMISSION)
def check(public_id: UUID) -> Answer | tuple[str, int]:
    """Show the effect of each row, and start the import once confirmed."""
    form = PortalForm()
    if form.validate_on_submit():
        with refusals_in(form):
            return redirect(
                url_for("tasks.show", public_id=import_task.confirm(actor(), public_id))
            )
    return _checked(public_id, form)


def _checked(public_id: UUID, form: PortalForm) -> Answer | tuple[str, int]:
    task = import_task.find_check(public_id)
    if task.state == TaskState.PAUSED:
        return redirect(url_for("import_match.match", public_id=public_id))
    if task.state in {TaskState.WAITING, TaskState.RUNNING}:
        return redirect(url_for("tasks.show", public_id=public_id))
    chosen = wording.outcomes_of(linked("show", Verdict, None))
    begin = _begin()
    rows, after = import_task.rows_page(task, chosen, begin)
    counts = import_task.outcome_counts(task)
    page = render_template(
        "csv/import_check.html",
        task=task,
        form=form,
        lines=wording.lines(task, rows),
        columns_used=wording.columns_used(task),
        after=after,
        chips=wording.chips(counts, chosen),
        wrong=sum(counts.get(verdict, 0) for verdict in import_task.WRONG),
        notes=wording.notes(task, counts),
        faults=wording.faults(task),
        would_do=wording.would_do(counts),
        to_do=sum(counts.get(verdict, 0) for verdict in import_task.TO_DO),
        listeners=count_listeners(*_events(task, counts)),
        why_not=wording.why_not_confirm(task),
    )
    return page, status_of(form)


def _begin() -> int:
    text = request.args.get("after")
    begin = number_or_none(text) if text else 0
    if begin is None:
        raise UnreadableAddress
    return begin


def _events(check: Task, counts: Mapping[str, int]) -> Iterator[EventName]:
    """Yield the events that the import would send."""
    if counts.get(Verdict.CREATE):
        yield EventName.CREATED
    if counts.get(Verdict.UPDATE):
        yield EventName.UPDATED
    if "assigned_to_email" in check.params["columns"]:
        yield EventName.ALLOCATED


@blueprint.get("/<uuid:public_id>/failed.csv")
@requires(import_task.PERMISSION)
def failed(public_id: UUID) -> Response:
    """Send the rows that were not imported, with a column for the reason."""
    check = import_task.find_check(public_id)
    between = check.params["origin"].get("separator") or ","
    return csv_download("failed-rows.csv", import_task.failed_rows(check), between)


@blueprint.get("/example.csv")
@requires(import_task.PERMISSION)
def example() -> Response:
    """Send a template file with the headings and two sample rows."""
    rows = [COLUMNS, *EXAMPLES]
    response = Response("".join(write_csv(rows)), mimetype="text/csv")
    response.headers["Content-Disposition"] = 'attachment; filename="assets-example.csv"'
    return response


_ITEM = {
    "name": "ThinkPad T14",
    "kind": "item",
    "manufacturer": "Lenovo",
    "model": "T14",
    "serial_number": "PF4X9Z2K",
    "purchase_date": "2026-02-03",
    "purchase_cost": "1249.00",
    "warranty_expires": "2029-02-03",
    "condition": "good",
    "reservable": "yes",
}
_STOCK = {"name": "Toner", "kind": "stock", "quantity": "12", "min_quantity": "4", "unit": "pieces"}
EXAMPLES = [[row.get(name, "") for name in COLUMNS] for row in (_ITEM, _STOCK)]


@match_blueprint.route("/<uuid:public_id>/match", methods=["GET", "POST"])
@requires(import_task.PERMISSION)
def match(public_id: UUID) -> Answer | tuple[str, int]:
    """Match headings to columns, choose date and amount formats, and replace unknown words."""
    check = import_task.find_check(public_id)
    if check.state in {TaskState.WAITING, TaskState.RUNNING}:
        return redirect(url_for("tasks.show", public_id=public_id))
    if check.params.get("import"):
        return redirect(url_for("importing.check", public_id=public_id))
    chosen = chosen_matches(check.params) if request.method == "POST" else None
    form = form_of(import_answers.question(check, chosen))
    if form.validate_on_submit():
        with refusals_in(form):
            columns = [name for name, _ in check.params["headings"]]
            import_matches.refuse_unfit(columns, form.matches)
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


@match_blueprint.route("/<uuid:public_id>/correct", methods=["GET", "POST"])
@requires(import_task.PERMISSION)
def correct(public_id: UUID) -> Answer | tuple[str, int]:
    """Correct rows that failed the check, and check all rows again."""
    check = import_task.find_check(public_id)
    form = correct_form(check)
    if check.state != TaskState.DONE or check.params.get("import") or not form.wrong:
        return redirect(url_for("importing.check", public_id=public_id))
    if form.validate_on_submit():
        with refusals_in(form):
            import_answers.correct(actor(), public_id, form.said())
            return redirect(url_for("tasks.show", public_id=public_id))
    wrong = import_task.outcome_counts(check)[Verdict.ERROR]
    page = render_template("csv/import_correct.html", task=check, form=form, wrong=wrong)
    return page, status_of(form)


@export_blueprint.get("/export.csv")
@requires("assets.read")
def export() -> Response | tuple[str, int]:
    """Stream the filtered list as CSV."""
    form = AssetFilterForm(request.args)
    if not form.validate():
        return list_page(form)
    chosen = form.chosen()
    return csv_download(f"assets-{utcnow():%Y-%m-%d}.csv", csv_export.rows(chosen))
