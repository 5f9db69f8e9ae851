"""Serve the pages behind one-time links, and the form to request one.

The links are for setup, invitations, and new passwords. Only POST uses up a link.
"""

from collections.abc import Callable
from typing import TypeVar
from uuid import UUID

from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.models.people import LinkKind, Role
from portal.services.core.refusals import Refusal
from portal.services.mail import mails
from portal.services.people import (
    accounts,
    forgotten_passwords,
    invitations,
    one_time_links,
    password_resets,
)
from portal.services.people.accounts import ROLE_NAMES
from portal.services.people.invitations import NewPerson
from portal.services.people.one_time_links import DeadLink
from portal.services.people.sessions import Admission
from portal.services.people.sign_in_throttle import Throttled
from portal.web.forms.base import PortalForm, refusals_flashed, typed
from portal.web.frame import access
from portal.web.frame.access import PUBLIC, actor, always, requires
from portal.web.people.browsers import browser_words
from portal.web.people.forms import ForgottenForm, JoinForm, NewPasswordForm, SetUpForm
from portal.web.people.invitation_views import sending

blueprint = Blueprint("joining", __name__)
new_passwords_blueprint = Blueprint("new_passwords", __name__)

Form = TypeVar("Form", bound=PortalForm)
Answer = Response | tuple[str, int] | tuple[str, int, dict[str, str]]


@blueprint.errorhandler(DeadLink)
@new_passwords_blueprint.errorhandler(DeadLink)
def dead(_refusal: DeadLink) -> tuple[str, int]:
    """Say that the link no longer works."""
    may_ask = request.blueprint == new_passwords_blueprint.name and mails.is_on()
    return render_template("people/dead_link.html", may_ask=may_ask), DeadLink.status


@blueprint.get("/setup")
@requires(PUBLIC)
def setup() -> Answer:
    """Show the form that creates the first administrator."""
    return _setup_page(SetUpForm(), 200)


@blueprint.post("/setup")
@requires(PUBLIC)
def set_up() -> Answer:
    """Create the first administrator, and sign them in."""
    form = SetUpForm()

    def use() -> Admission | None:
        values = _new_person(form, typed(form.email))
        return invitations.set_up(_token(), form.once_value, values, browser_words())

    return _use_up(form, use, _setup_page, "Welcome, {}. The portal is ready.")


@blueprint.get("/invitation")
@requires(PUBLIC)
def invitation() -> Answer:
    """Show the form to accept an invitation."""
    return _invitation_page(JoinForm(), 200)


@blueprint.post("/invitation")
@requires(PUBLIC)
def accept() -> Answer:
    """Turn the invited person into a user, and sign them in."""
    form = JoinForm()
    form.own_address = one_time_links.issued(LinkKind.INVITE, _token()).email or ""

    def use() -> Admission | None:
        values = _new_person(form, form.own_address)
        return invitations.accept(_token(), form.once_value, values, browser_words())

    return _use_up(form, use, _invitation_page, "Welcome, {}.")


@new_passwords_blueprint.get("/settings/people/<uuid:public_id>/new-password")
@requires("people.manage", again=always)
def show(public_id: UUID) -> str:
    """Show the person's link while its maker can see it, and the button to create one."""
    person, offer = accounts.person(public_id), password_resets.offered(actor(), public_id)
    values = {"person": person, "offer": offer, "sends": mails.is_on()}
    values["is_mailbox"] = mails.is_mailbox()
    return render_template("people/new_password.html", **values)


@new_passwords_blueprint.post("/settings/people/<uuid:public_id>/new-password")
@requires("people.manage", again=always)
def offer(public_id: UUID) -> Response:
    """Create a link. A previous one stops working."""
    then = "people.show"
    with refusals_flashed("warning"):
        password_resets.offer(actor(), public_id)
        then = "new_passwords.show"
    return redirect(url_for(then, public_id=public_id))


@new_passwords_blueprint.post("/settings/people/<uuid:public_id>/new-password/copied")
@requires("people.manage")
def copied(public_id: UUID) -> Response:
    """Hide the link after it was copied."""
    password_resets.hide(actor(), public_id)
    flash("Link hidden. It works once within 24 hours.", "success")
    return redirect(url_for("people.show", public_id=public_id))


@new_passwords_blueprint.post("/settings/people/<uuid:public_id>/new-password/send")
@requires("people.manage", again=always)
def send(public_id: UUID) -> Response:
    """Email the link to its person."""
    with refusals_flashed("warning"):
        flash(sending(password_resets.send(actor(), public_id)), "success")
    return redirect(url_for("new_passwords.show", public_id=public_id))


@new_passwords_blueprint.get("/new-password")
@requires(PUBLIC)
def choose() -> Answer:
    """Show the form for a new password."""
    return _password_page(NewPasswordForm(), 200)


@new_passwords_blueprint.post("/new-password")
@requires(PUBLIC)
def save() -> Answer:
    """Store the new password, and sign the person in."""
    form = NewPasswordForm()
    form.own_address = one_time_links.issued(LinkKind.RESET, _token()).email or ""

    def use() -> Admission | None:
        password, network = typed(form.password), request.remote_addr
        return password_resets.use(_token(), form.once_value, password, network, browser_words())

    saved = "New password saved. You’re signed out everywhere else."
    return _use_up(form, use, _password_page, saved)


@new_passwords_blueprint.get("/forgot-password")
@requires(PUBLIC)
def forgotten() -> Answer:
    """Ask for the address to send a link to."""
    return _forgotten_page(ForgottenForm(), 200)


@new_passwords_blueprint.post("/forgot-password")
@requires(PUBLIC)
def ask() -> Answer:
    """Request a link for the address. The response is the same with or without an account."""
    form = ForgottenForm()
    if not mails.is_on() or not form.validate():
        return _forgotten_page(form, 400)
    try:
        forgotten_passwords.ask(typed(form.email), request.remote_addr)
    except Throttled as refusal:
        form.refuse(refusal)
        page, status = _forgotten_page(form, refusal.status)
        return page, status, {"Retry-After": str(refusal.seconds)}
    return redirect(url_for("new_passwords.asked"))


@new_passwords_blueprint.get("/forgot-password/sent")
@requires(PUBLIC)
def asked() -> str:
    """Say that a link is on its way, if the account exists."""
    if not mails.is_on():
        abort(404)
    return render_template("people/forgotten_sent.html", is_mailbox=mails.is_mailbox())


def _forgotten_page(form: ForgottenForm, status: int) -> tuple[str, int]:
    if not mails.is_on():
        abort(404)
    action = url_for("new_passwords.ask")
    return render_template("people/forgotten.html", form=form, action=action), status


def _token() -> str:
    return request.args.get("token", "")


def _new_person(form: SetUpForm | JoinForm, email: str) -> NewPerson:
    name, password = typed(form.name), typed(form.password)
    return NewPerson(
        name=name, email=email, password=password, time_zone=form.time_zone.data or None
    )


def _use_up(
    form: Form,
    use: Callable[[], Admission | None],
    page: Callable[[Form, int], Answer],
    welcome: str,
) -> Answer:
    """Use up the link and sign in its person. A form that is sent twice leads to sign-in."""
    if not form.validate():
        return page(form, 400)
    try:
        admission = use()
    except DeadLink:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return page(form, refusal.status)
    if admission is not None:
        access.begin(admission)
        flash(welcome.format(admission.user.name), "success")
        return redirect(url_for("home.index"))
    if current_user.is_authenticated:
        return redirect(url_for("home.index"))
    flash("This link was already used. Sign in with your new password.", "info")
    return redirect(url_for("auth.sign_in"))


def _setup_page(form: SetUpForm, status: int) -> Answer:
    one_time_links.read(LinkKind.SETUP, _token())
    action = url_for("joining.set_up", token=_token())
    return render_template("people/setup.html", form=form, action=action), status


def _invitation_page(form: JoinForm, status: int) -> Answer:
    link = one_time_links.read(LinkKind.INVITE, _token())
    action, role = url_for("joining.accept", token=_token()), ROLE_NAMES[Role(link.role)]
    values = {"form": form, "action": action, "email": link.email, "role": role}
    return render_template("people/signup.html", **values), status


def _password_page(form: NewPasswordForm, status: int) -> Answer:
    link = one_time_links.read(LinkKind.RESET, _token())
    action = url_for("new_passwords.save", token=_token())
    values = {"form": form, "action": action, "email": link.email}
    return render_template("people/password_reset.html", **values), status
