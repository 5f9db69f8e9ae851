"""Versions of a form: the page for one that came too late shows both, and nothing is lost."""

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

# Sent with every form and made anew by the page.
OUR_OWN: Final = frozenset({"csrf_token", "version"})
# The second button of the page: back to the form, with what was typed.
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
    """Show what stands now beside what was typed, ready to be saved again over it.

    `theirs` is the same form filled with what is stored; `target` is (kind, id, name) as in the
    audit trail; `version` is the stored one. Fields whose names begin with one of `withheld` are
    neither shown nor kept: secrets. `kept`, if given, are the hidden values in place of what was
    sent, for a form that seals its secrets.
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
    """Tell whether a person came back to edit further: show the form, save nothing."""
    return request.method == "POST" and KEEP_EDITING in request.form


def clock_words(at: datetime) -> str:
    """Return when, by the person's clock: "at 10:42", with the day where it was not today."""
    is_today = at.astimezone(zone()).date() == utcnow().astimezone(zone()).date()
    return f"{'at' if is_today else 'on'} {near_time(at)}"


def _differences(form: Form, theirs: Form, withheld: tuple[str, ...]) -> Iterator[ConflictingField]:
    stored = {field.name: field for field in theirs}
    for field in form:
        is_part = isinstance(field, FormField)  # for something that a choice lacks: no value
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
    """The version that a form was opened with: nobody saves over what others have saved since."""

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read what was sent. WTForms would take what is stored for what was left out."""
        self.data = valuelist[0] if valuelist else None

    @property
    def seen(self) -> int:
        """The version; 0, which none has, where it was left out or is no number."""
        return row_id(self.data) or 0
