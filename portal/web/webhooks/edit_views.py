"""Add, edit, and delete webhooks, and manage their secret keys."""

from dataclasses import replace
from typing import Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, request, url_for

from portal.engine.events.catalogue import GROUPS, event_type
from portal.engine.formats.presets import PRESETS, has_ended
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import once_only
from portal.services.webhooks import crud, keys, secrets, would_have_gone
from portal.services.webhooks import queries as webhook_queries
from portal.services.webhooks.queries import WebhookDetail
from portal.services.webhooks.redirects import new_url
from portal.services.webhooks.rows import TARGET
from portal.services.webhooks.rules import LONGEST_NAME, SecretMode, place_of
from portal.services.webhooks.would_have_gone import Counted
from portal.web.forms.base import refusals_in, say_whether_changed, status_of, tidy
from portal.web.forms.parsing import number_or_none, uuid_or_none
from portal.web.forms.versions import goes_on_editing, stale_page
from portal.web.frame.access import actor, always, owner, posted, requires
from portal.web.help.topics import overlap_words
from portal.web.webhooks.destinations import (
    beginning,
    cards,
    cautions,
    folded_words,
    key_caution,
    offers,
    posts_words,
)
from portal.web.webhooks.forms import (
    CONFIRMED,
    EditWebhookForm,
    WebhookForm,
    brings_values,
    form_data,
    tested_form,
)
from portal.web.webhooks.views import WEBHOOK, Answer
from portal.web.webhooks.wording import deleted_words, held_count

COPY: Final = " (copy)"
ITS_ADDRESS_IS_HIDDEN: Final = (
    "The URL contains a secret part, so only administrators see all of it."
)
A_CHATS_ADDRESS_IS_HIDDEN: Final = "Only administrators see a chat’s full URL."

blueprint = Blueprint("webhook_forms", __name__, url_prefix="/settings/webhooks")


def enters_secrets() -> bool:
    """Return whether the form changes a key or header value, or sends stored values elsewhere."""
    if request.method != "POST":
        return False
    if request.form.get("secret_mode", SecretMode.KEEP) != SecretMode.KEEP:
        return True
    public_id = (request.view_args or {})["public_id"]
    return changes_address(public_id) or brings_values(
        webhook_queries.stored_values(public_id).headers
    )


def changes_address(public_id: UUID) -> bool:
    """Return whether the form changes the URL, even at the same host, or stops hiding it."""
    if tidy(request.form.get("url", "")) != webhook_queries.address(public_id):
        return True
    return "url_is_secret" not in request.form and webhook_queries.show(public_id).url_is_secret


@blueprint.get("/where")
@requires("webhooks.edit")
def where() -> Answer:
    """Show the gallery of destinations for a new webhook."""
    return render_template("webhooks/where.html", groups=cards())


@blueprint.route("/new", methods=["GET", "POST"])
@requires("webhooks.edit", again=posted)
def new() -> Answer:
    """Add a webhook."""
    form = WebhookForm() if request.method == "POST" else tested_form(None) or _begun()
    if not _stays(form) and form.validate_on_submit():
        with refusals_in(form):
            path = once_only(
                owner(), form.once_value, lambda: _create(form), lambda made: _after(form, made)
            )
            flash(_saved(form), "success")
            return redirect(path)
    return form_page(form, None)


@blueprint.route(f"{WEBHOOK}/edit", methods=["GET", "POST"])
@requires("webhooks.edit", again=enters_secrets)
def edit(public_id: UUID) -> Answer:
    """Edit a webhook, but ask before its secret is replaced or removed."""
    webhook = webhook_queries.show(public_id)
    form = edit_form(webhook)
    stays = goes_on_editing() or _stays(form)
    if not stays and form.validate_on_submit():
        if _replaces_secret(form, webhook) and CONFIRMED not in request.form:
            return _confirm_secret(form, webhook)
        try:
            with refusals_in(form):
                return redirect(_save(form, public_id))
        except Stale:
            return _stale(form, webhook_queries.show(public_id))
    return form_page(form, webhook)


@blueprint.route(f"{WEBHOOK}/delete", methods=["GET", "POST"])
@requires("webhooks.edit")
def delete(public_id: UUID) -> Answer:
    """Delete a webhook after confirmation."""
    if request.method == "POST":
        flash(deleted_words(crud.delete(actor(), public_id)), "success")
        return redirect(url_for("webhooks.index"))
    webhook = webhook_queries.show(public_id)
    count = webhook_queries.count_open(public_id)
    return render_template(
        "webhooks/delete.html", webhook=webhook, waiting=held_count(count) if count else ""
    )


def _create(form: WebhookForm) -> UUID:
    return crud.create(actor(), form.values(), form.draft_id)


def _saved(form: WebhookForm) -> str:
    is_shown = not form.url_is_secret.data
    hidden = ITS_ADDRESS_IS_HIDDEN if form.brings_key and not is_shown else ""
    if form.format_key and is_shown:
        hidden = A_CHATS_ADDRESS_IS_HIDDEN
    return f"{form.name.data} saved. {hidden}".rstrip()


def _save(form: EditWebhookForm, public_id: UUID) -> str:
    edited = crud.edit(actor(), public_id, form.version.seen, form.values(), form.draft_id)
    say_whether_changed(edited.is_changed, _saved(form))
    if edited.asks_about_held:
        return url_for("webhook_switches.on", public_id=public_id)
    return _after(form, public_id)


def _after(form: WebhookForm, public_id: UUID) -> str:
    """Return the next page after saving, which shows the secret if one was generated."""
    is_made = form.mode is SecretMode.GENERATE
    return url_for("webhook_secrets.show" if is_made else "webhooks.show", public_id=public_id)


def _changes_rows(form: WebhookForm) -> bool:
    """Add or remove a row of headers or conditions, for browsers without JavaScript.

    Return whether the request asked for that.
    """
    if "add_headers" in request.form:
        form.headers.append_entry()
        return True
    if "add_conditions" in request.form:
        form.conditions.add(request.form.get("condition_on"))
        return True
    for rows in (form.headers, form.conditions):
        removed = request.form.get(f"remove_{rows.short_name}")
        if removed is not None:
            place = number_or_none(removed)
            if place is not None and place < len(rows.entries):
                del rows.entries[place]
            return True
    return False


def _stays(form: WebhookForm) -> bool:
    """Return whether to only show the form again, with other rows or with a count."""
    return _changes_rows(form) or "count_events" in request.form


def _counted(form: WebhookForm) -> Counted | None:
    """Count the events that would have been sent, if requested and if conditions are valid."""
    if "count_events" not in request.form or not form.conditions.check():
        return None
    return would_have_gone.count(form.stored_events, form.conditions.text)


def _begun() -> WebhookForm:
    """Return a new webhook's form, filled from the copied webhook or product in the URL."""
    if copied := uuid_or_none(request.args.get("copy")):
        return _copied(copied)
    preset = PRESETS.get(request.args.get("to", ""))
    return WebhookForm(formdata=None, **beginning(preset)) if preset else WebhookForm()


def _copied(copied: UUID) -> WebhookForm:
    """Return a form filled from another webhook, without its key and header values."""
    values = webhook_queries.stored_values(copied)
    name = f"{values.name[: LONGEST_NAME - len(COPY)]}{COPY}"
    headers = tuple((header, "") for header, _ in values.headers)
    mode = SecretMode.NONE if values.format else SecretMode.GENERATE
    values = replace(values, name=name, headers=headers, secret_mode=mode, owner=None)
    form = WebhookForm(formdata=None, **form_data(values), decided_url=values.url)
    form.copy_of = webhook_queries.show(copied).name
    return form


def edit_form(webhook: WebhookDetail) -> EditWebhookForm:
    """Return the form with submitted values, else with tested ones, else with stored ones."""
    sent = EditWebhookForm() if request.method == "POST" else None
    if sent and not sent.format.raw_data:  # the page is from before formats existed
        sent.format.data = webhook.format or ""
    form = sent or tested_form(webhook.public_id) or _redirected(webhook)
    form.stored_names = frozenset(name.lower() for name in webhook.header_names)
    form.offer_keys(webhook.has_secret)
    form.offer_owners(is_gone=webhook.owner is None)
    form.stored_url = webhook_queries.address(webhook.public_id)
    return form


def _redirected(webhook: WebhookDetail) -> EditWebhookForm:
    """Return the form with stored values, and the target of the redirect that the URL names.

    Only a recorded response gives the target, so no link can bring another one.
    """
    form, delivery = _filled(webhook), uuid_or_none(request.args.get("redirected"))
    if delivery and (url := new_url(webhook.public_id, delivery)):
        form.url.data, form.is_redirected = url, True
    return form


def _filled(webhook: WebhookDetail) -> EditWebhookForm:
    """Return the form with stored values, even if others were submitted."""
    values = webhook_queries.stored_values(webhook.public_id)
    if "replace" in request.args:
        values = replace(values, secret_mode=SecretMode.GENERATE)
    form = EditWebhookForm(formdata=None, **form_data(values), version=str(webhook.version))
    form.filled_place = place_of(values.url) or ""
    form.offer_owners(is_gone=webhook.owner is None)
    return form


def form_page(form: WebhookForm, webhook: WebhookDetail | None) -> Answer:
    """Render the form with its secrets sealed."""
    form.seal()
    groups = [
        (group.label, [(str(e.value), e.name, e.explanation, str(e.value)) for e in events])
        for group, events in GROUPS
    ]
    unsent = webhook_queries.count_open(webhook.public_id) if webhook else 0
    is_chat = webhook is not None and webhook.format is not None
    page = render_template(
        "webhooks/form.html",
        form=form,
        webhook=webhook,
        groups=groups,
        overlap=overlap_words(),
        counted_events=_counted(form),
        event_name=lambda value: event_type(value).name,
        preset=PRESETS["teams"] if has_ended(form.url.data or "") else form.preset,
        is_unknown=bool(request.args.get("to")) and form.preset is None,
        unsent=unsent,
        posts="" if is_chat else posts_words(unsent),
        offers=offers(form.lookalikes, form.format_key),
        folded=folded_words(form.conditions.forms, form.format_key),
        cautions=cautions(form.url.data or "", form.format_key, [name for name, _ in form.pairs]),
        key_caution=key_caution(form.format_key),
    )
    return page, status_of(form)


def _replaces_secret(form: WebhookForm, webhook: WebhookDetail) -> bool:
    return webhook.has_secret and form.mode is not SecretMode.KEEP


def _confirm_secret(form: EditWebhookForm, webhook: WebhookDetail) -> Answer:
    removes = form.mode is SecretMode.NONE
    return render_template(
        "webhooks/replace.html",
        webhook=webhook,
        kept=form.carried(),
        removes=removes,
        moves=form.moves,
        overlap=overlap_words(),
    )


def _stale(form: EditWebhookForm, webhook: WebhookDetail) -> tuple[str, int]:
    return stale_page(
        form,
        _filled(webhook),
        target=(TARGET, webhook.public_id, webhook.name),
        version=webhook.version,
        keep_url=url_for("webhooks.show", public_id=webhook.public_id),
        withheld=("headers", "secret", "test_event"),
        kept=[pair for pair in form.carried() if pair[0] != "version"],
    )


secrets_blueprint = Blueprint("webhook_secrets", __name__, url_prefix="/settings/webhooks")


@secrets_blueprint.get(f"{WEBHOOK}/secret")
@requires("webhooks.secret", again=always)
def show(public_id: UUID) -> Answer:
    """Show a generated secret to its creator for a short time."""
    return render_template(
        "webhooks/secret.html",
        webhook=webhook_queries.show(public_id),
        shown=secrets.shown_secret(actor(), public_id),
    )


@secrets_blueprint.post(f"{WEBHOOK}/secret/switch")
@requires("webhooks.secret", again=always)
def switch(public_id: UUID) -> Answer:
    """Sign only with the new secret from now on."""
    if secrets.switch_now(actor(), public_id):
        flash("Switched to the new secret key.", "success")
    return redirect(url_for("webhooks.show", public_id=public_id))


@secrets_blueprint.route(f"{WEBHOOK}/secret/erase", methods=["GET", "POST"])
@requires("webhooks.secret", again=posted)
def erase(public_id: UUID) -> Answer:
    """Ask, then erase undecryptable secrets so that the webhook can be turned on without them."""
    if request.method == "POST":
        parts = keys.erase_undecryptable(actor(), public_id)
        flash(
            *("Erased the unreadable secrets.", "success")
            if parts
            else ("There’s nothing to erase.", "info")
        )
        return redirect(url_for("webhooks.show", public_id=public_id))
    return render_template("webhooks/erase.html", webhook=webhook_queries.show(public_id))


@secrets_blueprint.post(f"{WEBHOOK}/secret")
@requires("webhooks.secret")
def copied(public_id: UUID) -> Answer:
    """Stop showing the secret."""
    secrets.forget_shown(actor(), public_id)
    return redirect(url_for("webhooks.show", public_id=public_id))
