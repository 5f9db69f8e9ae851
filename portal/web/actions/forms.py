"""Define the base of all action forms, their shared fields, and `ActionPage`."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final
from uuid import UUID

from wtforms import SelectField, StringField, TextAreaField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its types
from wtforms.validators import DataRequired, Length

from portal.extensions import settings
from portal.lib.typed_values import read_amount
from portal.models.assets import Action, Asset, AssetStatus, Condition
from portal.services.actions.rules import RULES, Rule, longest
from portal.services.actions.verbs import VERBS, Verb
from portal.services.assets import named_lists, staff
from portal.web.forms.additions import PARTS, AddingForm, new_name, new_person
from portal.web.forms.base import typed
from portal.web.forms.parsing import TypedField, row_id

CONDITIONS = [
    SelectChoice(condition.value, condition.value.capitalize()) for condition in Condition
]
AS_IT_WAS = SelectChoice("", "No change")
# Fields that every form has and that no action takes.
OWN = frozenset({"csrf_token", "once"}) | PARTS


class ActionForm(AddingForm):
    """The form of one action. Field names are the keys of its event.

    `widths`: CSS widths by field, such as "short" for a number. `beside`: fields that are rendered
    inside the part of another field.
    """

    beside: ClassVar[frozenset[str]] = frozenset()
    widths: ClassVar[dict[str, str]] = {}
    # Parts to add a missing person or location, kept only if the form has that choice.
    new_person = new_person()
    new_location = new_name()

    @classmethod
    def defaults(cls, asset: Asset, subject: UUID | None) -> dict[str, Any]:
        """Return the initial values of the fields."""
        return {}

    def prepare(self, asset: Asset, subject: UUID | None) -> None:
        """Fill the choices. `subject`: public id of the reservation or maintenance in the URL."""
        if "staff_id" in self:
            self["staff_id"].choices = [SelectChoice("", "Choose a person"), *_people()]
        if "location_id" in self:
            self["location_id"].choices = [SelectChoice("", self.no_location), *_places()]

    no_location: ClassVar[str] = "No change"

    def text(self, name: str) -> str:
        return typed(self[name])

    def filled(self) -> dict[str, Any]:
        """Return the entered values by field name."""
        return {
            field.name: self.text(field.name) if isinstance(field, StringField) else field.data
            for field in self
            if field.name not in OWN
        }


def staff_field(label: str = "Person", missing: str = "Choose a person") -> SelectField:
    """Return a choice of a person by row id."""
    needed = [DataRequired(missing)]
    return SelectField(label, coerce=row_id, validate_choice=False, validators=needed)


def location_field(label: str, missing: str = "") -> SelectField:
    """Return a choice of a location by row id."""
    needed = [DataRequired(missing)] if missing else []
    return SelectField(label, coerce=row_id, validate_choice=False, validators=needed)


def condition_field(label: str = "Condition") -> SelectField:
    """Return a choice of a condition. A blank choice leaves it unchanged."""
    choices = [AS_IT_WAS, *CONDITIONS]
    return SelectField(label, choices=choices, coerce=or_none, validate_choice=False)


def line_field(name: str, label: str, missing: str = "", **options: Any) -> StringField:
    """Return a one-line text field. `name`: the field's name, which sets the maximum length."""
    options["render_kw"] = {"maxlength": longest(name), "autocomplete": "off"}
    return StringField(label, validators=_checks(name, label, missing), **options)


def amount_field(label: str) -> TypedField:
    """Return a field for an amount of money. `prepare` sets `in_currency` as its hint."""
    return TypedField(label, read=read_amount, render_kw={"inputmode": "decimal"})


def in_currency() -> str:
    return f"In {settings().currency}, such as 1,250.00"


def note_field(name: str = "note", label: str = "Note", missing: str = "") -> TextAreaField:
    kept = {"rows": 3, "maxlength": longest(name)}
    return TextAreaField(label, validators=_checks(name, label, missing), render_kw=kept)


def or_none(text: str | None) -> str | None:
    """Return the choice, or None if it is blank."""
    return text or None


def _checks(name: str, label: str, missing: str) -> list[Any]:
    too_long = f"Enter at most {longest(name)} characters in “{label}”"
    needed = [DataRequired(missing)] if missing else []
    return [*needed, Length(max=longest(name), message=too_long)]


def _people() -> list[SelectChoice]:
    return [SelectChoice(str(person.id), person.label) for person in staff.choices()]


def _places() -> list[SelectChoice]:
    rows = named_lists.choices(named_lists.LOCATIONS)
    return [SelectChoice(str(row_id), name) for row_id, _, name in rows]


NOWHERE: Final[frozenset[AssetStatus]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionPage:
    """One action with its form at `/assets/<id>/<slug>`, or `/assets/<id>/<slug>/<subject>`.

    `timeline`: title of its timeline entry, blank if the action consists of two others. `title`,
    `lede`, and `done` (the flash message) are templates with {tag}, {name}, {status}, {location},
    {holder}, and {due}. `done` also takes {was_due}. `main`: the statuses in which its button is in
    front instead of under More. `tab`: the endpoint of the asset's tab that it returns to. An
    action with a subject (a reservation or maintenance) has no button on the asset page. Lists link
    to it instead. `context`: makes further values for the template. `way_back`: the label of the
    link beside the button.
    """

    action: Action
    label: str
    icon: str
    title: str
    done: str
    form: type[ActionForm]
    timeline: str = ""
    lede: str = ""
    submit: str = ""
    kind: str = "primary"
    way_back: str = "Cancel"
    main: frozenset[AssetStatus] = NOWHERE
    tab: str = "assets.show"
    template: str = "actions/form.html"
    context: Callable[[Asset, UUID | None], dict[str, Any]] | None = None

    @property
    def verb(self) -> Verb:
        """Return the verb that runs the action and names its URL."""
        return VERBS[self.action]

    @property
    def rule(self) -> Rule:
        return RULES[self.action]

    @property
    def endpoint(self) -> str:
        return f"actions.{self.action}"

    @property
    def submit_label(self) -> str:
        return self.submit or self.label
