"""Sign in, sign out, and confirm it is you: the password is asked for again before people, keys,
tokens and secrets.

A view says by `@requires(…, again=…)` that it is one of these. Whoever opens its address is asked
on a page of its own, which leads back. Whoever sends its form is asked in between: what they typed
waits sealed in the page, for them alone, and goes on in the same request as the password. A file
would not wait: no such view takes one.
"""

import json
from typing import Final

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response

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

# What is in the page's own form and not in the one that waits.
OUR_OWN: Final = frozenset({"csrf_token", "own_password", "kept"})
TOO_LONG: Final = "This page has expired. Your entries weren’t saved. Go back and enter them again."


@blueprint.route("/sign-in", methods=["GET", "POST"])
@requires(PUBLIC)
def sign_in() -> Answer:
    """Sign in. `next` in the address: where to go on afterwards, on this portal only."""
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
    """End this session, and whatever copy of its cookie there may be."""
    access.end()
    flash("You’re signed out.", "success")
    return redirect(url_for("auth.sign_in"))


def _page(form: SignInForm, status: int) -> tuple[str, int]:
    onward = request.args.get("next")
    action = url_for("auth.sign_in", next=local_path(onward) if onward else None)
    values = {"form": form, "action": action, "sends": mails.is_on()}
    values["is_new"] = not one_time_links.has_people(session())
    return render_template("people/sign_in.html", **values), status


@confirmations_blueprint.get("/confirm")
@requires("account.edit")
def ask() -> Answer:
    """Ask for the password. `next` in the address: where to continue, on this portal only."""
    if current_user.is_confirmed:
        return redirect(_onward())
    return _question(ConfirmationForm(formdata=None), 200)


@confirmations_blueprint.post("/confirm")
@requires("account.edit", again=always)
def confirm() -> Answer:
    """Lead back to where the person was: the answer was right."""
    return redirect(_onward())


@confirmations_blueprint.before_app_request
def ask_again() -> Answer | None:
    """Let nobody through who was not asked for a while, and lose nothing that was typed."""
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
    """Check the password; where it is wrong, ask once more."""
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
    """The form that waited. Raises a `Refusal` when it is too old, or another address's."""
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
