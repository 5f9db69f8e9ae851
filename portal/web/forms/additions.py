"""Add a missing option to a choice inside a form, without losing typed values.

A form has a part for each kind of thing (`new_category`, `new_location`, `new_person`) beside the
choice that gets it. The part's button submits the whole form. The response has all typed values,
with the new thing selected. A thing that was typed but not added is added when the form is saved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flask import request, url_for
from markupsafe import Markup
from wtforms import EmailField, Form, FormField, StringField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types

from portal.services.assets import named_lists, staff
from portal.services.assets.staff import LENGTHS, StaffValues
from portal.services.core.permissions import Actor
from portal.services.core.refusals import NotAllowed, Refusal
from portal.web.forms.base import PortalForm, tidy

STAYS: Final = Markup(
    '“{}” is selected and saved under <a href="{}">{}</a>. If you cancel this form, it stays there'
)
PRESSED: Final = "add"  # the name of the parts' buttons


def _limited(length: int) -> dict[str, Any]:
    return {
        "filters": [partial(tidy, longest=length)],
        "render_kw": {"maxlength": length, "autocomplete": "off"},
    }


class NewName(Form):
    """The name of a new category or location."""

    name = StringField("New name", **_limited(named_lists.LONGEST_NAME))


class NewPerson(Form):
    """A person who isn't on the staff list yet."""

    name = StringField("Name", **_limited(LENGTHS["name"]))
    email = EmailField("Email address", **_limited(LENGTHS["email"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """One kind of thing.

    `part` is the form's part for it, and `choice` the field that gets it. `add` stores it, or finds
    an existing one, and returns its row id. `list_label` and `list_route` are of the full list.
    """

    kind: str
    part: str
    choice: str
    label: str
    add: Callable[[Actor, Any], int]
    list_label: str
    list_route: str

    def shown(self, part: Any) -> str:
        """Return the new thing's label in the choice."""
        email = f" ({part.email.data})" if "email" in part else ""
        return f"{part['name'].data}{email}"

    def saved(self, name: str) -> Markup:
        """Return a hint that the new thing stays, even if its form is canceled."""
        url = url_for(self.list_route)
        return STAYS.format(name, url, self.list_label)


def _name_of(kind: named_lists.NamedList) -> Callable[[Actor, Any], int]:
    return lambda actor, part: named_lists.found_or_added(kind, actor, part["name"].data or "")


def _person(actor: Actor, part: Any) -> int:
    values = StaffValues(name=part["name"].data or "", email=part.email.data or "")
    return staff.found_or_added(actor, values)


ADDITIONS: Final = (
    Addition(
        kind="category",
        part="new_category",
        choice="category_id",
        label="Add category…",
        add=_name_of(named_lists.CATEGORIES),
        list_label="Categories",
        list_route="categories.index",
    ),
    Addition(
        kind="location",
        part="new_location",
        choice="location_id",
        label="Add location…",
        add=_name_of(named_lists.LOCATIONS),
        list_label="Locations",
        list_route="locations.index",
    ),
    Addition(
        kind="person",
        part="new_person",
        choice="staff_id",
        label="Add person…",
        add=_person,
        list_label="Staff",
        list_route="staff.index",
    ),
)
PARTS: Final = frozenset(addition.part for addition in ADDITIONS)


def new_name() -> "FormField[NewName]":
    """Return the part of a form for a category or location."""
    return FormField(NewName)


def new_person() -> "FormField[NewPerson]":
    """Return the part of a form for a person."""
    return FormField(NewPerson)


class AddingForm(PortalForm):
    """A form with such parts, each only beside the choice that gets the new thing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for addition in ADDITIONS:
            if addition.part in self and addition.choice not in self:
                del self[addition.part]

    def addition_of(self, choice: str) -> Addition | None:
        """Return the kind of thing that can be added to this choice, or None."""
        fit = (
            addition
            for addition in ADDITIONS
            if addition.choice == choice and addition.part in self
        )
        return next(fit, None)


def add_typed(form: AddingForm, actor: Actor) -> bool:
    """Add the things typed into the parts, and select them.

    Return whether to show the form again instead of saving it, because a part's button was selected
    or a thing couldn't be added.
    """
    is_over = False
    for addition in ADDITIONS:
        if addition.part not in form:
            continue
        part = form[addition.part].form
        is_pressed = request.form.get(PRESSED) == addition.kind
        if is_pressed or any(field.data for field in part):
            is_over = _refused(form, addition, actor) or is_pressed or is_over
    return is_over


def _refused(form: AddingForm, addition: Addition, actor: Actor) -> bool:
    part = form[addition.part].form
    try:
        row_id = addition.add(actor, part)
    except NotAllowed:
        raise
    except Refusal as refusal:
        field = part[refusal.field if refusal.field in part else "name"]
        field.errors = [*field.errors, refusal.sentence]
        return True
    choice, name = form[addition.choice], addition.shown(part)
    if all(value != str(row_id) for value, *_ in choice.choices):
        choice.choices = [*choice.choices, SelectChoice(str(row_id), name)]
    choice.data = row_id
    choice.description = addition.saved(name)
    for field in part:
        field.data = ""
    return False
