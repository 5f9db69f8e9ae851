"""Serve invitations under Settings → Users. Their maker sees the link for 15 minutes."""

from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response

from portal.models.people import Role
from portal.services.core.refusals import NotAllowed, Refusal
from portal.services.core.unit_of_work import once_only
from portal.services.mail import mails
from portal.services.people import invitations
from portal.services.people.accounts import ROLE_NAMES
from portal.services.people.invitations import InvitationOver
from portal.web.forms.base import refusals_flashed, typed
from portal.web.frame.access import actor, always, owner, requires
from portal.web.people.forms import ROLE_HINTS, InvitationForm

blueprint = Blueprint("invitations", __name__, url_prefix="/settings/people")

Answer = str | Response | tuple[str, int]


@blueprint.errorhandler(InvitationOver)
def over(error: InvitationOver) -> Response:
    """Redirect to the list of users with the reason."""
    flash(error.sentence, "info")
    return redirect(url_for("people.index"))


@blueprint.get("/invite")
@requires("people.manage", again=always)
def new() -> Answer:
    """Ask for an address and a role."""
    return _form_page(InvitationForm())


@blueprint.post("/invite")
@requires("people.manage", again=always)
def invite() -> Answer:
    """Store the invitation. Its page shows the link."""
    form = InvitationForm()
    if not form.validate():
        return _form_page(form), 400
    by, email, role = actor(), typed(form.email), Role(form.role.data)
    try:
        path = once_only(
            owner(),
            form.once_value,
            lambda: invitations.invite(by, email, role),
            lambda public_id: url_for("invitations.show", public_id=public_id),
        )
    except NotAllowed:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
        return _form_page(form), refusal.status
    return redirect(path)


@blueprint.get("/invitations/<uuid:public_id>")
@requires("people.manage", again=always)
def show(public_id: UUID) -> Answer:
    """Show an invitation, with its link while this person can see it."""
    found = invitations.invitation(actor(), public_id)
    name = ROLE_NAMES[Role(found.role)]
    values = {"invitation": found, "role_name": name, "sends": mails.is_on()}
    values["is_mailbox"] = mails.is_mailbox()
    return render_template("people/invitation.html", **values)


@blueprint.post("/invitations/<uuid:public_id>/copied")
@requires("people.manage")
def copied(public_id: UUID) -> Answer:
    """Hide the link after it was copied."""
    invitations.hide(actor(), public_id)
    flash("Link hidden. It works for 7 days.", "success")
    return redirect(url_for("people.index"))


@blueprint.post("/invitations/<uuid:public_id>/send")
@requires("people.manage", again=always)
def send(public_id: UUID) -> Answer:
    """Email the link to the invited person."""
    with refusals_flashed("warning"):
        flash(sending(invitations.send(actor(), public_id)), "success")
    return redirect(url_for("invitations.show", public_id=public_id))


@blueprint.post("/invitations/<uuid:public_id>/renew")
@requires("people.manage", again=always)
def renew(public_id: UUID) -> Answer:
    """Create a new link. The previous one stops working."""
    invitations.renew(actor(), public_id)
    flash("New link created. The old one no longer works.", "success")
    return redirect(url_for("invitations.show", public_id=public_id))


@blueprint.post("/invitations/<uuid:public_id>/cancel")
@requires("people.manage", again=always)
def cancel(public_id: UUID) -> Answer:
    """Cancel the invitation. Its link stops working."""
    invitations.cancel(actor(), public_id)
    flash("Invitation canceled. Its link no longer works.", "success")
    return redirect(url_for("people.index"))


def sending(address: str) -> str:
    """Return the message to show once a link is being sent to this address."""
    if mails.is_mailbox():
        return f"The email to {address} is under Settings → Email."
    return f"We’re sending the link to {address}. If it doesn’t arrive, check System."


def _form_page(form: InvitationForm) -> str:
    sends = mails.is_on()
    return render_template("people/invite.html", form=form, hints=ROLE_HINTS, sends=sends)
