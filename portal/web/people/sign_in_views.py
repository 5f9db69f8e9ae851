"""Sign in, sign out, and ask for the password again before people, keys, tokens, and secrets.

A view opts in with `@requires(…, again=…)`. A request for its page redirects to a page that asks
for the password and leads back. A submitted form is not lost: it waits sealed in the page that
asks, readable only for this person, and continues in the same request as the password. A file can't
wait, so no such view takes one.
"""

import json
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response

from portal.extensions import settings
from portal.services.core import vault
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import session
from portal.services.mail import mails
from portal.services.people import accounts, one_time_links
from portal.services.people.sign_in import sign_in as check
from portal.services.people.sign_in_throttle import Throttled
from portal.web.forms.base import typed
from portal.web.frame import access
from portal.web.frame.access import (
    PUBLIC,
    actor,
    always,
    condition_of,
    local_path,
    posted,
    requires,
)
from portal.web.people.browsers import browser_words
from portal.web.people.forms import ConfirmationForm, SignInForm

blueprint = Blueprint("auth", __name__)
confirmations_blueprint = Blueprint("confirmations", __name__)

Answer = Response | tuple[str, int] | tuple[str, int, dict[str, str]]
Sent = ImmutableMultiDict[str, str]

# Fields of the page's own form that don't belong to the waiting form.
OUR_OWN: Final = frozenset({"csrf_token", "own_password", "kept"})
TOO_LONG: Final = "This page has expired. Your entries weren’t saved. Go back and enter them again."


@blueprint.route("/sign-in", methods=["GET", "POST"])
@requires(PUBLIC)
def sign_in() -> Answer:
    """Sign in. `next` in the URL: the path to continue at, on this portal only."""
    onward = local_path(request.args.get("next"))
    if current_user.is_authenticated:
        return redirect(onward)
    form = SignInForm()
    if not form.is_submitted():
        return _page(form, 200)
    if not form.validate():
        return _page(form, 400)
    try:
        known, words = access.known_devices(), browser_words()
        admission = check(
            typed(form.email), typed(form.password), request.remote_addr, known, words
        )
    except Throttled as refusal:
        form.refuse(refusal)
        return *_page(form, refusal.status), {"Retry-After": str(refusal.seconds)}
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(form, refusal.status)
    access.begin(admission)
    return redirect(onward)


@blueprint.post("/sign-out")
@requires("account.edit")
def sign_out() -> Response:
    """End this session, including all copies of its cookie."""
    access.end()
    flash("You’re signed out.", "success")
    return redirect(url_for("auth.sign_in"))


def _page(form: SignInForm, status: int) -> tuple[str, int]:
    onward = request.args.get("next")
    action = url_for("auth.sign_in", next=local_path(onward) if onward else None)
    values = {"form": form, "action": action, "sends": mails.is_on()}
    values["command_name"] = settings().command_name
    values["is_new"] = not one_time_links.has_people(session())
    return render_template("people/sign_in.html", **values), status


@confirmations_blueprint.get("/confirm")
@requires("account.edit")
def ask() -> Answer:
    """Ask for the password. `next` in the URL: the path to continue at, on this portal only."""
    if current_user.is_confirmed:
        return redirect(_onward())
    return _question(ConfirmationForm(formdata=None), 200)


@confirmations_blueprint.post("/confirm")
@requires("account.edit", again=always)
def confirm() -> Answer:
    """Redirect back after the password was correct."""
    return redirect(_onward())


@confirmations_blueprint.before_app_request
def ask_again() -> Answer | None:
    """Ask for the password if the last time is too long ago, and keep the submitted form."""
    asks = condition_of(request.endpoint or "")
    if asks is None:
        return None
    if not posted():
        is_asked = asks() and not current_user.is_confirmed
        return redirect(url_for("confirmations.ask", next=_here())) if is_asked else None
    form = ConfirmationForm()
    is_answer = form.own_password.name in request.form
    if is_answer:
        request.form = _opened(form)
    if current_user.is_confirmed or not asks():
        return None
    return _checked(form) if is_answer else _question(ConfirmationForm(formdata=None), 200)


def _checked(form: ConfirmationForm) -> Answer | None:
    """Check the password, and ask again if it is wrong. Return None if it is correct."""
    if not form.validate():
        return _question(form, 400)
    try:
        accounts.confirm(actor(), current_user.session_id, typed(form.own_password))
    except Throttled as refusal:
        form.refuse(refusal)
        return *_question(form, refusal.status), {"Retry-After": str(refusal.seconds)}
    except NotAllowed:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return _question(form, refusal.status)
    return None


def _question(form: ConfirmationForm, status: int) -> tuple[str, int]:
    form.kept.data = _sealed()
    is_waiting = request.endpoint not in {"confirmations.ask", "confirmations.confirm"}
    page = render_template(
        "people/confirmation.html", form=form, action=_here(), is_waiting=is_waiting
    )
    return page, status


def _sealed() -> str:
    sent = [pair for pair in request.form.items(multi=True) if pair[0] not in OUR_OWN]
    return vault.seal_typed(current_user.user_id, json.dumps([_here(), sent]))


def _opened(form: ConfirmationForm) -> Sent:
    """Return the form that waited. Raises `Refusal` if it is too old or from another URL."""
    text = vault.open_typed(current_user.user_id, typed(form.kept))
    try:
        here, sent = json.loads(text or "")
        pairs = [(str(name), str(value)) for name, value in sent]
    except (ValueError, TypeError):
        raise Refusal(TOO_LONG) from None
    if here != _here():
        raise Refusal(TOO_LONG)
    return ImmutableMultiDict(pairs)


def _here() -> str:
    return request.script_root + request.full_path.rstrip("?")


def _onward() -> str:
    return local_path(request.args.get("next"))
