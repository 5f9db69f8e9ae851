"""Serve the test email on System, and the mailbox of a local trial under Settings → Email."""

from typing import Any

from flask import Blueprint, abort, jsonify, redirect, render_template, url_for
from werkzeug.wrappers import Response

from portal.services.mail import mailbox, mails, sample_mail
from portal.services.mail.mailer import FAILED_AT, REMEDIES
from portal.web.forms.base import refusals_flashed
from portal.web.frame.access import actor, requires

blueprint = Blueprint("emails", __name__, url_prefix="/settings")


@blueprint.post("/system/test-email")
@requires(sample_mail.PERMISSION)
def test() -> Response:
    """Queue a test email to this person. The request doesn't wait, so System shows the outcome."""
    with refusals_flashed():
        sample_mail.start(actor())
    return redirect(url_for("system.index", _anchor="email"))


@blueprint.get("/system/test-email")
@requires(sample_mail.PERMISSION)
def live() -> Response:
    """Return the part of System that changes while a test is sent."""
    values = test_values()
    html = render_template("operations/_test_email.html", email=values)
    last = values["last"]
    is_over = last is None or last.is_over
    return jsonify(html=html, stop=is_over, announce="Test email: done" if is_over else "")


@blueprint.get("/email")
@requires("system.read")
def index() -> str:
    """Show the newest emails of a local trial without a mail server."""
    if not mails.is_mailbox():
        abort(404)
    return render_template("operations/email.html", mails=mailbox.newest())


def test_values() -> dict[str, Any]:
    """Return the template values for the email setup and this person's last test."""
    return {
        "is_on": mails.is_on(),
        "is_mailbox": mails.is_mailbox(),
        "last": sample_mail.last(actor()),
        "failed_at": FAILED_AT,
        "remedies": REMEDIES,
    }
