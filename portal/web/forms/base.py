"""The base of all forms, with tidied text, a `once` token, and room for a refusal."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Final
from uuid import UUID, uuid4

from flask import flash
from flask_wtf import FlaskForm
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import RequestEntityTooLarge
from wtforms import Field, Form, HiddenField, PasswordField, StringField
from wtforms.fields.core import UnboundField
from wtforms.validators import Length

from portal.lib import typed_text
from portal.services.core.refusals import Fault, NotAllowed, NotFound, Refusal, Stale
from portal.web.frame.layout import problems

LONGEST_NAME: Final = 100  # characters, of a field's name
MOST_NAMES: Final = 1_000  # of a form's fields. An import of 200 columns has about 500.
LONGEST_TEXT: Final = 10_000  # characters, in a field without another limit
SLACK: Final = 1_000  # characters over the limit that tidying can remove


def tidy(text: Any, longest: int = LONGEST_TEXT) -> Any:
    """Remove invisible characters from a text.

    Other values stay as they are. So does a text that is far too long, because the check of its
    length refuses it. Browsers send a line break as two characters.
    """
    if not isinstance(text, str) or len(text) - text.count("\r") > longest + SLACK:
        return text
    return typed_text.tidy(text)


def typed(field: Field) -> str:
    """Return the text typed into a field, or "" if it wasn't sent."""
    return str(field.data or "")


def as_uuid(text: str | None) -> UUID:
    """Parse a UUID. Return a new one if it isn't valid."""
    try:
        return UUID(text or "")
    except ValueError:
        return uuid4()


def _is_name(name: str) -> bool:
    return name.isascii() and len(name) <= LONGEST_NAME


def _limit(options: dict[str, Any]) -> int:
    """Return the maximum number of characters of a field with these options."""
    lengths = [
        validator.max
        for validator in options.get("validators", ())
        if isinstance(validator, Length)
    ]
    return max([*lengths, (options.get("render_kw") or {}).get("maxlength", 0)]) or LONGEST_TEXT


class PortalForm(FlaskForm):  # type: ignore[misc]  # flask-wtf publishes no types
    """A form that tidies its fields, except passwords, and that can show a refusal.

    `once_value` goes to `once_only()`. A refused form keeps its token. `lengths` has the maximum
    characters of fields whose limits only the services check, and no attribute of the page.
    """

    lengths: ClassVar[dict[str, int]] = {}
    form_errors: list[str]
    once = HiddenField(default=lambda: str(uuid4()))

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # flask-wtf publishes no types
        """Create fields that tidy typed text."""

        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """Drop values with names that none of our fields has.

            Rows are counted by their names, and WTForms takes any Unicode digit for a number.
            Raises `RequestEntityTooLarge` for too many values.
            """
            sent = super().wrap_formdata(form, formdata)
            if sent is not None and len(sent) > MOST_NAMES:
                raise RequestEntityTooLarge
            if sent is None or all(map(_is_name, sent)):
                return sent
            return MultiDict(pair for pair in sent.items(multi=True) if _is_name(pair[0]))

        def bind_field(
            self, form: Any, unbound_field: "UnboundField[Any]", options: dict[str, Any]
        ) -> Field:
            """Add a filter that tidies text, except for passwords."""
            kind = unbound_field.field_class
            if issubclass(kind, StringField) and not issubclass(kind, PasswordField):
                limit = form.lengths.get(options["name"]) or _limit(unbound_field.kwargs)
                options["filters"] = (
                    partial(tidy, longest=limit),
                    *unbound_field.kwargs.get("filters", ()),
                )
            field: Field = super().bind_field(form, unbound_field, options)
            return field

    @property
    def once_value(self) -> UUID:
        """Return the form's token, or a new one if a script sent no valid UUID."""
        self.once.data = str(as_uuid(self.once.data))
        return UUID(self.once.data)

    def refuse(self, refusal: Refusal) -> None:
        """Show a service's sentences at their fields, or else above the form."""
        for fault in refusal.faults or [Fault("", refusal.sentence)]:
            field = self._fields.get(fault.field)
            if field is None:
                self.form_errors = [*self.form_errors, fault.sentence]
            else:
                field.errors = [*field.errors, fault.sentence]


HAS_A_PAGE: Final = (NotFound, NotAllowed, Stale)


@contextmanager
def refusals_in(form: PortalForm) -> Iterator[None]:
    """Put a refusal into the form, so that the response keeps the typed values.

    Refusals with a page of their own pass through: not found, not allowed, stale.
    """
    try:
        yield
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        form.refuse(refusal)


@contextmanager
def refusals_flashed(kind: str = "info") -> Iterator[None]:
    """Show a refusal on the next page. The same ones as in `refusals_in` pass through."""
    try:
        yield
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        flash(refusal.sentence, kind)


def status_of(form: Form) -> int:
    """Return 400 for a form with problems, else 200."""
    return 400 if problems(form) else 200


# For changes that webhooks send.
UNHEARD: Final = "No changes made. We didn’t notify any webhook."


def say_whether_changed(
    changed: object, saved: str = "Saved.", unchanged: str = "No changes made."
) -> None:
    """Show `saved` on the next page, or `unchanged`, which isn't a success."""
    flash(saved if changed else unchanged, "success" if changed else "info")
