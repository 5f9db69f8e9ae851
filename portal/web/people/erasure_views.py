"""Erase a user or a staff member: `/settings/people/<id>/erase`, `/staff/<id>/erase`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from flask import Blueprint, flash, redirect, render_template, url_for
from werkzeug.wrappers import Response
from wtforms import SelectMultipleField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired

from portal.lib.clock import utcnow
from portal.models.audit import ErasedKind
from portal.services import tasks
from portal.services.core.erasures import find_erasure
from portal.services.core.refusals import Stale
from portal.services.core.unit_of_work import session
from portal.services.erasure import erase as erasing
from portal.services.erasure.person import KnownPerson, person_to_be
from portal.services.erasure.preview import MOST_READ, Mention, preview
from portal.services.people import tokens
from portal.web.forms.base import PortalForm, refusals_in, status_of
from portal.web.forms.versions import VersionField
from portal.web.frame.access import actor, always, requires
from portal.web.frame.wording import day_of, days_kept, number, plural

blueprint = Blueprint("erasure", __name__)

Answer = str | Response | tuple[str, int]
# kind → (name in endpoints, endpoint of the person's page, endpoint of the list)
PAGES: Final = {
    ErasedKind.USER: ("user", "people.show", "people.index"),
    ErasedKind.STAFF: ("staff", "staff.show", "staff.index"),
}


@blueprint.route("/settings/people/<uuid:public_id>/erase", methods=["GET", "POST"])
@requires("people.erase", again=always)
def user(public_id: UUID) -> Answer:
    """Show the effect of erasing a user, and erase them once their email address is typed."""
    return _page(ErasedKind.USER, public_id)


@blueprint.route("/staff/<uuid:public_id>/erase", methods=["GET", "POST"])
@requires("people.erase", again=always)
def staff(public_id: UUID) -> Answer:
    """Show the effect of erasing a staff member, and erase them after the same confirmation."""
    return _page(ErasedKind.STAFF, public_id)


@blueprint.post("/settings/people/<uuid:public_id>/erase/continue")
@requires("people.erase")
def continue_user(public_id: UUID) -> Answer:
    """Resume the erasure of a user that ended early."""
    return _continue(ErasedKind.USER, public_id)


@blueprint.post("/staff/<uuid:public_id>/erase/continue")
@requires("people.erase")
def continue_staff(public_id: UUID) -> Answer:
    """Resume the erasure of a staff member that ended early."""
    return _continue(ErasedKind.STAFF, public_id)


def _page(kind: ErasedKind, public_id: UUID) -> Answer:
    row = erasing.find(kind, public_id)
    if find_erasure(session(), kind, row.id) is not None:
        return _progress(kind, public_id)
    person = person_to_be(session(), row)
    form = EraseForm.about(person, row.version)
    here = url_for(f"erasure.{PAGES[kind][0]}", public_id=public_id)
    if form.validate_on_submit():
        try:
            with refusals_in(form):
                typed, sought = form.typed.data or "", form.ticked(person)
                number = erasing.erase(actor(), kind, public_id, form.shown.seen, typed, sought)
                flash(f"This person is now “Erased person {number}”.", "success")
                return redirect(here)
        except Stale as stale:
            flash(stale.sentence, "warning")
            return redirect(here)
    row = erasing.find(kind, public_id)
    seen = preview(actor(), row)
    html = render_template(
        "erasure/show.html",
        **_common(kind, row),
        form=form,
        tokens=tokens.made_by(public_id) if kind is ErasedKind.USER else [],
        seen=seen,
        changes=in_words(seen.rows),
        person=person,
        mentions={str(n): places_in_words(mention) for n, mention in enumerate(seen.mentions)},
        last_day=day_of(utcnow() + timedelta(days=days_kept())),
    )
    return html, status_of(form)


def _progress(kind: ErasedKind, public_id: UUID) -> str:
    row = erasing.find(kind, public_id)
    erasure = find_erasure(session(), kind, row.id)
    assert erasure is not None  # noqa: S101 - its rows are never deleted
    is_stuck = erasing.is_stuck(erasure)
    task = None
    if erasure.finished_at is None and not is_stuck and erasure.task_public_id:
        task = tasks.find(erasure.task_public_id)
    return render_template(
        "erasure/progress.html",
        **_common(kind, row),
        erasure=erasure,
        task=task,
        is_stuck=is_stuck,
        changes=in_words(erasure.counts),
    )


def _continue(kind: ErasedKind, public_id: UUID) -> Answer:
    erasing.resume(actor(), kind, public_id)
    flash("The erasure continues.", "success")
    return redirect(url_for(f"erasure.{PAGES[kind][0]}", public_id=public_id))


def _common(kind: ErasedKind, row: Any) -> dict[str, object]:
    name, page, _ = PAGES[kind]
    other = PAGES[ErasedKind.STAFF if kind is ErasedKind.USER else ErasedKind.USER]
    return {
        "row": row,
        "is_user": kind is ErasedKind.USER,
        "here": url_for(f"erasure.{name}", public_id=row.public_id),
        "further": url_for(f"erasure.continue_{name}", public_id=row.public_id),
        "back": url_for(page, public_id=row.public_id),
        "other_page": other[1],
    }


class EraseForm(PortalForm):
    """The texts to look for, and the person's email address, typed to prevent a slip.

    `shown`: the version of the person whose names are listed.
    """

    shown = VersionField()
    sought = SelectMultipleField(
        "Replace in texts",
        validate_choice=False,
        description="Clear names that could also be a word or another person. One-word and "
        "shared names aren’t selected",
    )
    typed = StringField(
        "Email address",
        validators=[DataRequired("Enter the email address shown above")],
        render_kw={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "off"},
    )

    @classmethod
    def about(cls, person: KnownPerson, version: int) -> "EraseForm":
        """Return the form for this person. Names are sent as their places in the list."""
        usual = [str(n) for n, text in enumerate(person.texts) if text in person.usual]
        form = cls(data={"shown": version, "sought": usual})
        form.sought.choices = [SelectChoice(str(n), entry) for n, entry in enumerate(person.texts)]
        return form

    def ticked(self, person: KnownPerson) -> list[str]:
        """Return the selected names and addresses. Values that are not in the list are ignored."""
        sent = self.sought.data or ()
        return [text for n, text in enumerate(person.texts) if str(n) in sent]


# table → (words for one row, for many)
ROWS: Final[Mapping[str, tuple[str, str]]] = {
    "activities": ("timeline entry", "timeline entries"),
    "stock_moves": ("stock move", "stock moves"),
    "assignments": ("check-out or allocation", "check-outs and allocations"),
    "reservations": ("reservation", "reservations"),
    "maintenances": ("maintenance job", "maintenance jobs"),
    "incidents": ("loss, damage, or transfer report", "loss, damage, or transfer reports"),
    "alerts": ("alert", "alerts"),
    "alert_runs": ("alert check", "alert checks"),
    "tokens": ("API token", "API tokens"),
    "alert_settings": ("alert setting", "alert settings"),
    "deliveries": ("delivery", "deliveries"),
    "leases": ("request in progress", "requests in progress"),
    "attempts": ("attempt", "attempts"),
    "webhooks": ("webhook", "webhooks"),
    "mails": ("email", "emails"),
    "sending_switch": ("pause of all sending", "pauses of all sending"),
    "tasks": ("import or bulk action", "imports and bulk actions"),
    "task_rows": ("row in an import or bulk action", "rows in imports and bulk actions"),
    "audit_entries": ("audit entry", "audit entries"),
}


def in_words(rows: Mapping[str, int]) -> list[str]:
    """Return "12 timeline entries", "1 alert", and so on, in the order of `ROWS`."""
    return [plural(rows[table], *words) for table, words in ROWS.items() if rows.get(table)]


def places_in_words(found: Mention) -> str:
    """Return "3 places, for example “the battery burns” (timeline entry)"."""
    whose = "Someone else has this name. " if found.is_shared else ""
    if not found.places:
        none = f"Not in the first {number(MOST_READ)} texts" if found.is_more else "Not in any text"
        return f"{whose}{none}"
    many = f"{'At least ' if found.is_more else ''}{plural(found.places, 'place')}"
    return f"{whose}{many}, for example “{found.example}” ({ROWS[found.table][0]})"
