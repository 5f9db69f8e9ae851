"""Serve the staff pages (`/staff`): people who can hold assets, and the assets they have."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response
from wtforms import EmailField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.lib.paging import Page
from portal.models.assets import Action, Asset
from portal.models.assignments import Staff
from portal.models.audit import ErasedKind
from portal.services.actions.rules import why_not
from portal.services.assets import staff
from portal.services.assets.staff import LENGTHS, ListedStaff, StaffValues
from portal.services.core.erasures import find_erasure
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import once_only, session
from portal.web.actions.pages import PAGES
from portal.web.forms.base import PortalForm, refusals_in, say_whether_changed, status_of, typed
from portal.web.forms.filter_form import ChosenField, FilterForm, SearchField
from portal.web.forms.versions import VersionField, goes_on_editing, stale_page
from portal.web.frame.access import actor, can, owner, requires
from portal.web.planning.wording import NextStep

# Bulk actions for the assets that a person has.
TOGETHER: Final = (Action.CHECK_IN, Action.REVOKE)
WHO = [SelectChoice("", "Current staff"), SelectChoice("left", "Former staff")]


def _line(name: str, label: str, hint: str = "") -> StringField:
    kept = {"maxlength": LENGTHS[name], "autocomplete": "off"}
    return StringField(label, description=hint, render_kw=kept)


class StaffForm(PortalForm):
    """The form of a staff member. Field names are column names."""

    version = VersionField()
    name = _line("name", "Name")
    email = EmailField(
        "Email address",
        description="Used to match people in other systems and for reminders of overdue assets",
        render_kw={"maxlength": LENGTHS["email"], "autocomplete": "off", "spellcheck": "false"},
    )
    employee_no = _line("employee_no", "Employee number")
    department = _line("department", "Department")
    phone = _line("phone", "Phone")

    def values(self) -> StaffValues:
        """Return the entered values for the service."""
        return StaffValues(
            name=typed(self["name"]),
            email=typed(self.email),
            employee_no=typed(self.employee_no) or None,
            department=typed(self.department) or None,
            phone=typed(self.phone) or None,
        )


class StaffFilterForm(FilterForm):
    """The filter above the list, kept in the URL."""

    q = SearchField("Name, email address, or department")
    who = ChosenField("Show", choices=WHO)


Answer = Response | str | tuple[str, int]

blueprint = Blueprint("staff", __name__, url_prefix="/staff")


@blueprint.get("")
@requires("assets.read")
def index() -> Answer:
    """Show the list sorted by name, filtered by the URL."""
    form = StaffFilterForm(request.args)
    page: Page[ListedStaff] = Page([])
    if form.validate():
        left, search = form.who.data == "left", form.q.data or ""
        page = staff.listing(search, left=left, cursor=request.args.get("cursor"))
    has_any = bool(page.rows) or staff.has_staff()
    html = render_template("assets/staff/index.html", filter=form, page=page, has_any=has_any)
    return html, status_of(form)


@blueprint.route("/new", methods=["GET", "POST"])
@requires("assets.edit")
def new() -> Answer:
    form = StaffForm()
    if form.validate_on_submit():
        values = form.values()
        with refusals_in(form):
            path = once_only(
                owner(),
                form.once_value,
                lambda: staff.create(actor(), values),
                lambda public_id: url_for("staff.show", public_id=public_id),
            )
            flash(f"Added {values.name}.", "success")
            return redirect(path)
    page = render_template("assets/staff/form.html", form=form, row=None)
    return page, status_of(form)


@blueprint.get("/<uuid:public_id>")
@requires("assets.read")
def show(public_id: UUID) -> Answer:
    """Show one person with their assets and reservations."""
    return _shown("assets/staff/show.html", staff.find(public_id))


@blueprint.route("/<uuid:public_id>/edit", methods=["GET", "POST"])
@requires("assets.edit")
def edit(public_id: UUID) -> Answer:
    row = staff.find(public_id)
    form = StaffForm(data=_stored(row))
    if not goes_on_editing() and form.validate_on_submit():
        try:
            with refusals_in(form):
                return _save(public_id, form)
        except Stale:
            return _stale(public_id, form)
    page = render_template("assets/staff/form.html", form=form, row=staff.find(public_id))
    return page, status_of(form)


@blueprint.route("/<uuid:public_id>/leave", methods=["GET", "POST"])
@requires("assets.edit")
def leave(public_id: UUID) -> Answer:
    """Confirm, then mark the person as former staff. Refused while they hold or reserve assets."""
    form = StaffForm()
    if form.is_submitted():
        with refusals_in(form):
            staff.deactivate(actor(), public_id)
        if not form.form_errors:
            flash(f"Marked {staff.find(public_id).name} as former staff.", "success")
            return redirect(url_for("staff.show", public_id=public_id))
    page = _shown("assets/staff/leave.html", staff.find(public_id), form)
    return page, 409 if form.form_errors else status_of(form)


@blueprint.route("/<uuid:public_id>/return", methods=["GET", "POST"])
@requires("assets.edit")
def come_back(public_id: UUID) -> Answer:
    if request.method == "POST":
        staff.reactivate(actor(), public_id)
        flash(f"Marked {staff.find(public_id).name} as current staff.", "success")
    return redirect(url_for("staff.show", public_id=public_id))


def _shown(template: str, row: Staff, form: StaffForm | None = None) -> str:
    held = staff.has_now(row.id)
    return render_template(
        template,
        row=row,
        form=form,
        is_erased=find_erasure(session(), ErasedKind.STAFF, row.id) is not None,
        has_now=held,
        has_reserved=staff.has_reserved(row.id),
        ending_steps=_ending_steps,
        together=_together([holding.asset for holding in held]) if can("assets.edit") else [],
    )


# Actions that take an asset from its holder.
ENDING: Final = [page for page in PAGES if page.action in (*TOGETHER, Action.REASSIGN)]


def _ending_steps(asset: Asset) -> list[NextStep]:
    """Return the actions that take the asset from its holder. They lead back to this page."""
    if not can("assets.edit"):
        return []
    return [
        NextStep(page.label, url_for(page.endpoint, asset_id=asset.id, list=request.path), None)
        for page in ENDING
        if why_not(page.action, asset.status, asset.kind) is None
    ]


def _together(held: Sequence[Asset]) -> Iterator[tuple[str, str]]:
    """Yield (label, URL) of each bulk action that is possible for more than one of these assets."""
    for page in ENDING:
        ids = [asset.id for asset in held if why_not(page.action, asset.status, asset.kind) is None]
        if page.action in TOGETHER and len(ids) > 1:
            words = f"{page.label} {len(ids)}"
            yield words, url_for("bulk.confirm", action=page.action, ids=ids)


def _stored(row: Staff) -> dict[str, object]:
    return asdict(staff.values_of(row)) | {"version": row.version}


def _save(public_id: UUID, form: StaffForm) -> Response:
    changed = staff.edit(actor(), public_id, form.version.seen, form.values())
    say_whether_changed(changed)
    return redirect(url_for("staff.show", public_id=public_id))


def _stale(public_id: UUID, form: StaffForm) -> tuple[str, int]:
    row = staff.find(public_id)
    return stale_page(
        form,
        StaffForm(formdata=None, data=_stored(row)),
        target=("staff", public_id, row.name),
        version=row.version,
        keep_url=url_for("staff.show", public_id=public_id),
    )
