"""The own account: name, time zone, password."""

from flask import Blueprint, flash, redirect, render_template, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.extensions import settings
from portal.services.core.refusals import Refusal
from portal.services.people import account
from portal.services.people.account import Details
from portal.web.forms.base import typed
from portal.web.frame import sessions
from portal.web.frame.access import actor, requires
from portal.web.people.forms import DetailsForm, PasswordForm, zone_choices

blueprint = Blueprint("account", __name__)

Answer = str | Response | tuple[str, int]


@blueprint.get("/account")
@requires("account.edit")
def index() -> Answer:
    """Both forms, with what is saved now."""
    return _page(_details_form(), PasswordForm())


@blueprint.post("/account")
@requires("account.edit")
def save() -> Answer:
    """Save name and time zone."""
    form = _details_form()
    if not form.validate():
        return _page(form, PasswordForm(formdata=None), form), 400
    try:
        changed = account.change_details(
            actor(), Details(typed(form.name), form.time_zone.data or None)
        )
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(form, PasswordForm(formdata=None), form), refusal.status
    flash("Your account is saved." if changed else "Nothing was changed.", "success")
    return redirect(url_for("account.index"))


@blueprint.post("/account/password")
@requires("account.edit")
def change_password() -> Answer:
    """Change the password; this session goes on, all others end."""
    form = PasswordForm()
    form.own_address = current_user.email
    if not form.validate():
        return _page(_details_form(saved=True), form, form), 400
    try:
        user = account.change_password(actor(), typed(form.current_password), typed(form.password))
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(_details_form(saved=True), form, form), refusal.status
    sessions.begin(user)
    flash("Your password is changed. You are signed out everywhere else.", "success")
    return redirect(url_for("account.index"))


def _details_form(*, saved: bool = False) -> DetailsForm:
    """The form as it was sent, or (`saved`) as it would be opened now."""
    now = account.own_details(actor())
    values = {"name": now.name, "time_zone": now.time_zone or ""}
    form = DetailsForm(formdata=None, data=values) if saved else DetailsForm(data=values)
    form.time_zone.choices = zone_choices(settings().timezone.key)
    return form


def _page(details: DetailsForm, password: PasswordForm, failed: object = None) -> str:
    return render_template("people/account.html", details=details, password=password, form=failed)
