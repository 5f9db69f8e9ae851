"""Sign in, sign out."""

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.services.core.refusals import Refusal
from portal.services.people.sign_in import sign_in as check
from portal.services.people.sign_in_throttle import Throttled
from portal.web.forms.base import typed
from portal.web.frame import access
from portal.web.frame.access import PUBLIC, local_path, requires
from portal.web.people.browsers import browser_words
from portal.web.people.forms import SignInForm

blueprint = Blueprint("auth", __name__)


@blueprint.route("/sign-in", methods=["GET", "POST"])
@requires(PUBLIC)
def sign_in() -> Response | tuple[str, int] | tuple[str, int, dict[str, str]]:
    """The door. `next` in the address: where to go on afterwards, on this portal only."""
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
    flash("You are signed out.", "success")
    return redirect(url_for("auth.sign_in"))


def _page(form: SignInForm, status: int) -> tuple[str, int]:
    onward = request.args.get("next")
    action = url_for("auth.sign_in", next=local_path(onward) if onward else None)
    return render_template("people/sign_in.html", form=form, action=action), status
