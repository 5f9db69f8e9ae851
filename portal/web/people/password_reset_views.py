"""A lost password: an administrator makes a one-time link, its page takes the new password."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.models.people import LinkKind
from portal.services.core.refusals import Refusal
from portal.services.people import one_time_links, password_resets, users
from portal.web.forms.base import refusals_flashed, typed
from portal.web.frame import access
from portal.web.frame.access import PUBLIC, actor, always, requires
from portal.web.people import signup_views
from portal.web.people.browsers import browser_words
from portal.web.people.forms import NewPasswordForm

blueprint = Blueprint("new_passwords", __name__)
blueprint.register_error_handler(one_time_links.DeadLink, signup_views.dead)

Answer = str | Response | tuple[str, int]


@blueprint.get("/settings/people/<uuid:public_id>/new-password")
@requires("people.manage", again=always)
def show(public_id: UUID) -> Answer:
    """The link for this person while its maker may see it, and how to make one."""
    person = users.person(public_id)
    found = password_resets.offered(actor(), public_id)
    return render_template("people/new_password.html", person=person, offer=found)


@blueprint.post("/settings/people/<uuid:public_id>/new-password")
@requires("people.manage", again=always)
def offer(public_id: UUID) -> Answer:
    """Make a link; one that was made before is dead."""
    then = "people.show"
    with refusals_flashed("warning"):
        password_resets.offer(actor(), public_id)
        then = "new_passwords.show"
    return redirect(url_for(then, public_id=public_id))


@blueprint.post("/settings/people/<uuid:public_id>/new-password/copied")
@requires("people.manage")
def copied(public_id: UUID) -> Answer:
    """The link was copied: show it no more."""
    password_resets.hide(actor(), public_id)
    flash("The link is not shown any more. It works once, for 24 hours.", "success")
    return redirect(url_for("people.show", public_id=public_id))


@blueprint.get("/new-password")
@requires(PUBLIC)
def choose() -> Answer:
    """The form for a new password. Looking at it uses nothing up."""
    return _page(NewPasswordForm(), 200)


@blueprint.post("/new-password")
@requires(PUBLIC)
def save() -> Answer:
    """Store the new password, and sign the person in."""
    form = NewPasswordForm()
    form.own_address = one_time_links.issued(LinkKind.RESET, _token()).email or ""
    if not form.validate():
        return _page(form, 400)
    try:
        admission = password_resets.use(
            _token(), form.once_value, typed(form.password), request.remote_addr, browser_words()
        )
    except one_time_links.DeadLink:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(form, refusal.status)
    if admission is None:
        return signup_views.leads_on()
    access.begin(admission)
    flash("Your new password is saved. Everywhere else you are signed out.", "success")
    return redirect(url_for("home.index"))


def _token() -> str:
    return request.args.get("token", "")


def _page(form: NewPasswordForm, status: int) -> tuple[str, int]:
    link = one_time_links.read(LinkKind.RESET, _token())
    action = url_for("new_passwords.save", token=_token())
    page = render_template("people/password_reset.html", form=form, action=action, email=link.email)
    return page, status
