"""Serve the alert settings: rules, recipients, the latest checks, and a check by hand."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from flask import Blueprint, Response, flash, jsonify, redirect, render_template, request, url_for
from markupsafe import Markup
from werkzeug.wrappers import Response as Answer

from portal.lib.clock import utcnow
from portal.services.alerts import queries as alert_queries
from portal.services.alerts import runs
from portal.services.alerts import settings as alert_settings
from portal.services.alerts.recipients import by_kind, holders_reached
from portal.services.alerts.runs import Preview
from portal.services.alerts.sentences import fired_words
from portal.services.alerts.settings import ADDRESSES, LATE, TARGET, Emails
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import session
from portal.services.mail import mails
from portal.web.alerts.forms import AlertSettingsForm
from portal.web.alerts.recipients import emailed
from portal.web.alerts.why_not import DONE
from portal.web.alerts.wording import (
    KINDS,
    coming_audience,
    due_words,
    repeated_words,
    runs_panel,
    sentence,
)
from portal.web.forms.base import refusals_flashed, refusals_in, say_whether_changed, status_of
from portal.web.forms.versions import goes_on_editing, stale_page
from portal.web.frame.access import actor, requires
from portal.web.frame.wording import zone

blueprint = Blueprint("alert_settings", __name__, url_prefix="/settings/alerts")

Page = str | tuple[str, int] | Answer

SEND: Final = "send"
MARK: Final = "mark"


@blueprint.route("", methods=["GET", "POST"])
@requires("alerts.settings")
def index() -> Page:
    """Show and save the settings, and show the latest checks."""
    form = AlertSettingsForm.of(alert_settings.read())
    if not goes_on_editing() and form.validate_on_submit():
        try:
            with refusals_in(form):
                return _save(form)
        except Stale:
            return _stale(form)
    return _page(form)


@blueprint.get("/live")
@requires("alerts.settings")
def live() -> Response:
    """Return the part of the page that changes, the checks, for polling."""
    shown = runs_panel(utcnow())
    html = render_template("alerts/_settings_live.html", runs=shown)
    return jsonify(html=html, stop=not shown.is_live, announce=shown.announcement)


@blueprint.get("/preview")
@requires("alerts.settings")
def preview() -> str:
    """Show the alerts that a check would send now, without sending them."""
    coming = runs.preview(utcnow())
    return render_template(
        "alerts/preview.html",
        coming=coming,
        kinds=KINDS,
        sentence=sentence,
        fired=fired_words({str(event): n for event, n in coming.counts.items()}),
        audience=_would_get(coming),
        is_answered=alert_settings.read().is_answered,
    )


@blueprint.post("/run")
@requires("alerts.settings")
def run() -> Answer:
    """Queue a check."""
    return _queue(lambda: runs.request_run(actor()))


@blueprint.post("/first")
@requires("alerts.settings")
def first() -> Answer:
    """Queue the decision on alerts that were due before the first check."""
    answer = request.form.get("answer")
    if answer not in (SEND, MARK):
        flash("Decide about the alerts that are already due.", "error")
        return redirect(url_for("alert_settings.index"))
    return _queue(lambda: runs.answer_first(actor(), send=answer == SEND))


@blueprint.post("/mark")
@requires("alerts.settings")
def mark() -> Answer:
    """Queue a check that marks the alerts due now as sent."""
    return _queue(lambda: runs.mark_as_sent(actor()))


def _page(form: AlertSettingsForm) -> tuple[str, int]:
    now = utcnow()
    kinds = due_words(now)
    shown = runs_panel(now)
    coming = runs.preview(now, 0) if shown.status.needs_first_answer else None
    page = render_template(
        "alerts/settings.html",
        form=form,
        runs=shown,
        kinds=kinds,
        due=coming.total if coming else 0,
        audience=_would_get(coming) if coming else "",
        repeated=repeated_words(alert_settings.read().rules),
        zone_hint=_zone_hint(now),
        sends=mails.is_on(),
        is_mailbox=mails.is_mailbox(),
    )
    return page, status_of(form)


def _zone_hint(now: datetime) -> str:
    """Name the time zone of the time of day, and convert it to the reader's zone if they differ."""
    theirs, at = alert_settings.zone(), alert_settings.read().rules.at
    there = datetime.combine(now.astimezone(theirs).date(), at, theirs)
    here = there.astimezone(UTC).astimezone(zone())
    differs = f" ({here:%H:%M} in yours)" if here.time() != at else ""
    return f"In the organization’s time zone, {theirs.key}{differs}"


def _would_get(coming: Preview) -> str:
    """Return the recipients of the alerts that are due now."""
    recipients, emails = by_kind(), alert_settings.read().emails
    addresses = {to for event in coming.counts for to in recipients[event].addresses}
    holders = set(holders_reached(session(), emails, coming.checkouts).values())
    to = emailed(len(addresses), len(holders))
    email = f" We’ll email {to}." if to else ""
    return f"{coming_audience(alert_queries.audiences_of(coming.counts))}{email}"


def _save(form: AlertSettingsForm) -> Answer:
    before = alert_settings.read().emails
    changed = alert_settings.save(actor(), form.version.seen, form.rules(), form.emails())
    twice = form.repeated()
    once = f" We kept {' and '.join(twice)} once." if twice else ""
    say_whether_changed(changed, Markup("Saved.{}{}").format(once, _not_told(before)))
    return redirect(url_for("alert_settings.index"))


def _not_told(before: Emails) -> Markup:
    """Return a note that new recipients get no email about alerts already sent."""
    stored = alert_settings.read()
    now = stored.emails
    new = {event: set(now.of(event)) - set(before.of(event)) for event in ADDRESSES}
    addresses = sorted(set().union(*new.values()))
    is_one = len(addresses) == 1
    has_new_holders = now.remind_holder and not before.remind_holder
    who = [
        *(addresses if is_one else [f"the {len(addresses)} new addresses"] if addresses else []),
        *(["holders"] if has_new_holders else []),
    ]
    kinds = {event for event in new if new[event] or (has_new_holders and event is LATE)}
    kinds = {event for event in kinds if KINDS[event].is_on(stored.rules)}
    if not kinds or not mails.is_on():
        return Markup()
    due = alert_queries.due_now(utcnow())
    sent = {str(event): due.due[event] - due.coming.get(event, 0) for event in kinds}
    if not any(sent.values()):
        return Markup()
    sentences = f"We’ll email {' and '.join(who)} from the next alert on. {DONE.capitalize()}"
    link = Markup('<a href="{}">View alerts</a>').format(url_for("alerts.index"))
    return Markup(" {}: {}. {}").format(sentences, fired_words(sent), link)


def _stale(form: AlertSettingsForm) -> tuple[str, int]:
    stored = alert_settings.read()
    return stale_page(
        form,
        AlertSettingsForm.of(stored, formdata=None),
        target=TARGET,
        version=stored.version,
        keep_url=url_for("alert_settings.index"),
    )


def _queue(verb: Callable[[], UUID]) -> Answer:
    """Redirect to the check's progress, or to the top of the page if it is refused."""
    anchor = None
    with refusals_flashed("error"):
        verb()
        anchor = "looking"
    return redirect(url_for("alert_settings.index", _anchor=anchor))
