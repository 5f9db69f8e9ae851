"""Serve the reader's account: name, time zone, password, and sessions."""

from typing import Final
from uuid import UUID

from flask import Blueprint, current_app, flash, redirect, render_template, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal.extensions import settings
from portal.lib.durations import in_words
from portal.services.core.refusals import Refusal
from portal.services.core.time_zones import today
from portal.services.mail import mails
from portal.services.people import accounts
from portal.services.people import sessions as open_sessions
from portal.services.people.accounts import Details
from portal.services.webhooks import watches
from portal.web.forms.base import say_whether_changed, typed
from portal.web.frame import access
from portal.web.frame.access import PUBLIC, actor, local_path, requires
from portal.web.frame.layout import THEME_COOKIE, THEMES
from portal.web.frame.wording import day_of, plural
from portal.web.people.browsers import browser_words
from portal.web.people.forms import DetailsForm, PasswordForm, zone_choices

blueprint = Blueprint("account", __name__)

Answer = str | Response | tuple[str, int]


@blueprint.get("/account")
@requires("account.edit")
def index() -> Answer:
    """Show both forms with the stored values."""
    return _page(_details_form(), PasswordForm())


@blueprint.post("/account")
@requires("account.edit")
def save() -> Answer:
    """Save the name and time zone."""
    form = _details_form()
    if not form.validate():
        return _page(form, PasswordForm(formdata=None), form), 400
    try:
        changed = accounts.change_details(
            actor(), Details(typed(form.name), form.time_zone.data or None)
        )
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(form, PasswordForm(formdata=None), form), refusal.status
    say_whether_changed(changed, "Account saved.")
    return redirect(url_for("account.index"))


@blueprint.post("/account/password")
@requires("account.edit")
def change_password() -> Answer:
    """Change the password, and end all sessions except this one."""
    form = PasswordForm()
    form.own_address = current_user.email
    if not form.validate():
        return _page(_details_form(saved=True), form, form), 400
    try:
        admission = accounts.change_password(
            actor(), typed(form.current_password), typed(form.password), browser_words()
        )
    except Refusal as refusal:
        form.refuse(refusal)
        return _page(_details_form(saved=True), form, form), refusal.status
    access.begin(admission)
    flash("Password changed. You’re signed out everywhere else.", "success")
    return redirect(url_for("account.index"))


@blueprint.post("/account/sessions/<uuid:session_id>/end")
@requires("account.edit")
def end_session(session_id: UUID) -> Answer:
    """Sign out one of the person's own browsers."""
    open_sessions.end(actor(), session_id)
    flash("Browser signed out.", "success")
    return redirect(url_for("account.index"))


@blueprint.post("/account/sessions/end-others")
@requires("account.edit")
def end_other_sessions() -> Answer:
    """Sign out all other browsers."""
    user, ended = accounts.sign_out_elsewhere(actor(), current_user.session_id)
    access.remember_device(user)
    flash(f"Signed out {plural(ended, 'other browser')}.", "success")
    return redirect(url_for("account.index"))


def _details_form(*, saved: bool = False) -> DetailsForm:
    """Return the submitted form, or with `saved` a new one with the stored values."""
    now = accounts.own_details(actor())
    values = {"name": now.name, "time_zone": now.time_zone or ""}
    form = DetailsForm(formdata=None, data=values) if saved else DetailsForm(data=values)
    form.time_zone.choices = zone_choices(settings().timezone.key)
    return form


def _page(details: DetailsForm, password: PasswordForm, failed: object = None) -> str:
    return render_template(
        "people/account.html",
        details=details,
        password=password,
        form=failed,
        sessions=open_sessions.open_sessions(actor(), current_user.session_id),
        most=open_sessions.MOST_LISTED,
        watched=watches.watched_by(actor()) if access.can(watches.PERMISSION) else None,
        most_watched=watches.MOST_LISTED,
        sends_emails=mails.is_on(),
        idle=in_words(settings().session_idle_minutes * 60),
        days=settings().session_days,
        day_seen=lambda each: (
            "Today" if each.last_seen_on == today() else day_of(each.last_seen_on)
        ),
    )


# Browsers keep cookies for at most 400 days.
LASTS: Final = 365 * 24 * 3600

theme_blueprint = Blueprint("themes", __name__)


@theme_blueprint.post("/theme")
@requires(PUBLIC)
def choose() -> Response:
    """Store the theme and go back to the page. An unknown theme means the system's."""
    answer = redirect(local_path(request.form.get("back")))
    theme, is_https = request.form.get("theme"), bool(current_app.config["SESSION_COOKIE_SECURE"])
    if theme in THEMES:
        answer.set_cookie(
            THEME_COOKIE, theme, max_age=LASTS, httponly=True, secure=is_https, samesite="Lax"
        )
    else:
        answer.delete_cookie(THEME_COOKIE, httponly=True, secure=is_https, samesite="Lax")
    return answer
