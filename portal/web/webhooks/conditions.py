"""Define the form rows in which conditions are entered."""

from collections.abc import Iterator
from typing import Any, Final

from flask import g
from wtforms import Field, FieldList, Form, FormField, HiddenField, SelectField
from wtforms.fields import SelectChoice  # type: ignore[attr-defined]  # newer than its type stubs

from portal.engine.conditions.predicate import (
    CHOICES,
    MOST_CONDITIONS,
    NAMED,
    OPERATORS,
    Condition,
    ConditionError,
    as_text,
    conditions_in,
    entered,
)
from portal.engine.conditions.sentences import (
    LABELS,
    OPERATOR_WORDS,
    WORDS,
    sentence_of,
    typed_amount,
)
from portal.extensions import settings
from portal.services.assets import named_lists
from portal.services.outbox.conditions import names_in
from portal.web.forms.base import tidy
from portal.web.frame.layout import blank_row

LISTS: Final = {"category": named_lists.CATEGORIES, "location": named_lists.LOCATIONS}
# More than can be saved, so that extra rows are refused but not lost. There is a limit because
# each row lists all locations.
MOST_ROWS: Final = 2 * MOST_CONDITIONS
TOO_MANY: Final = f"Enter at most {MOST_CONDITIONS} conditions"
# Labels of operators beside several values.
AMONG: Final = {"is": "is any of", "is_not": "isn’t any of"}
FIELDS: Final = tuple((name, LABELS[name]) for name in OPERATORS)


class ValuesField(Field):
    """The values of one condition, chosen or typed one per line."""

    data: list[str]

    def process_data(self, value: Any) -> None:
        """Load the stored values."""
        self.data = list(value or ())

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Read the submitted values, without blank lines."""
        lines = (tidy(line) for text in valuelist for line in str(text).splitlines())
        self.data = [line for line in lines if line]

    def _value(self) -> str:
        return "\n".join(self.data)


class ConditionForm(Form):
    """One condition, with its field, operator, and values."""

    operator = SelectField("Comparison", validate_choice=False, choices=[])
    value = ValuesField("Values")
    field = HiddenField()

    def process(self, *args: Any, **kwargs: Any) -> None:
        """Read the condition, and offer the operators of its field."""
        super().process(*args, **kwargs)
        self.operator.choices = [
            SelectChoice(str(operator), AMONG.get(operator, OPERATOR_WORDS[operator]))
            for operator in OPERATORS[self.about]
        ]

    @property
    def about(self) -> str:
        """Return the condition's field, or the first field for an unknown one."""
        return str(self.field.data) if self.field.data in OPERATORS else next(iter(OPERATORS))

    @property
    def title(self) -> str:
        """Return the label of the condition's field."""
        return LABELS[self.about]

    @property
    def is_amount(self) -> bool:
        """Return whether the value is one typed amount."""
        return self.about == "cost"

    @property
    def currency(self) -> str:
        """Return the register's currency."""
        return settings().currency

    @property
    def options(self) -> list[tuple[str, str]] | None:
        """Return the values to choose from with their labels, or None if values are typed."""
        if self.about in NAMED:
            return _listed(self.about)
        if self.about not in CHOICES:
            return None
        words = WORDS[self.about]
        return [
            (value, f"{words[value][0].upper()}{words[value][1:]}") for value in CHOICES[self.about]
        ]

    @property
    def as_it_is(self) -> Condition:
        """Return the condition as it would be stored, or as entered if it is invalid."""
        field, operator, values = self.about, str(self.operator.data), self.value.data
        try:
            return entered(field, operator, values)
        except ConditionError:
            return Condition(field, operator, tuple(values))

    def read(self) -> Condition | None:
        """Return the condition, or None after adding an error to its field."""
        try:
            condition = entered(str(self.field.data), str(self.operator.data), self.value.data)
        except ConditionError as error:
            at = self.operator if error.part == "operator" else self.value
            at.errors = [*at.errors, error.sentence]
            return None
        known = {value for value, _ in self.options or ()}
        if self.about in NAMED and not known.issuperset(condition.values):
            gone = f"Choose another {self.about}. This one was deleted"
            self.value.errors = [*self.value.errors, gone]
            return None
        return condition


def _listed(about: str) -> list[tuple[str, str]]:
    """Return all categories or locations, loaded only once per request."""
    known: dict[str, list[tuple[str, str]]] = g.setdefault("condition_choices", {})
    if about not in known:
        rows = named_lists.choices(LISTS[about])
        known[about] = [(str(row_id), name) for row_id, _, name in rows]
    return known[about]


class ConditionList(FieldList):  # type: ignore[type-arg]  # not generic at runtime
    fields = FIELDS
    of_row = "Condition"

    def __init__(self, label: str, **options: Any) -> None:
        super().__init__(FormField(ConditionForm), label, max_entries=MOST_ROWS, **options)

    @property
    def forms(self) -> list[ConditionForm]:
        entries: Iterator[Any] = iter(self.entries)
        return [entry.form for entry in entries]

    @property
    def text(self) -> str | None:
        """Read the conditions and return them in their stored form."""
        return as_text([condition for row in self.forms if (condition := row.read())])

    def check(self) -> bool:
        """Check that each condition is valid and that there aren't too many."""
        read = [row.read() for row in self.forms]  # each of them, to report all errors
        if len(self.entries) > MOST_CONDITIONS:
            self.errors = [TOO_MANY]
            return False
        return None not in read

    def add(self, about: str | None) -> None:
        """Add a row about this field, unless there are `MOST_ROWS`."""
        if len(self.entries) < MOST_ROWS:
            self.append_entry({"field": about})
        else:
            self.errors = [TOO_MANY]

    def blanks(self) -> list[Field]:
        """Return an empty row for each field, for rows.js to copy."""
        rows = []
        for name in OPERATORS:
            row: Any = blank_row(self)
            row.process(None, {"field": name})
            rows.append(row)
        return rows

    def _value(self) -> list[str]:
        """Return the conditions in words."""
        conditions = [row.as_it_is for row in self.forms if row.value.data]
        names = names_in(conditions)
        return [sentence_of(condition, names) for condition in conditions]


def rows_of(text: str | None) -> list[dict[str, Any]]:
    """Return stored conditions as the form's rows."""
    return [
        {
            "field": field,
            "operator": operator,
            "value": map(typed_amount, values) if field == "cost" else values,
        }
        for field, operator, values in conditions_in(text)
    ]
