"""Serve Settings → Users: the list, roles, and disabled users."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from portal.models.people import Role
from portal.services.core.refusals import Stale
from portal.services.people import accounts, invitations, tokens
from portal.services.people.accounts import ROLE_NAMES, Person
from portal.web.forms.base import refusals_in, status_of
from portal.web.forms.versions import goes_on_editing, stale_page
from portal.web.frame.access import actor, always, requires
from portal.web.people.forms import ROLE_HINTS, RoleForm

blueprint = Blueprint("people", __name__, url_prefix="/settings/people")

Answer = str | Response | tuple[str, int]


@blueprint.get("")
@requires("people.manage")
def index() -> Answer:
    """List all users and the open invitations."""
    return render_template(
        "people/index.html",
        everybody=accounts.listing(),
        invitations=invitations.open_invitations(),
        role_names=ROLE_NAMES,
    )


@blueprint.get("/<uuid:public_id>")
@requires("people.manage")
def show(public_id: UUID) -> Answer:
    return _page(public_id)


@blueprint.post("/<uuid:public_id>/role")
@requires("people.manage", again=always)
def role(public_id: UUID) -> Answer:
    """Change the person's role."""
    form = RoleForm()
    if goes_on_editing() or not form.validate():
        return _page(public_id, form), status_of(form)
    try:
        with refusals_in(form):
            accounts.change_role(actor(), public_id, Role(form.role.data), form.version.seen)
    except Stale:
        return _stale(public_id, form)
    if form.form_errors:
        return _page(public_id, form), 409
    person = accounts.person(public_id)
    flash(f"{person.name} is now {ROLE_NAMES[Role(person.role)]}.", "success")
    return redirect(url_for("people.show", public_id=public_id))


@blueprint.post("/<uuid:public_id>/disable")
@requires("people.manage", again=always)
def disable(public_id: UUID) -> Answer:
    """Disable the person, and end their sessions at once."""
    form = _form(accounts.person(public_id))
    with refusals_in(form):
        accounts.disable(actor(), public_id)
    if form.form_errors:
        return _page(public_id, form), 409
    flash(f"{accounts.person(public_id).name} can no longer sign in.", "success")
    return redirect(url_for("people.show", public_id=public_id))


@blueprint.post("/<uuid:public_id>/enable")
@requires("people.manage", again=always)
def enable(public_id: UUID) -> Answer:
    """Let the person sign in again."""
    accounts.enable(actor(), public_id)
    flash(f"{accounts.person(public_id).name} can sign in again.", "success")
    return redirect(url_for("people.show", public_id=public_id))


def _form(person: Person) -> RoleForm:
    values = {"role": person.role, "version": str(person.version)}
    return RoleForm(formdata=None, data=values)


def _page(public_id: UUID, form: RoleForm | None = None) -> str:
    person = accounts.person(public_id)
    return render_template(
        "people/show.html",
        person=person,
        form=form or _form(person),
        role_name=ROLE_NAMES[Role(person.role)],
        hints=ROLE_HINTS,
        tokens=tokens.made_by(public_id),
    )


def _stale(public_id: UUID, form: RoleForm) -> tuple[str, int]:
    person = accounts.person(public_id)
    return stale_page(
        form,
        _form(person),
        target=("person", public_id, person.name),
        version=person.version,
        keep_url=url_for("people.show", public_id=public_id),
    )
