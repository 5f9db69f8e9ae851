"""The base of every form of the portal: tidy text, a `once` token, room for a refusal."""

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

LONGEST_NAME: Final = 100  # characters, of a field
MOST_NAMES: Final = 1_000  # of a form's fields; an import of 200 columns asks about 500 things
LONGEST_TEXT: Final = 10_000  # characters, in a field that says no other limit
SLACK: Final = 1_000  # characters over the limit that tidying may take away


def tidy(text: Any, longest: int = LONGEST_TEXT) -> Any:
    """Text without what nobody can see. What is no text stays as it is, and so does a text that is
    far too long, for whoever judges its length to refuse."""
    if not isinstance(text, str) or len(text) > longest + SLACK:
        return text
    return typed_text.tidy(text)


def typed(field: Field) -> str:
    """Return what was typed into a text field; nothing where it was not sent."""
    return str(field.data or "")


def as_uuid(text: str | None) -> UUID:
    """Return the uuid that this is; a new one where it is none."""
    try:
        return UUID(text or "")
    except ValueError:
        return uuid4()


def _is_name(name: str) -> bool:
    return name.isascii() and len(name) <= LONGEST_NAME


def _limit(options: dict[str, Any]) -> int:
    """Return the most characters that a field made with these options takes."""
    lengths = [
        validator.max
        for validator in options.get("validators", ())
        if isinstance(validator, Length)
    ]
    return max([*lengths, (options.get("render_kw") or {}).get("maxlength", 0)]) or LONGEST_TEXT


class PortalForm(FlaskForm):  # type: ignore[misc]  # flask-wtf publishes no types
    """A form whose fields are tidied, passwords apart, and to which a refusal can be added.

    `once_value` goes to `once_only()`: a form that is refused keeps its token. `lengths`: the most
    characters of fields whose limits the services check, and no attribute of the page says.
    """

    lengths: ClassVar[dict[str, int]] = {}
    form_errors: list[str]
    once = HiddenField(default=lambda: str(uuid4()))

    class Meta(FlaskForm.Meta):  # type: ignore[misc]  # flask-wtf publishes no types
        """Make fields that tidy what is typed."""

        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            """Leave out what no field of ours is called: rows are counted by their names, and
            WTForms takes any digit of Unicode for a number. Raises `RequestEntityTooLarge` where
            there are too many."""
            sent = super().wrap_formdata(form, formdata)
            if sent is not None and len(sent) > MOST_NAMES:
                raise RequestEntityTooLarge
            if sent is None or all(map(_is_name, sent)):
                return sent
            return MultiDict(pair for pair in sent.items(multi=True) if _is_name(pair[0]))

        def bind_field(
            self, form: Any, unbound_field: "UnboundField[Any]", options: dict[str, Any]
        ) -> Field:
            """Tidy what is typed into text fields."""
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
        """The form's token; a new one where a script sent none, or none that is a uuid."""
        self.once.data = str(as_uuid(self.once.data))
        return UUID(self.once.data)

    def refuse(self, refusal: Refusal) -> None:
        """Show a service's sentences at the fields they are about, else above the form."""
        for fault in refusal.faults or [Fault("", refusal.sentence)]:
            field = self._fields.get(fault.field)
            if field is None:
                self.form_errors = [*self.form_errors, fault.sentence]
            else:
                field.errors = [*field.errors, fault.sentence]


HAS_A_PAGE: Final = (NotFound, NotAllowed, Stale)


@contextmanager
def refusals_in(form: PortalForm) -> Iterator[None]:
    """Put a refusal into the form, so that the page comes back with what was typed.

    What has a page of its own passes through: not found, not allowed, stale.
    """
    try:
        yield
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        form.refuse(refusal)


@contextmanager
def refusals_flashed(kind: str = "info") -> Iterator[None]:
    """Tell a refusal above the page that comes next; the same passes through."""
    try:
        yield
    except HAS_A_PAGE:
        raise
    except Refusal as refusal:
        flash(refusal.sentence, kind)


def status_of(form: Form) -> int:
    """Return 400 for a form that comes back with something to change, else 200."""
    return 400 if problems(form) else 200


# Of what webhooks tell.
UNHEARD: Final = "No changes made. We didn’t notify any webhook."


def say_whether_changed(
    changed: object, saved: str = "Saved.", unchanged: str = "No changes made."
) -> None:
    """Have the next page say `saved`; where nothing was changed that, which is no success."""
    flash(saved if changed else unchanged, "success" if changed else "info")
