"""Test before saving: the form is tried out, and its page follows the sample step by step."""

from typing import Final
from uuid import UUID

from flask import Blueprint, flash, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from portal.services import drafts, webhook_reads, webhook_secrets
from portal.services.delivery_detail import find_delivery
from portal.services.drafts import Draft
from portal.services.refusals import Refusal
from portal.services.webhook_values import SecretMode
from portal.web import delivery_view
from portal.web.access import actor, requires
from portal.web.delivery_help import as_file, signature_page
from portal.web.draft_forms import form_of
from portal.web.forms.addressed import uuid_or_none
from portal.web.forms.webhooks import EditWebhookForm, WebhookForm
from portal.web.submitting import refusals_in
from portal.web.webhook_forms import NOT_EDITED, edit_form, form_page
from portal.web.webhooks import WEBHOOK, Answer

STILL_ON_ITS_WAY: Final = (
    "The test before is still on its way, so nothing more was sent. What you changed is kept."
)

blueprint = Blueprint("webhook_drafts", __name__, url_prefix="/settings/webhooks/test")


@blueprint.post("")
@requires("webhooks.edit")
def test() -> Answer:
    """Keep what the form says and send a sample with it; what could not be saved is refused."""
    edited = uuid_or_none(request.args.get("webhook"))
    webhook = webhook_reads.show(edited) if edited else None
    if webhook and webhook.is_inbox:
        raise Refusal(NOT_EDITED)
    form = edit_form(webhook) if webhook else WebhookForm()
    if form.validate_on_submit():
        with refusals_in(form):
            _report(_send(form, edited))
            return redirect(url_for("webhook_drafts.show", public_id=form.draft_id))
    return form_page(form, webhook)


@blueprint.get(WEBHOOK)
@requires("webhooks.edit")
def show(public_id: UUID) -> Answer:
    """The newest test of a form, step by step, and what can be done with the form."""
    draft = drafts.find(actor(), public_id)
    form = form_of(draft)
    form_url = _form_url(draft)
    return render_template(
        "webhooks/test.html",
        draft=draft,
        page=_page(draft),
        made_secret=draft.values.secret_mode is SecretMode.GENERATE,
        earlier=len(draft.tests) - 1,
        carried=form.carried(),
        save_url=form_url,
        edit_url=f"{form_url}?draft={public_id}",
    )


@blueprint.get(f"{WEBHOOK}/live")
@requires("webhooks.edit")
def live(public_id: UUID) -> Response:
    """The changing part of the page, for as long as the test is under way."""
    page = _page(drafts.find(actor(), public_id))
    html = render_template("deliveries/_live.html", page=page)
    return jsonify(html=html, stop=not page.is_live, announce=page.announcement)


@blueprint.get(f"{WEBHOOK}/help-bundle")
@requires("webhooks.edit")
def bundle(public_id: UUID) -> Response:
    """The newest test for the receiver's developer, without secrets."""
    return as_file(_page(drafts.find(actor(), public_id)))


@blueprint.route(f"{WEBHOOK}/signature", methods=["GET", "POST"])
@requires("webhooks.edit")
def signature(public_id: UUID) -> Answer:
    """Say which part of a signature of the newest test differs."""
    back = url_for("webhook_drafts.show", public_id=public_id)
    return signature_page(_page(drafts.find(actor(), public_id)), back)


@blueprint.get(f"{WEBHOOK}/secret")
@requires("webhooks.secret")
def secret(public_id: UUID) -> Answer:
    """The key that we made for the test, for its maker alone: a receiver may want it first."""
    drafts.find(actor(), public_id)
    shown = webhook_secrets.shown_secret(actor(), public_id)
    return render_template("webhooks/test_secret.html", shown=shown, draft=public_id)


@blueprint.post(f"{WEBHOOK}/again")
@requires("webhooks.edit")
def again(public_id: UUID) -> Answer:
    """The same once more."""
    _report(drafts.send_again(actor(), public_id))
    return redirect(url_for("webhook_drafts.show", public_id=public_id))


def _send(form: WebhookForm, edited: UUID | None) -> bool:
    seen = form.seen if isinstance(form, EditWebhookForm) else 0
    return drafts.send_test(
        actor(), form.draft_id, form.values(), form.event_to_test, edits=edited, version=seen
    )


def _report(is_sent: bool) -> None:
    if not is_sent:
        flash(STILL_ON_ITS_WAY, "warning")


def _page(draft: Draft) -> delivery_view.DeliveryPage:
    delivery = find_delivery(draft.tests[0], draft=draft.public_id)
    return delivery_view.page_of(delivery, draft.public_id)


def _form_url(draft: Draft) -> str:
    if draft.edits is None:
        return url_for("webhook_forms.new")
    return url_for("webhook_forms.edit", public_id=draft.edits)
