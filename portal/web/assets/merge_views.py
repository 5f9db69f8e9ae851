"""Confirm and start merges, and list the spellings of suppliers and manufacturers."""

from enum import StrEnum
from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import SelectField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired

from portal.engine.events.catalogue import EventName
from portal.models.tasks import Task
from portal.services import merging
from portal.services.core.unit_of_work import once_only
from portal.services.merging import FIELDS
from portal.services.webhooks.queries import count_listeners
from portal.web.forms.base import PortalForm, refusals_in, status_of
from portal.web.forms.parsing import linked
from portal.web.frame.access import actor, owner, requires
from portal.web.frame.layout import page_url
from portal.web.frame.status_tags import Tab

blueprint = Blueprint("spellings", __name__, url_prefix="/assets/spellings")

Answer = Response | tuple[str, int]


class Spelt(StrEnum):
    """The free-text fields whose spellings can be merged."""

    SUPPLIER = "supplier"
    MANUFACTURER = "manufacturer"


LABELS: Final = {Spelt.SUPPLIER: "Suppliers", Spelt.MANUFACTURER: "Manufacturers"}


class MergeForm(PortalForm):
    """The choice of a merge target."""

    into = SelectField("Merge into", validate_choice=False)


def merge_page(
    field: str, key: str, *, home: str, here: str, deletes: PortalForm | None = None
) -> Answer:
    """Ask for the target to merge a category, location, or spelling into, and start the merge.

    `home`: URL of its list. `deletes`: the form of the delete page, including a refusal, if the
    merge deletes it.
    """
    what = FIELDS[field]
    subject = merging.subject(what, key)
    form = MergeForm()
    form.into.choices = [
        SelectChoice("", f"Choose a {what.one}"),
        *(SelectChoice(value, name) for value, name in subject.others),
    ]
    form.into.validators = [DataRequired(f"Choose a {what.one}")]
    refused = list(deletes.form_errors) if deletes else []
    if refused:
        form.form_errors = refused
    elif form.validate_on_submit():
        with refusals_in(form):
            path = once_only(
                owner(),
                form.once_value,
                lambda: merging.start(
                    actor(), what, key, form.into.data or "", deletes=deletes is not None
                ),
                lambda public_id: url_for("tasks.show", public_id=public_id),
            )
            return redirect(path)
    page = render_template(
        "assets/merge.html",
        form=form,
        what=what,
        subject=subject,
        home=home,
        here=here,
        deletes=deletes,
        listeners=count_listeners(EventName.UPDATED),
    )
    return page, 409 if refused else status_of(form)


def title_of(task: Task) -> str:
    """Return "Merge “Notebooks” into “Laptops”" or "Delete “Notebooks”"."""
    merge = merging.of_task(task)
    if merge.deletes:
        return f"Delete “{merge.source_name}”"
    return f"Merge “{merge.source_name}” into “{merge.target_name}”"


@blueprint.get("")
@requires("assets.read")
def index() -> str:
    """List the spellings in use with their numbers of assets."""
    field = linked("field", Spelt, Spelt.SUPPLIER)
    return render_template(
        "assets/spellings.html",
        field=field,
        page=merging.spellings(field, request.args.get("cursor")),
        tabs_of_list=[
            Tab(label, page_url(field=choice, cursor=None), choice is field, None)
            for choice, label in LABELS.items()
        ],
    )


@blueprint.route("/merge", methods=["GET", "POST"])
@requires(merging.PERMISSION)
def merge() -> Answer:
    """Ask for the target to merge a spelling into, and start the merge."""
    field, name = linked("field", Spelt, Spelt.SUPPLIER), request.args.get("name")
    home = url_for("spellings.index", field=field)
    if not name:
        return redirect(home)
    here = url_for("spellings.merge", field=field, name=name)
    return merge_page(field, name, home=home, here=here)
