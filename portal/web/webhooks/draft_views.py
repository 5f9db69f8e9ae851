"""Send a test with a form's unsaved values, and show its progress."""

from typing import Any, Final
from uuid import UUID

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.services.deliveries.detail import find_delivery
from portal.services.webhooks import drafts, secrets
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.drafts import Draft
from portal.services.webhooks.rules import SecretMode
from portal.web.deliveries import presenter as delivery_presenter
from portal.web.deliveries.help_views import as_file, signature_page
from portal.web.deliveries.wording import event_name
from portal.web.forms.base import refusals_in
from portal.web.forms.parsing import uuid_or_none
from portal.web.frame.access import actor, always, requires
from portal.web.webhooks.edit_views import changes_address, edit_form, form_page
from portal.web.webhooks.forms import EditWebhookForm, WebhookForm, brings_values, form_of
from portal.web.webhooks.views import WEBHOOK, Answer

STILL_ON_ITS_WAY: Final = (
    "We didn’t send a test. The previous test is still in progress. We kept your changes."
)

blueprint = Blueprint("webhook_drafts", __name__, url_prefix="/settings/webhooks/test")


def sends_elsewhere() -> bool:
    """Return whether the test would send stored values to a URL other than their own."""
    edited = uuid_or_none(request.args.get("webhook"))
    if edited is None:
        return brings_values((), typed=False)
    stored = webhook_queries.stored_values(edited).headers
    return changes_address(edited) or brings_values(stored, typed=False)


@blueprint.post("")
@requires("webhooks.edit", again=sends_elsewhere)
def test() -> Answer:
    """Store the form as a draft and send a sample, if the form is valid."""
    edited = uuid_or_none(request.args.get("webhook"))
    webhook = webhook_queries.show(edited) if edited else None
    form = edit_form(webhook) if webhook else WebhookForm()
    if form.validate_on_submit():
        with refusals_in(form):
            _report(_send(form, edited))
            return redirect(url_for("webhook_drafts.show", public_id=form.draft_id))
    return form_page(form, webhook)


@blueprint.get(WEBHOOK)
@requires("webhooks.edit")
def show(public_id: UUID) -> Answer:
    """Show the newest test of a form, step by step."""
    draft = drafts.find(actor(), public_id)
    page = _page(draft)
    return render_template(
        "webhooks/test/show.html",
        draft=draft,
        event_name=event_name(page.delivery.event),
        made_secret=draft.values.secret_mode is SecretMode.GENERATE,
        earlier=len(draft.tests) - 1,
        **_changing(draft, page),
    )


@blueprint.get(f"{WEBHOOK}/live")
@requires("webhooks.edit")
def live(public_id: UUID) -> Response:
    """Return the part of the page that changes while the test is under way."""
    draft = drafts.find(actor(), public_id)
    page = _page(draft)
    html = render_template("webhooks/test/_live.html", **_changing(draft, page))
    return jsonify(html=html, stop=not page.is_live, announce=page.announcement)


@blueprint.get(f"{WEBHOOK}/help-bundle")
@requires("webhooks.edit")
def bundle(public_id: UUID) -> Response:
    """Download the newest test's diagnostics for the receiver's developer, without secrets."""
    return as_file(_page(drafts.find(actor(), public_id)))


@blueprint.route(f"{WEBHOOK}/signature", methods=["GET", "POST"])
@requires("webhooks.edit")
def signature(public_id: UUID) -> Answer:
    """Report the differing part of a pasted signature of the newest test."""
    back = url_for("webhook_drafts.show", public_id=public_id)
    return signature_page(_page(drafts.find(actor(), public_id)), back)


@blueprint.get(f"{WEBHOOK}/secret")
@requires("webhooks.secret", again=always)
def secret(public_id: UUID) -> Answer:
    """Show the test's generated key to its creator, because a receiver might need it first."""
    drafts.find(actor(), public_id)
    shown = secrets.shown_secret(actor(), public_id)
    return render_template("webhooks/test/secret.html", shown=shown, draft=public_id)


@blueprint.post(f"{WEBHOOK}/again")
@requires("webhooks.edit")
def again(public_id: UUID) -> Answer:
    """Send the sample again."""
    _report(drafts.send_again(actor(), public_id))
    return redirect(url_for("webhook_drafts.show", public_id=public_id))


def _send(form: WebhookForm, edited: UUID | None) -> bool:
    seen = form.version.seen if isinstance(form, EditWebhookForm) else 0
    return drafts.send_test(
        actor(),
        form.draft_id,
        form.values(),
        form.event_to_test,
        edits=edited,
        version=seen,
        to=form.to_key,
    )


def _report(is_sent: bool) -> None:
    if not is_sent:
        flash(STILL_ON_ITS_WAY, "warning")


def _changing(draft: Draft, page: delivery_presenter.DeliveryPage) -> dict[str, Any]:
    """Return the values for `_live.html`, about the test and the form to save or edit."""
    form_url = _form_url(draft)
    return {
        "page": page,
        "kept_values": form_of(draft).carried(),
        "save_url": form_url,
        "edit_url": f"{form_url}?draft={draft.public_id}",
    }


def _page(draft: Draft) -> delivery_presenter.DeliveryPage:
    delivery = find_delivery(draft.tests[0], draft=draft.public_id)
    return delivery_presenter.page_of(delivery, draft.public_id)


def _form_url(draft: Draft) -> str:
    if draft.edits is None:
        return url_for("webhook_forms.new")
    return url_for("webhook_forms.edit", public_id=draft.edits)
