"""What the form macros need to know about a WTForms form, worked out in Python."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from wtforms import Field, FieldList, Form, FormField, RadioField, SelectMultipleField

# Where a new row's number goes; static/js/rows.js puts the number there.
ROW_NUMBER: Final = "__row__"


@dataclass(frozen=True, slots=True)
class Problem:
    """One line of the error summary; `target` is the id of the control it links to, if any."""

    message: str
    target: str


def problems(form: Form | None) -> list[Problem]:
    """Everything that keeps the form from being saved, in the order of its fields."""
    if form is None:
        return []
    whole = [Problem(as_hint(str(message)), "") for message in form.form_errors]
    return whole + [problem for field in form for problem in _of_field(field)]


def messages(field: Field) -> list[str]:
    """The field's own messages, without those of fields inside it."""
    errors: Sequence[object] = field.errors  # of a list of fields: also what its entries found
    own = (error for error in errors if error and not isinstance(error, dict | list | tuple))
    return [as_hint(str(error)) for error in own]


def as_hint(sentence: str) -> str:
    """Hints and errors at a field end without a full stop (docs/words.md)."""
    return sentence.removesuffix(".")


def target_id(field: Field) -> str:
    """The id of the control that a link to this field must go to: a group's first control."""
    if isinstance(field, RadioField | SelectMultipleField):
        return f"{field.id}-0" if field.choices else field.id
    if isinstance(field, FieldList):
        return target_id(field.entries[0]) if field.entries else field.id
    if isinstance(field, FormField):
        return target_id(next(iter(field.form)))
    return str(field.id)


def is_hidden(field: Field) -> bool:
    """Whether the field has no visible control."""
    return getattr(field.widget, "input_type", "") == "hidden"


def described_by(field: Field, hint: str | None) -> str | None:
    """The ids of the hint and the error, in the order they are read out."""
    ids = [f"{field.id}-hint"] if hint else []
    ids += [f"{field.id}-error"] if messages(field) else []
    return " ".join(ids) or None


def blank_row(fields: "FieldList[Any]") -> Field:
    """An unfilled entry of the list, numbered `ROW_NUMBER`, for rows.js to copy."""
    options = {
        "name": f"{fields.name}-{ROW_NUMBER}",
        "id": f"{fields.id}-{ROW_NUMBER}",
        "_meta": fields.meta,
    }
    row: Field = fields.meta.bind_field(Form(), fields.unbound_field, options)
    row.process(None)
    return row


def _of_field(field: Field) -> Iterator[Problem]:
    if isinstance(field, FormField):
        yield from problems(field.form)
        return
    target = "" if is_hidden(field) else target_id(field)
    yield from (Problem(message, target) for message in messages(field))
    if isinstance(field, FieldList):
        for entry in field.entries:
            yield from _of_field(entry)
