"""Show the progress of background tasks of every kind on one page."""

from uuid import UUID

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, url_for
from werkzeug.wrappers import Response as Answer

from portal.services import tasks
from portal.services.core.refusals import NotAllowed, NotFound
from portal.services.task_kinds import KINDS
from portal.services.tasks import Kind
from portal.web.forms.base import refusals_flashed
from portal.web.frame.access import actor, can, requires
from portal.web.frame.layout import stand_under
from portal.web.tasks.presenter import TaskPage, page_of

blueprint = Blueprint("tasks", __name__, url_prefix="/tasks")


@blueprint.get("/<uuid:public_id>")
@requires("tasks.read")
def show(public_id: UUID) -> str | Answer:
    """Show the task's progress or result."""
    page = _page(public_id)
    if page.next_url:
        return redirect(page.next_url)
    if page.under:
        stand_under(page.under)
    return render_template("tasks/show.html", page=page)


@blueprint.get("/<uuid:public_id>/live")
@requires("tasks.read")
def live(public_id: UUID) -> Response:
    """Return the part of the page that changes, for polling."""
    page = _page(public_id)
    if page.next_url:
        return jsonify(next=page.next_url)
    html = render_template("tasks/_live.html", page=page)
    return jsonify(html=html, stop=not page.is_live, announce=page.announcement)


@blueprint.post("/<uuid:public_id>/stop")
@requires("tasks.read")
def stop(public_id: UUID) -> Answer:
    kind = _kind(_page(public_id))
    with refusals_flashed():
        tasks.stop(actor(), public_id, kind)
        flash("Stopped.", "success")
    return redirect(url_for("tasks.show", public_id=public_id))


def _page(public_id: UUID) -> TaskPage:
    page = page_of(tasks.find(public_id))
    if not can(_kind(page).permission):
        raise NotAllowed("You can’t do this with your role. Ask an administrator.")
    return page


def _kind(page: TaskPage) -> Kind:
    kind = KINDS.get(page.task.kind)
    if kind is None:
        raise NotFound("This portal no longer has this kind of task.")
    return kind
