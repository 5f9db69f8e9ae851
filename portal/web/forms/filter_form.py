"""Filters that live in the address. What cannot be read is refused at its field and shows no rows:
whoever is shown all of them under a filter takes them for what it leaves.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, Final

from flask import g
from wtforms import Form, HiddenField, SelectField, StringField
from wtforms.validators import ValidationError

from portal.web.forms.base import tidy
from portal.web.forms.fields import row_id

LONGEST_SEARCH: Final = 120


class FilterForm(Form):
    """Made of the address; `validate` says whether all of it could be read."""


class ChosenField(SelectField):
    """One value of a list, or none."""

    def pre_validate(self, form: Any) -> None:
        """Refuse what is not on the list."""
        if self.data and all(self.data != value for value, *_ in self.iter_choices()):
            raise ValidationError(f"{self.label.text}: choose from the list")


class LinkedField(HiddenField):
    """One value of a few, set by tabs and links, or none."""

    def __init__(self, label: str, *, among: Collection[str], **options: Any) -> None:
        super().__init__(label, **options)
        self.among = among

    def pre_validate(self, form: Any) -> None:
        """Refuse what no link of ours says."""
        if self.data and self.data not in self.among:
            raise ValidationError(f"{self.label.text}: “{self.data[:40]}” is not known")


class RowField(HiddenField):
    """The number of one thing, set by links, or none."""

    @property
    def row_id(self) -> int | None:
        """The number; None for none."""
        return row_id(self.data)

    def pre_validate(self, form: Any) -> None:
        """Refuse what cannot be a number of ours."""
        if self.row_id == 0:
            raise ValidationError(f"{self.label.text}: “{str(self.data)[:40]}” is not known")


class SearchField(StringField):
    """Words to look for."""

    def __init__(self, label: str, **options: Any) -> None:
        super().__init__(label, filters=[partial(tidy, longest=LONGEST_SEARCH)], **options)

    def pre_validate(self, form: Any) -> None:
        """Refuse what nobody can have meant."""
        if len(self.data or "") > LONGEST_SEARCH:
            raise ValidationError(f"Enter at most {LONGEST_SEARCH} characters")


def answer_as(endpoint: str) -> None:
    """Let links that only change the address lead to `endpoint`: a file or a question whose filter
    could not be read is answered with the list that the filter stands above.
    """
    g.page_endpoint = endpoint
