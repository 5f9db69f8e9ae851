"""Show both versions of a form that was submitted too late, so that nothing is lost."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from flask import render_template, request
from wtforms import BooleanField, Field, Form, FormField, HiddenField, SelectField

from portal.lib.clock import utcnow
from portal.services.audit import last_change
from portal.web.forms.parsing import row_id
from portal.web.frame.layout import is_hidden
from portal.web.frame.wording import near_time, zone

# Sent with every form, and created again by the page.
OUR_OWN: Final = frozenset({"csrf_token", "version"})
# The page's second button, which goes back to the form with the typed values.
KEEP_EDITING: Final = "keep_editing"


@dataclass(frozen=True, slots=True)
class ConflictingField:
    """One field in which the two versions differ."""

    label: str
    theirs: str
    yours: str


def stale_page(
    form: Form,
    theirs: Form,
    *,
    target: tuple[str, object, str],
    version: int,
    keep_url: str,
    withheld: Sequence[str] = (),
    kept: Sequence[tuple[str, str]] | None = None,
) -> tuple[str, int]:
    """Show the stored values beside the typed ones, which are ready to be saved over them.

    `theirs` is the same form with the stored values. `target` is (kind, id, name) as in the audit
    trail. `version` is the stored one. Fields whose names begin with one of `withheld` are secrets,
    so they are neither shown nor kept. `kept`, if given, replaces the submitted values as hidden
    values, for a form that seals its secrets.
    """
    page = render_template(
        "_partials/stale.html",
        name=target[2],
        change=(change := last_change(target[0], target[1])),
        changed=clock_words(change.at) if change else "",
        differences=list(_differences(form, theirs, tuple(withheld))),
        has_withheld=bool(withheld),
        kept=list(_kept(tuple(withheld)) if kept is None else kept),
        version=version,
        keep_url=keep_url,
        keep_editing=KEEP_EDITING,
    )
    return page, 409


def goes_on_editing() -> bool:
    """Return whether a person came back to edit, so the form is shown and not saved."""
    return request.method == "POST" and KEEP_EDITING in request.form


def clock_words(at: datetime) -> str:
    """Return a time in the person's zone: "at 10:42", or with the day if it isn't today."""
    is_today = at.astimezone(zone()).date() == utcnow().astimezone(zone()).date()
    return f"{'at' if is_today else 'on'} {near_time(at)}"


def _differences(form: Form, theirs: Form, withheld: tuple[str, ...]) -> Iterator[ConflictingField]:
    stored = {field.name: field for field in theirs}
    for field in form:
        is_part = isinstance(field, FormField)  # for a new option of a choice, so it has no value
        if is_hidden(field) or is_part or field.name.startswith(withheld or ("\0",)):
            continue
        before, now = shown(stored[field.name]), shown(field)
        if before != now:
            yield ConflictingField(field.label.text, before, now)


def _kept(withheld: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for name, value in request.form.items(multi=True):
        own = name in OUR_OWN or name == KEEP_EDITING
        if not own and not name.startswith(withheld or ("\0",)):
            yield name, value


def shown(field: Field) -> str:
    """Return a field's value as a person reads it."""
    if isinstance(field, BooleanField):
        return "Yes" if field.data else "No"
    if isinstance(field, SelectField):  # one of several, or several of many
        chosen = [str(label) for _, label, is_chosen, *_ in field.iter_choices() if is_chosen]
        return ", ".join(chosen)
    value: Any = getattr(field, "_value", lambda: field.data)()
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


class VersionField(HiddenField):
    """The version that a form was opened with, so that no one overwrites later changes."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read the submitted version. WTForms would replace a missing one with the stored one."""
        self.data = valuelist[0] if valuelist else None

    @property
    def seen(self) -> int:
        """Return the version, or 0, which no row has, if it is missing or not a number."""
        return row_id(self.data) or 0
