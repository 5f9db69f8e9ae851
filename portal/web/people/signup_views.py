"""The pages behind one-time links: the first set-up, and invitations. Only POST uses a link up."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.models.people import Link, LinkKind, Role
from portal.services.core.refusals import Refusal
from portal.services.people import one_time_links, signup
from portal.services.people.signup import NewPerson
from portal.services.people.users import ROLE_NAMES
from portal.web.forms.base import typed
from portal.web.frame import access
from portal.web.frame.access import PUBLIC, requires
from portal.web.people.browsers import browser_words
from portal.web.people.forms import JoinForm, SetUpForm

blueprint = Blueprint("joining", __name__)

Answer = Response | tuple[str, int]


@blueprint.errorhandler(one_time_links.DeadLink)
def dead(_refusal: one_time_links.DeadLink) -> tuple[str, int]:
    """A page that says so, and leads to the door."""
    return render_template("people/dead_link.html"), one_time_links.DeadLink.status


def leads_on() -> Response:
    """Where a form leads that uses up a link a second time: to the door, or on for who is in."""
    if current_user.is_authenticated:
        return redirect(url_for("home.index"))
    flash("This link was used already. Sign in with the password chosen then.", "info")
    return redirect(url_for("auth.sign_in"))


@blueprint.get("/setup")
@requires(PUBLIC)
def setup() -> Answer:
    """The form that makes the first administrator."""
    one_time_links.read(LinkKind.SETUP, _token())
    return _setup_page(SetUpForm(), 200)


@blueprint.post("/setup")
@requires(PUBLIC)
def set_up() -> Answer:
    """Make the first administrator, and sign them in."""
    form = SetUpForm()
    if not form.validate():
        one_time_links.read(LinkKind.SETUP, _token())
        return _setup_page(form, 400)
    values = NewPerson(
        name=typed(form.name),
        email=typed(form.email),
        password=typed(form.password),
        time_zone=form.time_zone.data or None,
    )
    try:
        admission = signup.set_up(_token(), form.once_value, values, browser_words())
    except one_time_links.DeadLink:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return _setup_page(form, refusal.status)
    if admission is None:
        return leads_on()
    access.begin(admission)
    flash(f"Welcome, {admission.user.name}. The portal is yours.", "success")
    return redirect(url_for("home.index"))


@blueprint.get("/invitation")
@requires(PUBLIC)
def invitation() -> Answer:
    """The form with which an invited person joins."""
    return _invitation_page(JoinForm(), one_time_links.read(LinkKind.INVITE, _token()), 200)


@blueprint.post("/invitation")
@requires(PUBLIC)
def accept() -> Answer:
    """Make the invited person a user, and sign them in."""
    form = JoinForm()
    invited = one_time_links.issued(LinkKind.INVITE, _token())
    email = form.own_address = invited.email or ""
    if not form.validate():
        return _invitation_page(form, one_time_links.read(LinkKind.INVITE, _token()), 400)
    values = NewPerson(
        name=typed(form.name),
        email=email,
        password=typed(form.password),
        time_zone=form.time_zone.data or None,
    )
    try:
        admission = signup.accept(_token(), form.once_value, values, browser_words())
    except one_time_links.DeadLink:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return _invitation_page(
            form, one_time_links.read(LinkKind.INVITE, _token()), refusal.status
        )
    if admission is None:
        return leads_on()
    access.begin(admission)
    flash(f"Welcome, {admission.user.name}.", "success")
    return redirect(url_for("home.index"))


def _token() -> str:
    return request.args.get("token", "")


def _setup_page(form: SetUpForm, status: int) -> tuple[str, int]:
    action = url_for("joining.set_up", token=_token())
    return render_template("people/setup.html", form=form, action=action), status


def _invitation_page(form: JoinForm, link: Link, status: int) -> tuple[str, int]:
    action = url_for("joining.accept", token=_token())
    role = ROLE_NAMES[Role(link.role)]
    page = render_template(
        "people/signup.html", form=form, action=action, email=link.email, role=role
    )
    return page, status
