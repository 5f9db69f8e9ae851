"""Filters, orders and lists that live in the address.

A filter that cannot be read is refused at its field and shows no rows: whoever is shown all of them
under a filter takes them for what it leaves. `?list=` carries the address of the list from which
one came to a thing, filters and all.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from flask import Flask, g, has_request_context, request, url_for
from wtforms import Form, HiddenField, SelectField, StringField
from wtforms.validators import ValidationError

from portal.web.forms.base import tidy
from portal.web.forms.parsing import row_id
from portal.web.frame.access import local_path
from portal.web.frame.layout import page_url

LONGEST_SEARCH: Final = 120


class FilterForm(Form):
    """Made of the address; `validate` says whether all of it could be read."""


class ChosenField(SelectField):
    """One value of a list, or none."""

    def pre_validate(self, form: Any) -> None:
        """Refuse what is not on the list."""
        if self.data and all(self.data != value for value, *_ in self.iter_choices()):
            raise ValidationError(f"Choose “{self.label.text}” from the list")


class LinkedField(HiddenField):
    """One value of a few, set by tabs and links, or none."""

    def __init__(self, label: str, *, among: Collection[str], **options: Any) -> None:
        super().__init__(label, **options)
        self.among = among

    def pre_validate(self, form: Any) -> None:
        """Refuse what no link of ours says."""
        if self.data and self.data not in self.among:
            raise ValidationError(f"{self.label.text} “{self.data[:40]}” isn’t known")


class RowField(HiddenField):
    """The number of one thing, set by links, or none."""

    @property
    def row_id(self) -> int | None:
        """The number; None for none."""
        return row_id(self.data)

    def pre_validate(self, form: Any) -> None:
        """Refuse what cannot be a number of ours."""
        if self.row_id == 0:
            raise ValidationError(f"{self.label.text} “{str(self.data)[:40]}” isn’t known")


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


SORT: Final = "sort"


@dataclass(frozen=True, slots=True)
class ListOrder:
    """By which column, and whether its values fall. `columns`: of each that can be chosen, whether
    it falls when it is chosen first; `otherwise`: by which, while none is, if by a column."""

    columns: Mapping[str, bool]
    otherwise: str
    by: str
    falls: bool

    @property
    def is_reversed(self) -> bool:
        """Return whether it is the other way round than the column's own."""
        return bool(self.by) and self.falls is not self.columns[self.by]

    @property
    def value(self) -> str:
        """Return what the address says; nothing of the usual order."""
        return "" if self._is_usual(self.by, falls=self.falls) else _value(self.by, self.falls)

    def heading(self, name: str) -> dict[str, str]:
        """Return the address and the present order of a column, for its heading."""
        is_here = name == self.by
        falls = not self.falls if is_here else self.columns[name]
        is_usual = self._is_usual(name, falls=falls)
        url = page_url(sort=None if is_usual else _value(name, falls), cursor=None)
        order = "descending" if self.falls else "ascending"
        return {"url": url, "order": order if is_here else ""}

    def _is_usual(self, name: str, *, falls: bool) -> bool:
        return name == self.otherwise and falls is self.columns.get(name, False)


def order_in(
    columns: Mapping[str, bool], otherwise: str = "", text: str | None = None
) -> ListOrder:
    """Return the order that the address asks for, or this `text`; the usual one where it says
    nothing that is known. `columns`, `otherwise`: as in `ListOrder`."""
    text = request.args.get(SORT, "") if text is None else text
    name = text.removeprefix("-")
    if name in columns:
        return ListOrder(columns, otherwise, name, falls=text.startswith("-"))
    return ListOrder(columns, otherwise, otherwise, falls=columns.get(otherwise, False))


def _value(name: str, falls: bool) -> str:
    return f"-{name}" if falls else name


LIST: Final = "list"
# What is found in a list: how its routes name it, and how their own names begin.
THINGS: Final = {"asset_id": "", "public_id": "webhook"}
# Characters; a longer address, such as of a pasted log, is not carried.
LONGEST_ADDRESS: Final = 500


def list_here() -> str | None:
    """Return the address of this list, for its links; None where it asks for nothing."""
    address = request.script_root + request.full_path
    return address if request.query_string and len(address) <= LONGEST_ADDRESS else None


def list_back(endpoint: str, anchor: str) -> str:
    """Return the way back to the list of this endpoint, as it was, at the line `anchor`."""
    usual, address = url_for(endpoint), local_path(request.args.get(LIST))
    parts = urlsplit(address)
    is_it = parts.path == usual and not parts.fragment
    return f"{address if is_it else usual}#{anchor}"


def init_app(app: Flask) -> None:
    """Have every address of the thing whose page is open carry its list on: what is done with it
    leads back to the place where it was found."""
    app.url_defaults(_carry_on)


def _carry_on(endpoint: str, values: dict[str, Any]) -> None:
    address = request.args.get(LIST) if has_request_context() else None
    if not address or len(address) > LONGEST_ADDRESS or local_path(address) != address:
        return
    here = request.view_args or {}
    for name, family in THINGS.items():
        is_of_it = endpoint.startswith(family) and (request.endpoint or "").startswith(family)
        if is_of_it and name in here and values.get(name) == here[name]:
            values.setdefault(LIST, address)
