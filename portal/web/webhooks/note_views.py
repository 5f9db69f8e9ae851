"""Write the note for colleagues on a webhook's page: `/settings/webhooks/<id>/note`."""

from typing import Final
from uuid import UUID

from flask import Blueprint, redirect, render_template, request
from wtforms import HiddenField, TextAreaField

from portal.services.webhooks import notes
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.notes import NoteChanged
from portal.web.forms.base import PortalForm, refusals_in, say_whether_changed, status_of, typed
from portal.web.frame.access import actor, requires
from portal.web.webhooks.take_views import back_of, moment_of
from portal.web.webhooks.views import WEBHOOK, Answer

REMOVE: Final = "remove"  # the page's second button

blueprint = Blueprint("webhook_notes", __name__, url_prefix="/settings/webhooks")


class NoteForm(PortalForm):
    """The note. `seen` is the time of the note that the page has shown, or blank for none."""

    seen = HiddenField()
    note = TextAreaField("Note", render_kw={"rows": 8, "maxlength": notes.LONGEST})


@blueprint.route(f"{WEBHOOK}/note", methods=["GET", "POST"])
@requires(notes.PERMISSION)
def write(public_id: UUID) -> Answer:
    """Write, replace, or remove the note."""
    form, back, has_changed = NoteForm(), back_of(public_id), False
    if form.validate_on_submit():
        text = "" if REMOVE in request.form else typed(form.note)
        with refusals_in(form):
            try:
                is_new = notes.save(actor(), public_id, text, moment_of(form.seen.data))
            except NoteChanged:
                has_changed = True
                raise
            say_whether_changed(is_new, "Note saved." if text else "Note removed.")
            return redirect(back)
    webhook = webhook_queries.show(public_id)
    if not form.is_submitted():
        form.note.data = webhook.note.text if webhook.note else ""
    if has_changed or not form.is_submitted():
        form.seen.data = webhook.note.at.isoformat() if webhook.note else ""
    page = render_template(
        "webhooks/note.html",
        form=form,
        webhook=webhook,
        other=webhook.note if has_changed else None,
        remove=REMOVE,
        back=back,
    )
    return page, status_of(form)
