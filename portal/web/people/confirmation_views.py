"""Confirm it is you: the password is asked for again before people, keys, tokens and secrets.

A view says by `@requires(…, again=…)` that it is one of them. Whoever opens its address is asked
on a page of its own, which leads back. Whoever sends its form is asked in between: what they typed
waits sealed in the page, for them alone, and goes on in the same request as the password. A file
would not wait: no such view takes one.
"""

import json
from typing import Final

from flask import Blueprint, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.wrappers import Response

from portal.services.core import vault
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.people import account
from portal.services.people.sign_in_throttle import Throttled
from portal.web.forms.base import typed
from portal.web.frame.access import actor, always, condition_of, local_path, posted, requires
from portal.web.people.forms import ConfirmationForm

blueprint = Blueprint("confirmations", __name__)

Answer = Response | tuple[str, int] | tuple[str, int, dict[str, str]]
Sent = ImmutableMultiDict[str, str]

# What is in the page's own form and not in the one that waits.
OUR_OWN: Final = frozenset({"csrf_token", "own_password", "kept"})
TOO_LONG: Final = (
    "This page was open for too long, and what you typed is not kept any more. "
    "Go back, and enter it again."
)


@blueprint.get("/confirm")
@requires("account.edit")
def ask() -> Answer:
    """The question. `next` in the address: where to continue, on this portal only."""
    if current_user.is_confirmed:
        return redirect(_onward())
    return _page(ConfirmationForm(formdata=None), 200)


@blueprint.post("/confirm")
@requires("account.edit", again=always)
def confirm() -> Answer:
    """The answer was right: back to where the person was."""
    return redirect(_onward())


@blueprint.before_app_request
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
    return _checked(form) if is_answer else _page(ConfirmationForm(formdata=None), 200)


def _checked(form: ConfirmationForm) -> Answer | None:
    """Nothing where the password is right, else the question once more."""
    if not form.validate():
        return _page(form, 400)
    try:
        account.confirm(actor(), current_user.session_id, typed(form.own_password))
    except Throttled as refusal:
        form.refuse(refusal)
        return *_page(form, refusal.status), {"Retry-After": str(refusal.seconds)}
    except NotAllowed:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(form, refusal.status)
    return None


def _page(form: ConfirmationForm, status: int) -> tuple[str, int]:
    """The question, with what waits for the answer."""
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
